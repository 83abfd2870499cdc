"""Notices that rewards are not what they were: Page's cumulative sum, a running Bayes factor.

Each reward's forecast error, in standard deviations, speaks for or against rewards having dropped
by ``shift`` standard deviations. The evidence adds up as a log Bayes factor that never falls below
0, for each place (a segment, a variant) by itself; above the threshold the change is taken as a
fact (Page, Biometrika 1954; West & Harrison, Bayesian Forecasting and Dynamic Models, 11.4).

Only drops count: what has become better is found soon enough by those who exploit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

MAX_PLACES = 64
"""Further places share one sum."""

_OUTLIER = 2.5


@dataclass(frozen=True, slots=True)
class Monitor:
    """The evidence so far.

    Attributes:
        threshold: Log Bayes factor from which on it is a change; 0 never finds one.
        shift: The drop that is looked for, in standard deviations of a forecast error.
        evidence: By place.
        changes: How many were found.
        since: Rewards counted since the last one, or since the beginning.
    """

    threshold: float = 7.0
    shift: float = 0.25
    evidence: Mapping[str, float] = field(default_factory=dict)
    changes: int = 0
    since: int = 0

    def remembers(self, age: int) -> bool:
        """Return whether a reward with so many counted after it still counts."""
        return age < self.since

    def after(self, place: str, error: float) -> Monitor:
        """Return the monitor after one more reward; ``since`` is 0 if that shows a change.

        Args:
            place: Where it was.
            error: The reward less its forecast, in standard deviations of the forecast.
        """
        if self.threshold <= 0.0:
            return replace(self, since=self.since + 1)
        if place not in self.evidence and len(self.evidence) >= MAX_PLACES:
            place = ""
        bounded = min(max(error, -_OUTLIER), _OUTLIER)
        gained = -self.shift * bounded - self.shift**2 / 2
        evidence = max(self.evidence.get(place, 0.0) + gained, 0.0)
        if evidence > self.threshold:
            return replace(self, evidence={}, changes=self.changes + 1, since=0)
        return replace(self, evidence={**self.evidence, place: evidence}, since=self.since + 1)

    def to_json(self) -> dict[str, Any]:
        """Return what it has found."""
        return {
            "evidence": dict(self.evidence),
            "changes": self.changes,
            "since": self.since,
        }

    def from_json(self, data: Mapping[str, Any]) -> Monitor:
        """Return a monitor of these settings with what another one had written.

        Raises:
            ValueError: The numbers cannot be.
        """
        evidence = {str(place): float(value) for place, value in data["evidence"].items()}
        changes, since = int(data["changes"]), int(data["since"])
        if min(changes, since) < 0 or not all(map(isfinite, evidence.values())):
            raise ValueError("a monitor that cannot be")
        return replace(self, evidence=evidence, changes=changes, since=since)
