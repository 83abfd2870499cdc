"""How posteriors and traffic went, and what rewards are made of: pure folds of the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from apps.rl.policies import Policy
from apps.rl.policies.policy import Estimate
from apps.rl.posterior import BanditState, fold
from apps.rl.trainer.calls import TrainingCall
from apps.store.decisions import DecisionRow
from apps.store.feedback import FeedbackRow

POINTS = 24
WINDOWS = 30
_SMALLEST_WINDOW = 20


@dataclass(frozen=True, slots=True)
class Posteriors:
    """What the policy knew at some moments.

    Attributes:
        at: Rewards counted by then, of all variants.
        estimates: By variant, one for each moment.
        pulls: By variant, at the end.
    """

    at: tuple[int, ...]
    estimates: Mapping[str, tuple[Estimate, ...]]
    pulls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who was served with what, by stretches of equally many calls.

    Attributes:
        until: The number of calls at each stretch's end.
        hours: When each one ended.
        counts: By variant, its calls in each stretch; most calls first.
    """

    until: tuple[int, ...]
    hours: tuple[datetime | None, ...]
    counts: Mapping[str, tuple[int, ...]]

    def shares(self, variant: str) -> list[float]:
        """Return a variant's share of each stretch."""
        sizes = np.diff(self.until, prepend=0)
        return [float(n / size) for n, size in zip(self.counts[variant], sizes, strict=True)]


@dataclass(frozen=True, slots=True)
class Makeup:
    """What a variant's rewards are made of, on average.

    Attributes:
        calls: Rewarded calls.
        reward: Their mean.
        parts: Mean of each component, a call in which it is not known counting 0.
    """

    calls: int
    reward: float
    parts: Mapping[str, float]


def posteriors(
    events: Sequence[FeedbackRow], policy: Policy, names: Sequence[str], *, points: int = POINTS
) -> Posteriors:
    """Return what a policy knew over time, by folding the events anew.

    Args:
        events: All, in the order of the store.
        policy: Before it has learned anything.
        names: The variants to look at.
        points: At most so many moments.
    """
    state = BanditState("", policy=policy)
    at = [0]
    found: dict[str, list[Estimate]] = {name: [policy.estimate(name)] for name in names}
    for rows in np.array_split(np.arange(len(events)), min(points, len(events)) or 1):
        state = fold(state, [events[i] for i in rows])
        counted = sum(arm.pulls for arm in state.arms.values())
        if counted > at[-1]:
            at.append(counted)
            for name in names:
                found[name].append(state.policy.estimate(name))
    return Posteriors(
        tuple(at),
        {name: tuple(row) for name, row in found.items()},
        {name: state.arm(name).pulls for name in names},
    )


def traffic(decisions: Sequence[DecisionRow], *, windows: int = WINDOWS) -> Traffic:
    """Return who was served with what over time.

    Args:
        decisions: In the order of the store.
        windows: At most so many stretches; fewer where they would be of a few calls only.
    """
    stretches = max(1, min(windows, len(decisions) // _SMALLEST_WINDOW))
    parts = [p for p in np.array_split(np.arange(len(decisions)), stretches) if len(p)]
    counted = [Counter(decisions[i].variant for i in part) for part in parts]
    everything = Counter(d.variant for d in decisions)
    return Traffic(
        tuple(int(part[-1]) + 1 for part in parts),
        tuple(decisions[part[-1]].at_hour for part in parts),
        {name: tuple(c[name] for c in counted) for name, _ in everything.most_common()},
    )


def makeups(calls: Sequence[TrainingCall]) -> dict[str, Makeup]:
    """Return what rewards are made of, by variant; the best mean reward first."""
    by_variant: dict[str, list[TrainingCall]] = {}
    for call in calls:
        by_variant.setdefault(call.variant, []).append(call)
    signals = sorted({name for call in calls for name in call.components})
    found = {
        variant: Makeup(
            len(mine),
            float(np.mean([c.reward for c in mine])),
            {s: float(np.mean([c.components.get(s, 0.0) for c in mine])) for s in signals},
        )
        for variant, mine in by_variant.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].reward))
