"""The quality score of feedback: how far it looks like a caller's, in [0, 1].

Seed 001 gives every feedback a ``quality_score`` for bots and oddities. Here it is a weighted mean
of parts that are each in [0, 1], stored with the event, so that it can be explained. Where too
little is known for a part, it is 1: nobody is suspected of being new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from apps.rl.abuse.checks import DAY_H, calls_of, gaps
from apps.rl.abuse.evidence import History, Limits, Told
from apps.rl.abuse.winsor import centre_and_scale

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"pace": 0.2, "variety": 0.25, "independence": 0.25, "plausibility": 0.15, "agreement": 0.15}
)
_SURE = 8.0
"""So many ratings make a pattern certain; fewer count in proportion."""
_NEAR = 0.02
"""Durations closer than this, relatively, are no variety."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A quality score and its parts, by the names in ``WEIGHTS``."""

    score: float
    parts: Mapping[str, float]


def quality(event: Told, history: History, limits: Limits) -> Quality:
    """Return the quality of an event."""
    parts = {
        "pace": _pace(event, history, limits),
        "variety": _variety(event, history, limits),
        "independence": _independence(event, history),
        "plausibility": _plausibility(event),
        "agreement": _agreement(event, history, limits),
    }
    return Quality(sum(WEIGHTS[name] * part for name, part in parts.items()), parts)


def _pace(event: Told, history: History, limits: Limits) -> float:
    """Half of a day's rewards cost nothing; twice of them, counting held ones too, cost all."""
    day = sum(abs(event.hour - o.hour) < DAY_H for o in calls_of(history.of_subject)) + 1
    return _falling(day, limits.per_day / 2, 2.0 * limits.per_day)


def _variety(event: Told, history: History, limits: Limits) -> float:
    """Return the share of the caller's calls that are no other one's double in length."""
    last = (event, *calls_of(history.of_subject))[: 2 * limits.regular_calls]
    lengths = [o.duration_s for o in last if o.duration_s is not None]
    if len(lengths) < limits.regular_calls:
        return 1.0
    near = gaps(lengths)
    return sum(gap > _NEAR for gap in near) / len(near)


def _independence(event: Told, history: History) -> float:
    """Return how little the caller's ratings are extreme and settled by the variant."""
    rated = [o for o in (event, *calls_of(history.of_subject)) if o.rating is not None]
    given = {(o.variant, o.rating) for o in rated}
    variants = {o.variant for o in rated}
    if len(rated) < 3 or len({stars for _, stars in given}) < 2 or len(variants) < 2:
        return 1.0  # one who always gives the same stars prefers nothing
    extreme = sum(o.rating in (1, 5) for o in rated) / len(rated)
    settled = sum(sum(v == name for v, _ in given) == 1 for name in variants) / len(variants)
    return 1.0 - extreme * settled * min(len(rated) / _SURE, 1.0)


def _plausibility(event: Told) -> float:
    """Return how well the signals go together."""
    signals, rating, length = event.signals, event.rating, event.duration_s
    solved, handover = signals.get("resolution"), signals.get("handover")
    odd = 0
    odd += rating == 5 and (solved is False or handover is True)
    odd += rating == 1 and solved is True
    odd += solved is True and handover is True
    odd += length is not None and length < 5.0
    return 0.5**odd


def _agreement(event: Told, history: History, limits: Limits) -> float:
    """Two robust standard deviations from the variant's median cost nothing; six cost all."""
    if len(history.of_variant) < limits.winsorise_from:
        return 1.0
    centre, scale = centre_and_scale([peer.reward for peer in history.of_variant])
    return _falling(abs(event.reward - centre) / scale, 2.0, 6.0)


def _falling(value: float, free: float, all_of_it: float) -> float:
    return min(max((all_of_it - value) / (all_of_it - free), 0.0), 1.0)
