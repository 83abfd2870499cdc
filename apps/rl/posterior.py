"""The bandit's state as a pure fold over feedback events, and its snapshot as JSON.

A reward r in [-1, 1] is a success of size p = (r + 1) / 2: it adds p to alpha and 1 - p to beta.
Only events that carry a reward and may teach count. The fold adds in the order of the events'
``seq``, so folding on and rebuilding give the same numbers to the last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.errors import StoreError
from apps.rl.variants import Prior
from apps.store.feedback import FeedbackRow

SNAPSHOT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Arm:
    """What was seen of one variant.

    Attributes:
        pulls: Rewarded calls, and rewards set by hand.
        success: Sum of (r + 1) / 2.
    """

    pulls: int = 0
    success: float = 0.0

    @property
    def mean_reward(self) -> float | None:
        """Return the mean reward in [-1, 1]; None before the first pull."""
        return 2.0 * self.success / self.pulls - 1.0 if self.pulls else None

    def posterior(self, prior: Prior) -> tuple[float, float]:
        """Return alpha and beta of the success rate's Beta posterior."""
        failure = max(self.pulls - self.success, 0.0)
        return prior.alpha + self.success, prior.beta + failure

    def success_rate(self, prior: Prior) -> float:
        """Return the posterior's mean, in [0, 1]."""
        alpha, beta = self.posterior(prior)
        return alpha / (alpha + beta)

    def rewarded(self, reward: float) -> Arm:
        """Return the arm after one more reward in [-1, 1]."""
        return Arm(self.pulls + 1, self.success + (reward + 1.0) / 2.0)

    def since(self, earlier: Arm) -> Arm:
        """Return what was seen after an earlier state of this arm."""
        return Arm(self.pulls - earlier.pulls, max(self.success - earlier.success, 0.0))


@dataclass(frozen=True, slots=True)
class BanditState:
    """All arms, as of one position in the feedback store.

    Attributes:
        store_id: The database whose events these are.
        last_seq: The last event folded; 0 for none.
        arms: By variant; one without events may be missing.
    """

    store_id: str
    last_seq: int = 0
    arms: Mapping[str, Arm] = field(default_factory=dict)

    def arm(self, variant: str) -> Arm:
        """Return a variant's arm, an empty one if nothing was seen of it."""
        return self.arms.get(variant, Arm())


def fold(state: BanditState, events: Iterable[FeedbackRow]) -> BanditState:
    """Return the state after further events; those it knows already are passed over."""
    arms = dict(state.arms)
    last_seq = state.last_seq
    for event in events:
        if event.seq <= last_seq:
            continue
        last_seq = event.seq
        if event.reward is not None and event.learns:
            arms[event.variant] = arms.get(event.variant, Arm()).rewarded(event.reward)
    return BanditState(state.store_id, last_seq, arms)


def to_json(state: BanditState, prior: Prior) -> str:
    """Return the snapshot; posteriors and means stand in it for people."""
    variants = {}
    for name, arm in sorted(state.arms.items()):
        alpha, beta = arm.posterior(prior)
        variants[name] = {
            "pulls": arm.pulls,
            "success": arm.success,
            "alpha": alpha,
            "beta": beta,
            "mean_reward": arm.mean_reward,
        }
    head = {"version": SNAPSHOT_VERSION, "store_id": state.store_id, "last_seq": state.last_seq}
    return json.dumps(head | {"variants": variants}, indent=2) + "\n"


def from_json(text: str) -> BanditState:
    """Read a snapshot back.

    Raises:
        StoreError: It is no snapshot, or of another version, or its numbers cannot be.
    """
    try:
        data = json.loads(text)
        if data["version"] != SNAPSHOT_VERSION:
            raise ValueError(f"version {data['version']}")
        arms = {str(name): _arm(values) for name, values in data["variants"].items()}
        last_seq = data["last_seq"]
        if not isinstance(last_seq, int) or last_seq < 0:
            raise ValueError("last_seq")
        return BanditState(str(data["store_id"]), last_seq, arms)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"The bandit's snapshot cannot be read: {error!r}.", hint="Run `tom rl rebuild`."
        ) from error


def _arm(values: Mapping[str, Any]) -> Arm:
    pulls, success = values["pulls"], float(values["success"])
    if not isinstance(pulls, int) or pulls < 0 or not math.isfinite(success):
        raise ValueError("pulls or success")
    if not -1e-9 <= success <= pulls + 1e-9:
        raise ValueError("more successes than pulls")
    return Arm(pulls, success)
