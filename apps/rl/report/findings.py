"""All that the report shows, worked out of what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from apps.rl.abuse.release import Held
from apps.rl.deploy_guard import VariantStatus
from apps.rl.guard.health import Health
from apps.rl.missing import Diagnosis, Estimate, diagnose, estimates, fit, from_events
from apps.rl.off_policy import Rules
from apps.rl.policies import Policy
from apps.rl.report.course import Makeup, Posteriors, Traffic, makeups, posteriors, traffic
from apps.rl.report.evaluations import Judgement, Now, judge
from apps.rl.report.history import History
from apps.rl.report.regret import LEAST_PULLS, Regret, from_log, from_posteriors, regret
from apps.store.deployment import DeploymentRow

POSTERIOR, LOG = "the policy's posteriors", "off-policy estimates"


@dataclass(frozen=True, slots=True)
class Material:
    """What the report is made of.

    Attributes:
        history: Choices and feedback.
        acts: What operators and the guard did, in order.
        held: Feedback that was held, the newest first.
        status: Where every variant stands.
        health: How the deployment is.
        base: The base variant.
        policy: The policy of the settings, before it has learned anything.
        now: What it would choose now.
        newest: Of the rewarded calls, only so many of the newest count.
        sandbox: Whether the callers were simulated.
    """

    history: History
    acts: Sequence[DeploymentRow]
    held: Sequence[Held]
    status: Mapping[str, VariantStatus]
    health: Health
    base: str
    policy: Policy
    now: Now
    newest: int
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """What is shown.

    Attributes:
        material: What it was worked out of.
        posteriors: What the policy knew over time.
        traffic: Who was served with what.
        regret: By each source that allows one.
        makeups: What rewards are made of, by variant.
        ratings: Given and corrected, by variant.
        answers: How well it is known who answers; None on too few ratings.
        judged: Off-policy estimates.
        unknown: What is not known on so little data, in sentences.
    """

    material: Material
    posteriors: Posteriors
    traffic: Traffic
    regret: tuple[Regret, ...]
    makeups: Mapping[str, Makeup]
    ratings: Mapping[str, Estimate]
    answers: Diagnosis | None
    judged: Judgement
    unknown: tuple[str, ...]


def work_out(
    material: Material,
    *,
    rules: Rules | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Findings:
    """Return what the report shows; the same material gives the same.

    Args:
        material: What was read.
        rules: Of the off-policy evaluation.
        progress: Is told each step as it begins.
    """
    history, names = material.history, list(material.status)
    progress("Folding the events")
    course = posteriors(history.events, material.policy, names)
    progress("Correcting ratings for who answered")
    rated = from_events(history.events, names)
    fitted = fit(rated)
    judged = judge(history, names, now=material.now, rules=rules, progress=progress)
    progress("Summing up regret")
    served = [call.variant for call in history.calls]
    found = (
        regret(served, from_posteriors(course), POSTERIOR),
        regret(served, from_log(judged, names), LOG),
    )
    ratings = estimates(rated, fitted=fitted)
    sums = tuple(each for each in found if each is not None)
    return Findings(
        material=material,
        posteriors=course,
        traffic=traffic(history.decisions),
        regret=sums,
        makeups=makeups(history.calls),
        ratings=ratings,
        answers=None if fitted is None else diagnose(rated, fitted),
        judged=judged,
        unknown=tuple(_unknown(material, course, ratings, judged, sums)),
    )


def held_by_reason(held: Sequence[Held]) -> dict[str, tuple[int, int]]:
    """Return how much feedback was held and how much of it released, by reason."""
    reasons = Counter(str(one.event.held) for one in held)
    released = Counter(str(one.event.held) for one in held if one.released)
    return {reason: (count, released[reason]) for reason, count in reasons.most_common()}


def _unknown(
    material: Material,
    course: Posteriors,
    ratings: Mapping[str, Estimate],
    judged: Judgement,
    sums: Sequence[Regret],
) -> list[str]:
    history, names = material.history, list(material.status)
    if not history.decisions:
        return ["No call has been served yet: nothing is known of any variant."]
    if not history.calls:
        return ["No call has been rewarded yet: nothing can be said of any variant."]
    found = []
    few = [name for name in names if course.pulls[name] < LEAST_PULLS]
    if few:
        found.append(
            f"How good these are is hardly known, with fewer than {LEAST_PULLS} rewards each: "
            f"{', '.join(few)}."
        )
    refused = [p.policy for p in judged.policies if p.logged.refusal is not None]
    if refused:
        found.append(
            "What these would have earned with all callers cannot be told from the log: "
            f"{', '.join(refused)}."
        )
    silent = [name for name in names if ratings[name].calls and ratings[name].too_little]
    if silent:
        found.append(f"Too few ratings to correct for who answered: {', '.join(silent)}.")
    if not sums:
        found.append("Regret needs two variants of which enough is known.")
    if judged.improper:
        found.append(f"{judged.improper} calls have no usable probabilities.")
    return found
