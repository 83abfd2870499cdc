"""The product's policy behind its deploy guard, by their pure parts and without a database."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from apps.rl.guard.ledger import Ledger
from apps.rl.guard.stages import Holds, Stage
from apps.rl.guard.state import GuardState
from apps.rl.guard.window import full_stages
from apps.rl.policies import NigPolicy, Outcome, Policy
from apps.rl.propensity import allocate
from apps.rl.variants import GuardRules, Prior
from apps.store.deployment import DeploymentRow
from apps.store.feedback import FeedbackKind
from apps.store.outcomes import OutcomeRow
from benchmarks.learning.learners import Feedback, Seen, Task


@dataclass(frozen=True, slots=True)
class Choice:
    """What was drawn, and from what."""

    variant: str
    stage: Stage
    propensities: Mapping[str, float]


@dataclass
class Deployment:
    """Policy, guard and what an installation's store would hold of them.

    Attributes:
        names: The variants.
        rules: The guard's.
        policy: What has been learned.
        rng: Source of randomness.
        candidates: Those of the variants that begin offline.
    """

    names: Sequence[str]
    rules: GuardRules
    policy: Policy
    rng: np.random.Generator
    candidates: Collection[str] = ()
    acts: list[DeploymentRow] = field(default_factory=list)
    chosen: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = GuardState(Holds(), Ledger.empty(self.rules.base_variant))
        self._latest: deque[str] = deque(maxlen=self.rules.cap_window - 1)
        self._seq = 0
        self._decide()

    def choose(self, context: Mapping[str, object] | None = None) -> Choice:
        """Draw a call's variant."""

        def chances(names: Sequence[str]) -> dict[str, float]:
            found = self.policy.chances(names, context or {})
            return dict(zip(names, found.tolist(), strict=True))

        propensities = allocate(
            chances,
            self.state.stages,
            self.rules,
            base_only=self.state.base_only,
            full=full_stages(Counter(self._latest), self.rules),
        )
        variant = str(self.rng.choice(list(propensities), p=list(propensities.values())))
        choice = Choice(variant, self.state.stages[variant], propensities)
        self._latest.append(choice.stage.value)
        self.chosen.append(choice)
        return choice

    def learn(
        self,
        choice: Choice,
        reward: float | None,
        *,
        context: Mapping[str, object] | None = None,
        flags: Collection[str] = (),
        revises: float | None = None,
        age: int = 0,
    ) -> None:
        """Take in a call's end, or a late rating of it."""
        self._seq += 1
        kind = FeedbackKind.FEEDBACK if reward is not None else FeedbackKind.ABANDONED
        if revises is not None:
            kind = FeedbackKind.REVISION
        row = OutcomeRow(
            self._seq,
            kind,
            choice.variant,
            reward,
            revises,
            tuple(flags),
            stage=choice.stage.value,
            propensities=choice.propensities,
        )
        self.state = self.state.with_outcomes([row], self.rules)
        if reward is not None:
            outcome = Outcome(choice.variant, reward, context or {}, revises, age)
            self.policy = self.policy.learned(outcome)
        self._decide()

    def act(self, act: DeploymentRow) -> None:
        """Store an act."""
        self.acts.append(replace(act, seq=len(self.acts) + 1))
        self.state = self.state.with_acts(self.acts[-1:])
        self._decide()

    def _decide(self) -> None:
        self.state = self.state.decided(self.names, self.candidates, self.rules, Prior())
        for act in self.state.pending:
            self.act(act)


class Guarded:
    """The default policy behind the guard, as a learner beside others.

    Args:
        task: What is known before the first call.
    """

    def __init__(self, task: Task) -> None:
        self._names = list(task.variants)
        rules = GuardRules(base_variant=self._names[task.base])
        self._deployment = Deployment(
            self._names, rules, NigPolicy(), np.random.default_rng(task.seed)
        )
        self._choices: dict[int, Choice] = {}

    def choose(self, call: Seen) -> int:
        """Return a variant drawn after the guard."""
        choice = self._choices[call.index] = self._deployment.choose(call.context)
        return self._names.index(choice.variant)

    def learn(self, feedback: Feedback) -> None:
        """Take in a reward, or what takes its place."""
        self._deployment.learn(
            self._choices[feedback.call.index],
            feedback.reward,
            context=feedback.call.context,
            revises=feedback.revises,
        )
