"""What one process knows for its guard: acts and calls folded, and what follows from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from apps.rl.guard.budget import BudgetRules
from apps.rl.guard.ledger import Ledger, fold_outcomes
from apps.rl.guard.review import review
from apps.rl.guard.stages import Holds, Stage, fold_acts
from apps.rl.guard.standing import stages_of
from apps.rl.variants import GuardRules, Prior
from apps.store.deployment import DeploymentRow
from apps.store.outcomes import OutcomeRow


@dataclass(frozen=True, slots=True)
class GuardState:
    """Frozen: it is replaced, never changed.

    Attributes:
        stored: What the acts in the store have set.
        ledger: What was seen of the calls.
        pending: What the guard has to do and has not stored yet; it holds here already.
        holds: What the acts have set, pending ones too.
        stages: Of every variant.
    """

    stored: Holds
    ledger: Ledger
    pending: tuple[DeploymentRow, ...] = ()
    holds: Holds = field(default_factory=Holds)
    stages: Mapping[str, Stage] = field(default_factory=dict)

    @property
    def base_only(self) -> bool:
        """Whether every call gets the base variant."""
        return self.holds.base_only is not None or self.holds.exhausted is not None

    def with_acts(self, acts: Sequence[DeploymentRow]) -> GuardState:
        """Return the state with further acts of the store; ``decided`` must follow."""
        stored = fold_acts(self.stored, acts)
        ledger = self.ledger
        if ledger.too_far_for(stored.restarts):
            ledger = Ledger.empty(ledger.contests.base)
        return replace(self, stored=stored, ledger=ledger)

    def with_outcomes(self, rows: Sequence[OutcomeRow], rules: GuardRules) -> GuardState:
        """Return the state with further events of the store; ``decided`` must follow."""
        ledger = fold_outcomes(self.ledger, rows, self.stored.restarts, budget_rules(rules))
        return replace(self, ledger=ledger)

    def decided(
        self,
        variants: Collection[str],
        candidates: Collection[str],
        rules: GuardRules,
        prior: Prior,
    ) -> GuardState:
        """Return the state with its stages, and what the guard has to do."""

        def stages(holds: Holds) -> dict[str, Stage]:
            return stages_of(variants, candidates, self.ledger, holds, rules, prior)

        now = stages(self.stored)
        pending = review(self.ledger, now, self.stored, rules)
        holds = fold_acts(self.stored, pending)
        return replace(
            self,
            pending=tuple(pending),
            holds=holds,
            stages=stages(holds) if pending else now,
        )


def budget_rules(rules: GuardRules) -> BudgetRules:
    """Return the budget's part of the rules."""
    return BudgetRules(alpha=rules.regret_budget)
