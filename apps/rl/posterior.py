"""The bandit's state as a pure fold over feedback events, and its snapshot as JSON.

Of every variant it keeps what was seen, unforgotten (``Arm``), and beside that what the policy has
learned. Only events that carry a reward, may teach and are not held count; a revision takes the
place of the reward that it names. The fold goes in the order of the events' ``seq``, so folding on
and rebuilding give the same numbers to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.errors import StoreError
from apps.rl.policies import NigPolicy, OtherSettings, Outcome, Policy
from apps.rl.variants import Prior
from apps.store.feedback import FeedbackKind, FeedbackRow

SNAPSHOT_VERSION = 3


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

    def revised(self, old: float, new: float) -> Arm:
        """Return the arm when one of its rewards turns out to be another one."""
        return Arm(self.pulls, min(max(self.success + (new - old) / 2.0, 0.0), self.pulls))

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
        policy: What it has learned of the same events.
    """

    store_id: str
    last_seq: int = 0
    arms: Mapping[str, Arm] = field(default_factory=dict)
    policy: Policy = field(default_factory=NigPolicy)

    def arm(self, variant: str) -> Arm:
        """Return a variant's arm, an empty one if nothing was seen of it."""
        return self.arms.get(variant, Arm())


def fold(state: BanditState, events: Iterable[FeedbackRow]) -> BanditState:
    """Return the state after further events; those it knows already are passed over."""
    arms, policy = dict(state.arms), state.policy
    last_seq = state.last_seq
    for event in events:
        if event.seq <= last_seq:
            continue
        last_seq = event.seq
        outcome = outcome_of(event)
        if outcome is not None:
            before = arms.get(outcome.variant, Arm())
            if outcome.revises is None:
                arms[outcome.variant] = before.rewarded(outcome.reward)
            else:
                arms[outcome.variant] = before.revised(outcome.revises, outcome.reward)
            policy = policy.learned(outcome)
    return BanditState(state.store_id, last_seq, arms, policy)


def outcome_of(event: FeedbackRow) -> Outcome | None:
    """Return what an event teaches; None for nothing."""
    if event.reward is None or not event.learns or event.held is not None:
        return None
    if event.kind is FeedbackKind.REVISION and event.revises is None:
        return None  # it takes the place of nothing that was counted
    profile = {} if event.profile is None else {"profile": event.profile}
    context = {**profile, **event.context}
    return Outcome(event.variant, event.reward, context, event.revises, event.revised_age or 0)


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
    known = {"variants": variants, "policy": state.policy.to_json()}
    body = head | known
    return json.dumps(body | {"digest": _digest(body)}, indent=2) + "\n"


def from_json(text: str, policy: Policy) -> BanditState:
    """Read a snapshot back.

    Args:
        text: What ``to_json`` has returned.
        policy: One of the same settings, whatever it knows.

    Raises:
        OtherSettings: It is of another version, or was learned by a policy of other settings.
        StoreError: It is no snapshot, or its numbers cannot be.
    """
    try:
        data = json.loads(text)
        if data["version"] != SNAPSHOT_VERSION:
            raise OtherSettings(f"a snapshot of version {data['version']}")
        if data.pop("digest") != _digest(data):
            raise ValueError("it is not what was written")
        arms = {str(name): _arm(values) for name, values in data["variants"].items()}
        last_seq = data["last_seq"]
        if not isinstance(last_seq, int) or last_seq < 0:
            raise ValueError("last_seq")
        learned = policy.from_json(data["policy"])
        return BanditState(str(data["store_id"]), last_seq, arms, learned)
    except OtherSettings:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"The bandit's snapshot cannot be read: {error!r}.", hint="Run `tom rl rebuild`."
        ) from error


def _digest(body: Mapping[str, Any]) -> str:
    """Return what tells a snapshot in which a number was changed from a whole one."""
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def _arm(values: Mapping[str, Any]) -> Arm:
    pulls, success = values["pulls"], float(values["success"])
    if not isinstance(pulls, int) or pulls < 0 or not math.isfinite(success):
        raise ValueError("pulls or success")
    if not -1e-9 <= success <= pulls + 1e-9:
        raise ValueError("more successes than pulls")
    return Arm(pulls, success)
