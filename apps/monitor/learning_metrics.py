"""The metrics of learning, by variant: feedback, rewards, choices, and the deploy guard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.monitor.declarations import Declarations
from apps.monitor.metric_info import PROPENSITY_BUCKETS, RATING_BUCKETS, REWARD_BUCKETS


class LearningMetrics:
    """What callers' feedback comes to, and what is chosen and guarded by it."""

    def _declare_learning(self, declare: Declarations) -> None:
        self._feedback = declare.counter(
            "rl_feedback_total", "Feedback events stored.", "policy_variant"
        )
        self._reward = declare.histogram(
            "rl_reward_distribution", "Rewards of ended calls.", REWARD_BUCKETS, "policy_variant"
        )
        # Rewards may be negative, so their sum may fall, which no counter may: hence two sums.
        self._reward_gained = declare.counter(
            "rl_reward_gained_total", "Sum of the positive rewards.", "policy_variant"
        )
        self._reward_lost = declare.counter(
            "rl_reward_lost_total", "Sum of the negative rewards, sign dropped.", "policy_variant"
        )
        self._rating = declare.histogram(
            "rl_user_rating_distribution",
            "Ratings that callers gave, 1 to 5.",
            RATING_BUCKETS,
            "policy_variant",
        )
        self._pulls = declare.counter(
            "rl_policy_pulls_total", "Calls for which a variant was chosen.", "policy_variant"
        )
        self._success_rate = declare.gauge(
            "rl_policy_success_rate",
            "Mean of a variant's posterior, alpha / (alpha + beta).",
            "policy_variant",
        )
        self._exploration = declare.gauge(
            "rl_bandit_exploration_rate",
            "Share of choices that do not go to the variant with the best posterior mean.",
        )
        self._active = declare.gauge("rl_active_variants_total", "Variants that calls may get.")
        self._blacklisted = declare.gauge(
            "rl_blacklisted_variants_total", "Variants that no call gets any more."
        )
        self._guard_acts = declare.counter(
            "rl_guard_acts_total", "What the deploy guard did by itself.", "act"
        )
        self._stages = declare.gauge("rl_variants", "Variants by the stage of their life.", "stage")
        self._guard_alarm = declare.gauge(
            "rl_guard_alarm", "1 while the base variant serves alone, or an alarm stands.", "alarm"
        )
        self._ratings_missing = declare.counter(
            "tom_ratings_missing_total", "Rewarded calls without a rating.", "policy_variant"
        )
        self._feedback_held = declare.counter(
            "rl_feedback_held_total", "Feedback events that do not count, by reason.", "reason"
        )
        self._ratings_late = declare.counter(
            "tom_ratings_late_total", "Ratings that came after their call's end.", "policy_variant"
        )
        self._shadow = declare.counter(
            "rl_shadow_answers_total", "Answers made in the shadow and never played.", "outcome"
        )
        self._propensity = declare.histogram(
            "tom_choice_propensity",
            "Probability, after the guard, with which the chosen variant was chosen.",
            PROPENSITY_BUCKETS,
        )

    def know_variants(self, policy_variants: Iterable[str]) -> None:
        """Begin every variant's series at 0: PromQL cannot see a step that starts a series."""
        for variant in policy_variants:
            for metric in (self._feedback, self._pulls, self._ratings_missing, self._rating):
                metric.labels(variant)
            for metric in (self._reward, self._reward_gained, self._reward_lost):
                metric.labels(variant)
            self._ratings_late.labels(variant)

    def feedback_stored(self, policy_variant: str) -> None:
        """Count a feedback event."""
        self._feedback.labels(policy_variant).inc()

    def rewarded(self, policy_variant: str, reward: float, rating: int | None) -> None:
        """Observe an ended call's reward, and its rating or that there is none."""
        self._reward.labels(policy_variant).observe(reward)
        self._reward_gained.labels(policy_variant).inc(max(reward, 0.0))
        self._reward_lost.labels(policy_variant).inc(max(-reward, 0.0))
        if rating is None:
            self._ratings_missing.labels(policy_variant).inc()
        else:
            self.rated(policy_variant, rating)

    def feedback_held(self, reason: str) -> None:
        """Count a feedback event that does not count for the policies."""
        self._feedback_held.labels(reason).inc()

    def shadow_answered(self, passed: bool) -> None:
        """Count an answer that was made in the shadow."""
        self._shadow.labels("passed" if passed else "failed").inc()

    def rated_late(self, policy_variant: str, rating: int) -> None:
        """Observe a rating of a call whose reward was observed without one."""
        self._ratings_late.labels(policy_variant).inc()
        self.rated(policy_variant, rating)

    def rated(self, policy_variant: str, rating: int) -> None:
        """Observe a caller's rating, 1 to 5."""
        self._rating.labels(policy_variant).observe(rating)

    def policy_chosen(self, policy_variant: str, propensity: float) -> None:
        """Count a choice, and observe the probability with which it was made."""
        self._pulls.labels(policy_variant).inc()
        self._propensity.observe(propensity)

    def success_rate(self, policy_variant: str, rate: float) -> None:
        """Set the mean of a variant's posterior."""
        self._success_rate.labels(policy_variant).set(rate)

    def exploration_rate(self, rate: float) -> None:
        """Set the share of choices that explore."""
        self._exploration.set(rate)

    def variants(self, *, active: int, blacklisted: int) -> None:
        """Set how many variants calls may get, and how many they may not."""
        self._active.set(active)
        self._blacklisted.set(blacklisted)

    def know_acts(self, acts: Iterable[str]) -> None:
        """Begin the series of every act of the deploy guard at 0."""
        for act in acts:
            self._guard_acts.labels(act)

    def guard_acted(self, act: str) -> None:
        """Count what the deploy guard did by itself."""
        self._guard_acts.labels(act).inc()

    def stages(self, counts: Mapping[str, int]) -> None:
        """Set how many variants are in each stage."""
        for stage, count in counts.items():
            self._stages.labels(stage).set(count)

    def alarms(self, standing: Mapping[str, bool]) -> None:
        """Set for each of the guard's alarms whether it stands."""
        for alarm, stands in standing.items():
            self._guard_alarm.labels(alarm).set(stands)
