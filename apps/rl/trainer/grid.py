"""Every combination of slots, scored three ways: reward model, off-policy, pairwise preferences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from apps.core.policy import PolicySlots
from apps.rl.off_policy import Log, predict_forward
from apps.rl.trainer.calls import TrainingCall
from apps.rl.trainer.features import ALL_SLOTS, Encoder, Floats, Ints, slot_columns
from apps.rl.trainer.preferences import Preferences
from apps.rl.trainer.reward_model import RewardModel
from apps.rl.trainer.slate import SlotEstimate, against_base

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Score:
    """One combination of slots.

    Attributes:
        slots: The combination.
        variants: Who serves it already; empty for nobody.
        mean: The reward that the model expects, over the callers of the log.
        error: Its standard deviation.
        low: Lower end of the reward's interval.
        high: Upper end.
        gain: How much more than the base variant it is expected to earn.
        gain_error: Its standard deviation.
        better: Probability that it earns more than the base variant.
        best: Probability that it earns more than the variant that is thought the best served.
        off_policy: What the log says, slot by slot, without believing the model.
        preferred: By how much callers would rather have it than the base variant, in log odds.
        preferred_error: Its standard deviation.
        parts: What each signal adds to the gain.
    """

    slots: PolicySlots
    variants: tuple[str, ...]
    mean: float
    error: float
    low: float
    high: float
    gain: float
    gain_error: float
    better: float
    best: float
    off_policy: SlotEstimate | None = None
    preferred: float = 0.0
    preferred_error: float = math.inf
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def served(self) -> bool:
        """Return whether a variant is this combination."""
        return bool(self.variants)


def search(
    encoder: Encoder,
    model: RewardModel,
    contexts: Floats,
    known: Mapping[str, PolicySlots],
    base: str,
    *,
    widening: float = 1.0,
    level: float = 0.95,
    wisdom: Mapping[PolicySlots, SlotEstimate] | None = None,
    preferences: Preferences | None = None,
) -> tuple[Score, ...]:
    """Return every combination's score, in the order of ``ALL_SLOTS``.

    Args:
        encoder: Of the model.
        model: The reward model.
        contexts: The calls that rewards are averaged over, encoded, shape (n, context).
        known: The slots of every variant there is.
        base: The base variant's id.
        widening: By how much the errors of unserved combinations are widened (validation.py).
        level: Of the intervals.
        wisdom: Off-policy estimates by combination.
        preferences: Strengths of the slots' columns.
    """
    rows = _population_rows(encoder, contexts, known)
    holders = _holders(known)
    means, errors = model.predict(rows), _errors(model, rows, holders, widening)
    at = ALL_SLOTS.index(known[base])
    leader = max((i for i, s in enumerate(ALL_SLOTS) if s in holders), key=lambda i: means[i])
    gains, gain_errors = _against(model, rows, at, holders, widening)
    beyond, beyond_errors = _against(model, rows, leader, holders, widening)
    liked, liked_errors = _liked(preferences, at)
    reach = _NORMAL.inv_cdf((1 + level) / 2)
    return tuple(
        Score(
            slots=slots,
            variants=holders.get(slots, ()),
            mean=float(means[i]),
            error=float(errors[i]),
            low=float(means[i] - reach * errors[i]),
            high=float(means[i] + reach * errors[i]),
            gain=float(gains[i]),
            gain_error=float(gain_errors[i]),
            better=_above(float(gains[i]), float(gain_errors[i])),
            best=_above(float(beyond[i]), float(beyond_errors[i])),
            off_policy=(wisdom or {}).get(slots),
            preferred=float(liked[i]),
            preferred_error=float(liked_errors[i]),
            parts={n: float((rows[i] - rows[at]) @ w) for n, w in model.parts.items()},
        )
        for i, slots in enumerate(ALL_SLOTS)
    )


def by_slots(
    calls: Sequence[TrainingCall],
    log: Log,
    arms: Sequence[PolicySlots],
    base: PolicySlots,
    encoder: Encoder,
    fit: Callable[[Ints], RewardModel],
    *,
    floor: float = 50.0,
    level: float = 0.95,
) -> dict[PolicySlots, SlotEstimate]:
    """Return the slot-wise off-policy estimate of every combination.

    The reward model in it is fitted forward: each block of calls by the calls before.

    Args:
        calls: The calls.
        log: The same as a log.
        arms: The slots of the log's columns.
        base: The base variant's slots.
        encoder: Of the features.
        fit: Returns the model of some of the calls.
        floor: Fewer effective calls than this are refused.
        level: Of the intervals.
    """
    contexts = encoder.contexts(calls)
    columns = slot_columns(ALL_SLOTS)
    at = ALL_SLOTS.index(base)

    def fit_before(train: Ints) -> Callable[[Ints], Floats]:
        model = fit(train)

        def predict(asked: Ints) -> Floats:
            return encoder.table(model.weights, columns, contexts[asked])

        return predict

    wide = Log(
        np.array([ALL_SLOTS.index(arms[i]) for i in log.chosen], np.intp),
        log.reward,
        log.propensity,
        len(ALL_SLOTS),
    )
    forward = predict_forward(wide, fit_before, blocks=6)
    served = forward[np.arange(len(log)), wide.chosen]
    gains = forward - forward[:, [at]]
    estimates = against_base(log, arms, ALL_SLOTS, base, gains, served, floor=floor, level=level)
    return dict(zip(ALL_SLOTS, estimates, strict=True))


def _population_rows(
    encoder: Encoder, contexts: Floats, known: Mapping[str, PolicySlots]
) -> Floats:
    """Return each combination's mean row: rows are linear in the context, so its mean is enough."""
    middle = contexts.mean(axis=0)
    seen = {known[name]: name for name in encoder.variants if name in known}
    return encoder.design(
        slot_columns(ALL_SLOTS),
        np.tile(middle, (len(ALL_SLOTS), 1)),
        [seen.get(slots) for slots in ALL_SLOTS],
    )


def _holders(known: Mapping[str, PolicySlots]) -> dict[PolicySlots, tuple[str, ...]]:
    holders: dict[PolicySlots, tuple[str, ...]] = {}
    for name, slots in known.items():
        holders[slots] = (*holders.get(slots, ()), name)
    return holders


def _errors(
    model: RewardModel,
    rows: Floats,
    holders: Mapping[PolicySlots, tuple[str, ...]],
    widening: float,
) -> Floats:
    """Return standard deviations; those of combinations that nobody serves are wider.

    They have a rest of their own, of which nothing is known.
    """
    novel = _novel(holders)
    spread = model.spread(rows)
    return np.where(novel, widening * np.sqrt(spread**2 + model.novel), spread)


def _against(
    model: RewardModel,
    rows: Floats,
    at: int,
    holders: Mapping[PolicySlots, tuple[str, ...]],
    widening: float,
) -> tuple[Floats, Floats]:
    steps = rows - rows[at]
    novel = _novel(holders)
    spread = model.spread(steps)
    wide = np.where(novel, widening * np.sqrt(spread**2 + model.novel), spread)
    return model.predict(steps), wide


def _novel(holders: Mapping[PolicySlots, tuple[str, ...]]) -> np.ndarray:
    return np.array([slots not in holders for slots in ALL_SLOTS])


def _liked(preferences: Preferences | None, at: int) -> tuple[Floats, Floats]:
    columns = slot_columns(ALL_SLOTS)
    if preferences is None:
        return np.zeros(len(columns)), np.full(len(columns), math.inf)
    return preferences.compare(columns, columns[at])


def _above(gain: float, error: float) -> float:
    return _NORMAL.cdf(gain / error) if error > 0 else float(gain > 0)
