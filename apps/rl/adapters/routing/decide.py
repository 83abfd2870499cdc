"""Decides a prompt's route by seed 003's phases: heuristics, likeness, exploration. Pure.

1. A domain whose keywords are ``sure``, and no other one near it, gets the prompt.
2. Else likeness is asked too; the two are blended, and a domain that is ``sure`` then gets it.
3. What nothing is ``unsure`` about belongs to no domain: the base model answers.
4. Between lies the grey zone. There the bandit chooses among the domains that may be meant and the
   base model, by the rewards that such prompts had, with a floor so that each keeps being tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BASE = "base"
"""Stands for the base model without an adapter."""


class Phase(StrEnum):
    """What decided a route."""

    HEURISTIC = "heuristic"
    LIKENESS = "likeness"
    BANDIT = "bandit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """When a route is sure.

    Attributes:
        sure: A score from which on a domain is taken for meant.
        margin: By so much it must be above the next one.
        unsure: A score below which a domain is taken for not meant.
        floor: Share of the grey zone's prompts that goes to all candidates evenly.
    """

    sure: float = 0.7
    margin: float = 0.2
    unsure: float = 0.35
    floor: float = 0.1


@dataclass(frozen=True, slots=True)
class Route:
    """Where a prompt goes, and why.

    Attributes:
        domain: The domain, or ``BASE``.
        phase: What decided.
        confidence: Of the chosen one, in [0, 1]; for ``BASE`` how surely no domain is meant.
        scores: Of every domain, as the last phase that was asked saw them.
        propensity: The probability with which this was chosen; 1 outside the grey zone.
    """

    domain: str
    phase: Phase
    confidence: float
    scores: Mapping[str, float] = field(default_factory=dict)
    propensity: float = 1.0


class Chances(Protocol):
    """The bandit's probabilities."""

    def __call__(self, names: Sequence[str], /) -> NDArray[np.float64]:
        """Return each name's probability to be best; they sum to 1."""
        ...


def clearly(scores: Mapping[str, float], rules: RoutingRules) -> str | None:
    """Return the domain that is surely meant, or None."""
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    if not ranked or scores[ranked[0]] < rules.sure:
        return None
    second = scores[ranked[1]] if len(ranked) > 1 else 0.0
    return ranked[0] if scores[ranked[0]] - second >= rules.margin else None


def blended(keywords: Mapping[str, float], likeness: Mapping[str, float]) -> dict[str, float]:
    """Return both phases' scores as one: each may speak up where the other knows nothing."""
    return {
        name: 1.0 - (1.0 - keywords[name]) * (1.0 - likeness.get(name, 0.0)) for name in keywords
    }


def by_heuristics(keywords: Mapping[str, float], rules: RoutingRules) -> Route | None:
    """Return the first phase's route, or None where it is not sure."""
    meant = clearly(keywords, rules)
    if meant is None:
        return None
    return Route(meant, Phase.HEURISTIC, keywords[meant], keywords)


def by_both(
    scores: Mapping[str, float],
    rules: RoutingRules,
    chances: Chances,
    draw: float,
) -> Route:
    """Return the route of a prompt that keywords alone did not settle.

    Args:
        scores: See ``blended``.
        rules: When a route is sure.
        chances: The bandit's.
        draw: A random number in [0, 1) that settles what is left to chance.
    """
    meant = clearly(scores, rules)
    if meant is not None:
        return Route(meant, Phase.LIKENESS, scores[meant], scores)
    maybe = sorted(name for name, score in scores.items() if score >= rules.unsure)
    if not maybe:
        return Route(BASE, Phase.NONE, 1.0 - max(scores.values(), default=0.0), scores)
    names = [*maybe, BASE]
    p = (1.0 - rules.floor) * chances(names) + rules.floor / len(names)
    chosen = min(int(np.searchsorted(np.cumsum(p), draw, side="right")), len(names) - 1)
    confidence = scores.get(names[chosen], 1.0 - max(scores.values()))
    return Route(names[chosen], Phase.BANDIT, confidence, scores, float(p[chosen]))
