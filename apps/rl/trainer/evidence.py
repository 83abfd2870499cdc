"""What the log itself says, by the probabilities with which its variants were drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from apps.core.policy import PolicySlots
from apps.rl.off_policy import (
    Evaluation,
    Log,
    Rules,
    evaluate_supported,
    from_decisions,
    predict_forward,
)
from apps.rl.trainer.calls import TrainingCall
from apps.rl.trainer.features import Encoder, Floats, Ints, slot_columns
from apps.rl.trainer.grid import by_slots
from apps.rl.trainer.reward_model import Fits
from apps.rl.trainer.slate import SlotEstimate

LEADER = "the model's favourite for each call"
"""A policy: each call gets the served variant that earlier calls speak for."""


def proper(calls: Sequence[TrainingCall]) -> Ints:
    """Return the calls whose logged probabilities are a distribution with what was chosen in it."""
    found = []
    for i, call in enumerate(calls):
        table = call.decision.propensities
        chosen = table.get(call.variant, 0.0)
        sums = abs(sum(table.values()) - 1.0) <= 1e-6 and min(table.values(), default=-1.0) >= 0.0
        if sums and 0.0 < chosen <= 1.0 and abs(chosen - call.decision.propensity) <= 1e-9:
            found.append(i)
    return np.array(found, np.intp)


def log_of(calls: Sequence[TrainingCall], arms: Sequence[str]) -> Log:
    """Return calls as a log for off-policy evaluation."""
    contextual = any(call.decision.policy.startswith("linear") for call in calls)
    return from_decisions([(c.decision, c.reward) for c in calls], arms, contextual=contextual)


def policies(
    calls: Sequence[TrainingCall],
    sound: Ints,
    fits: Fits,
    encoder: Encoder,
    *,
    floor: float,
    level: float,
    seed: int,
) -> dict[str, Evaluation]:
    """Return what each served variant alone would have earned, and the model's favourites.

    Args:
        calls: The calls.
        sound: Those with ``proper`` probabilities.
        fits: Of reward models of these calls.
        encoder: Of the features.
        floor: Fewer effective calls than this are refused.
        level: Of the intervals.
        seed: Of the bootstrap.
    """
    if not len(sound):
        return {}
    kept = [calls[i] for i in sound]
    arms = sorted({name for call in kept for name in call.decision.propensities})
    log = log_of(kept, arms)
    slots = {call.variant: call.slots for call in kept}
    served = list(slots.values())
    contexts, blocks = encoder.contexts(kept), encoder.blocks

    def fit_before(train: Ints) -> Callable[[Ints], Floats]:
        model = fits.of(sound[train])

        def predict(asked: Ints) -> Floats:
            own = dict(zip(encoder.variants, model.weights[blocks.variants], strict=True))
            columns = slot_columns([slots.get(arm, served[0]) for arm in arms])
            rest = np.array([own.get(arm, 0.0) for arm in arms])
            predicted: Floats = encoder.table(model.weights, columns, contexts[asked]) + rest
            return predicted

        return predict

    forward = predict_forward(log, fit_before, blocks=6)
    asked = Rules(ess_floor=floor, level=level, replicates=300, seed=seed)
    targets = {arm: np.eye(len(arms))[j] for j, arm in enumerate(arms) if arm in slots}
    found = {
        arm: evaluate_supported(log, target, model=forward, rules=asked)
        for arm, target in targets.items()
    }
    assert log.propensities is not None
    open_ = np.where(log.propensities > 0, forward, -np.inf)
    leader = np.eye(len(arms))[open_.argmax(axis=1)]
    found[LEADER] = evaluate_supported(log, leader, model=forward, rules=asked)
    return found


def slot_wise(
    calls: Sequence[TrainingCall],
    sound: Ints,
    fits: Fits,
    encoder: Encoder,
    slots: Mapping[str, PolicySlots],
    known_base: str,
    *,
    floor: float,
    level: float,
) -> dict[PolicySlots, SlotEstimate]:
    """Return off-policy estimates of all combinations; none where no calls allow any.

    Args:
        calls: The calls.
        sound: Those with ``proper`` probabilities.
        fits: Of reward models of these calls.
        encoder: Of the features.
        slots: What each known variant sets.
        known_base: The base variant's id.
        floor: Fewer effective calls than this are refused.
        level: Of the intervals.
    """
    usable = [
        i
        for i in sound
        if all(name in slots or not p for name, p in calls[i].decision.propensities.items())
    ]
    if len(usable) < floor:
        return {}
    kept = [calls[i] for i in usable]
    arms = sorted({name for call in kept for name in call.decision.propensities})
    base = slots[known_base]
    at = np.array(usable, np.intp)
    return by_slots(
        kept,
        log_of(kept, arms),
        [slots.get(arm, base) for arm in arms],  # an unknown one had no chance in these calls
        base,
        encoder,
        lambda train: fits.of(at[train]),
        floor=floor,
        level=level,
    )
