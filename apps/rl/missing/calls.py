"""Rewarded calls as arrays: who was asked for a rating, who gave one, and what is known of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.rl.reward_calc import RewardWeights
from apps.store.feedback import FeedbackKind, FeedbackRow

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

RATING = "user_rating"
_NOT_OF_THE_CALL = (RATING, "winsorised")
_WORDS = ("profile", "language", "time_of_day")
_NUMBERS = ("stt_confidence", "latency_ms", "noise_db")


@dataclass(frozen=True, slots=True, eq=False)
class RatedCalls:
    """Rewarded calls; n of them, of k variants, with d features.

    Attributes:
        variants: The variants' ids.
        variant: Index of each call's variant, shape (n,).
        asked: Who was asked for a rating, or could give one, shape (n,).
        rating: The stars, 1 to 5; NaN where there are none, shape (n,).
        rest: The reward without its rating term, shape (n,).
        features: What may explain both the answering and the stars, shape (n, d); each column
            centred and scaled to about one, without an intercept.
        names: The features' names.
        caller: A number for each caller, shape (n,); calls of one caller are not independent.
    """

    variants: tuple[str, ...]
    variant: Ints
    asked: Bools
    rating: Floats
    rest: Floats
    features: Floats
    names: tuple[str, ...]
    caller: Ints

    def __len__(self) -> int:
        return len(self.variant)

    @property
    def answered(self) -> Bools:
        """Return who gave a rating, shape (n,)."""
        return np.isfinite(self.rating)


def from_events(events: Iterable[FeedbackRow], variants: Sequence[str] | None = None) -> RatedCalls:
    """Return the rewarded calls of a feedback store, each with its newest rating.

    Held events, trial calls, abandoned calls and rewards set by hand are left out.

    Args:
        events: In order.
        variants: Which variants to look at, and in which order; all there are when None.
    """
    calls: dict[str, FeedbackRow] = {}
    for event in events:
        told = event.kind in (FeedbackKind.FEEDBACK, FeedbackKind.REVISION)
        if told and event.learns and event.held is None and event.reward is not None:
            calls[event.call_ref or event.event_id] = event
    names = tuple(sorted({e.variant for e in calls.values()}) if variants is None else variants)
    rows = [event for event in calls.values() if event.variant in names]
    index = {name: i for i, name in enumerate(names)}
    callers: dict[str, int] = {}
    caller = [callers.setdefault(e.subject or e.event_id, len(callers)) for e in rows]
    variant = np.array([index[e.variant] for e in rows], np.intp)
    columns = described([_facts(event) for event in rows])
    columns |= {f"variant {name}": (variant == i) * 1.0 for i, name in enumerate(names[1:], 1)}
    features, kept = scaled(columns, len(rows))
    return RatedCalls(
        variants=names,
        variant=variant,
        asked=np.array([e.rating_offered or e.rating is not None for e in rows], bool),
        rating=np.array([math.nan if e.rating is None else e.rating for e in rows], float),
        rest=np.array([_rest(event) for event in rows], float),
        features=features,
        names=kept,
        caller=np.array(caller, np.intp),
    )


def rating_term(rating: Floats, weights: RewardWeights | None = None) -> Floats:
    """Return what ratings add to rewards, by the reward's formula."""
    term: Floats = (weights or RewardWeights()).rating * (rating - 3.0) / 2.0
    return term


def described(facts: Sequence[Mapping[str, object]]) -> dict[str, Floats]:
    """Return facts of calls as columns: words one by one, numbers as they are.

    A number that is not known is the mean of those that are, and a column says that it was not:
    that a matter's end is not known tells a lot about whether a rating will be.
    """
    columns: dict[str, Floats] = {}
    for name in sorted({name for some in facts for name in some}):
        values = [some.get(name) for some in facts]
        known = [v for v in values if v is not None]
        if all(isinstance(v, str) for v in known):
            for word in sorted({str(v) for v in known})[1:]:
                columns[f"{name} {word}"] = np.array([v == word for v in values], float)
        else:
            numbers = np.array([math.nan if v is None else float(str(v)) for v in values])
            missing = np.isnan(numbers)
            columns[name] = np.where(missing, np.nanmean(numbers), numbers)
            columns[f"{name} unknown"] = missing * 1.0
    return columns


def scaled(columns: Mapping[str, Floats], n: int) -> tuple[Floats, tuple[str, ...]]:
    """Return columns centred and scaled, shape (n, d), and the names of those that vary at all."""
    kept: dict[str, Floats] = {}
    for name, column in columns.items():
        spread = float(column.std()) if n else 0.0
        if spread > 1e-9:
            kept[name] = (column - column.mean()) / spread
    table = np.stack(list(kept.values()), axis=1) if kept else np.zeros((n, 0))
    return table, tuple(kept)


def _facts(event: FeedbackRow) -> dict[str, object]:
    signals, context = event.signals, event.context
    facts: dict[str, object] = {n: context[n] for n in _WORDS if isinstance(context.get(n), str)}
    facts.setdefault("profile", event.profile)
    facts |= {name: context[name] for name in _NUMBERS if _is_number(context.get(name))}
    resolution, handover, returning = (
        signals.get("resolution"),
        signals.get("handover"),
        context.get("returning"),
    )
    facts["resolution"] = None if resolution is None else float(bool(resolution))
    facts["handover"] = None if handover is None else float(bool(handover))
    facts["returning"] = None if returning is None else float(bool(returning))
    for name in ("barge_in_count", "repeats"):
        count = signals.get(name)
        facts[name] = min(count, 3) if isinstance(count, int) else None
    length = signals.get("duration_sec")
    facts["duration"] = math.log1p(length) if isinstance(length, int | float) else None
    return facts


def _is_number(value: object) -> bool:
    """Return whether it can be reckoned with: a context may say anything, as it was given."""
    return isinstance(value, int | float) and math.isfinite(value)


def _rest(event: FeedbackRow) -> float:
    return math.fsum(v for name, v in event.components.items() if name not in _NOT_OF_THE_CALL)
