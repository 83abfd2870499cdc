"""Figures: how often a caller is cut off, and how long a finished one waits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.voice.turn_options import TurnOptions
from benchmarks.turns.hearing import Outcome
from benchmarks.turns.sound import Recording

BOUNDS_MS = (200.0, 2500.0)
Scored = tuple[Recording, Outcome]


@dataclass(frozen=True, slots=True)
class Ends:
    """How the ends of some turns were found.

    Attributes:
        turns: How many there were.
        cut: Share whose end was declared before the caller's last sound.
        missed: Share whose end, or start, was never noticed.
        median_ms: From the true end to the declared one, of those neither cut nor missed.
        p90_ms: The same, nine in ten are within.
    """

    turns: int
    cut: float
    missed: float
    median_ms: float
    p90_ms: float


@dataclass(frozen=True, slots=True)
class Breaks:
    """What became of voice over the assistant, for one class of it.

    Attributes:
        sounds: How many there were.
        right: Share that was decided right: a `BargeIn` for an interruption, none for the rest.
        held: Share that made the assistant fall silent.
        hold_ms: Median time from the first sound to that.
        hold_p95_ms: The same, 19 in 20 are within.
        decided_ms: Median time from the first sound to the `BargeIn`, or to going on.
    """

    sounds: int
    right: float
    held: float
    hold_ms: float
    hold_p95_ms: float
    decided_ms: float


def ends(scored: Iterable[Scored]) -> Ends:
    """Score turns."""
    delays: list[float] = []
    cut = missed = 0
    for recording, outcome in scored:
        if outcome.ended_ms is None:
            missed += 1
        elif outcome.ended_ms < recording.last_ms:
            cut += 1
        else:
            delays.append(outcome.ended_ms - recording.last_ms)
    turns = len(delays) + cut + missed
    return Ends(
        turns,
        _share(cut, turns),
        _share(missed, turns),
        percentile(delays, 50),
        percentile(delays, 90),
    )


def breaks(scored: Sequence[Scored]) -> Breaks:
    """Score voice over the assistant; all of one class."""
    right = sum(is_right(recording, outcome) for recording, outcome in scored)
    holds = [o.hold_ms - r.first_ms for r, o in scored if o.hold_ms is not None]
    decided = [
        moment - recording.first_ms
        for recording, outcome in scored
        for moment in (outcome.barge_in_ms, outcome.settled_ms)
        if moment is not None
    ]
    return Breaks(
        len(scored),
        _share(right, len(scored)),
        _share(len(holds), len(scored)),
        percentile(holds, 50),
        percentile(holds, 95),
        percentile(decided, 50),
    )


def is_right(recording: Recording, outcome: Outcome) -> bool:
    """Whether voice over the assistant was taken for what it was."""
    meant = recording.utterance.kind == "interruption"
    return (outcome.barge_in_ms is not None) == meant


def scaled(options: TurnOptions, factor: float) -> TurnOptions:
    """Return options whose endpointing delays are so many times as long, within the bounds."""
    low, high = BOUNDS_MS

    def bounded(ms: float) -> float:
        return min(high, max(low, ms * factor))

    return replace(
        options,
        complete_ms=bounded(options.complete_ms),
        endpoint_ms=bounded(options.endpoint_ms),
        hanging_ms=bounded(options.hanging_ms),
    )


def percentile(values: Sequence[float], rank: float) -> float:
    """Return a percentile by the nearest rank; not a number when there are no values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(rank / 100 * len(values)) - 1)]


def _share(count: int, total: int) -> float:
    return count / total if total else math.nan
