"""A store as days of simulated calls through bandit and guard would have left it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.stages import Stage
from apps.rl.reward_calc import RewardCalculator
from apps.rl.simulator import World
from apps.rl.simulator.callers import Calls
from apps.rl.simulator.outcomes import CallOutcome
from apps.store.decisions import DecisionRow, add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from benchmarks.learning.scenarios import SCENARIOS

FIRST_HOUR = datetime(2026, 5, 4, 8, tzinfo=UTC)
_CALCULATOR = RewardCalculator()


def serve(guard: DeployGuard, calls: int, *, seed: int = 1, batch: int = 25) -> None:
    """Let a guard serve simulated calls, in batches that learn at their end.

    Some feedback is held, some calls get a late rating, and some are abandoned.
    """
    world = World(SCENARIOS["stationary"], seed)
    rng = np.random.default_rng(seed)
    for begin in range(0, calls, batch):
        people = world.calls(min(batch, calls - begin))
        outcomes = world.outcomes(people)
        guard.catch_up()
        now = guard.allocation()
        with guard.bandit.db.transaction() as conn:
            for i in range(len(people)):
                variant = now.draw(float(rng.random()))
                hour = FIRST_HOUR + timedelta(hours=(begin + i) // 8)
                decision = _decision(world, people, i, variant, now.probabilities, now.stages)
                add_decision(conn, replace(decision, at_hour=hour))
                outcome = outcomes.of(i, world.ids.index(variant))
                held = "quality" if rng.random() < 0.02 else None
                event = _event(decision, outcome, held)
                append_feedback(conn, replace(event, at_hour=hour))
    guard.catch_up()


def _decision(
    world: World,
    people: Calls,
    i: int,
    variant: str,
    chances: dict[str, float],
    stages: dict[str, Stage],
) -> DecisionRow:
    return DecisionRow(
        call_ref=f"call{int(people.index[i])}",
        variant=variant,
        propensity=chances[variant],
        propensities=chances,
        stages={name: stage.value for name, stage in stages.items()},
        why="",
        learns=True,
        state_version=0,
        context=people.context(world.scenario, i),
        subject=f"caller{int(people.subject[i])}",
        stage=stages[variant].value,
        policy="nig",
    )


def _event(decision: DecisionRow, outcome: CallOutcome, held: str | None) -> FeedbackRow:
    reward = None if outcome.abandoned else _CALCULATOR.calculate(outcome.signals)
    return FeedbackRow(
        event_id=f"call-{decision.call_ref}",
        kind=FeedbackKind.ABANDONED if reward is None else FeedbackKind.FEEDBACK,
        variant=decision.variant,
        reward=None if reward is None else reward.value,
        call_ref=decision.call_ref,
        profile=str(decision.context["profile"]),
        rating=outcome.signals.user_rating,
        rating_offered=outcome.rating_offered,
        rating_answered=outcome.rating_answered,
        context=decision.context,
        signals=outcome.signals.model_dump(),
        components={} if reward is None else reward.components,
        missing=() if reward is None else reward.missing,
        subject=decision.subject,
        held=held,
    )
