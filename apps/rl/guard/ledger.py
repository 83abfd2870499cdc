"""All that the guard judges by, as one fold of what became of the calls; rebuildable.

A late rating changes a variant's mean (``Seen``). The contests with the base variant and the
budget stay with what was known at the call's end: a test that looks at every step cannot take a
step back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from apps.core.plural import plural
from apps.rl.guard.breakers import UNSAFE, Breakers
from apps.rl.guard.budget import Budget, BudgetRules
from apps.rl.guard.evidence import Evidence
from apps.rl.guard.mismatch import Mismatch
from apps.rl.guard.stages import EVERYTHING
from apps.store.feedback import FeedbackKind
from apps.store.outcomes import OutcomeRow

Restarts = Sequence[tuple[int, str]]
"""After which ``seq`` the judging of whom begins anew, in order; see ``Holds.restarts``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A variant's rewards, counted plainly.

    Attributes:
        pulls: How many.
        total: Their sum, each in [-1, 1].
    """

    pulls: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """Return their mean; None before the first."""
        return self.total / self.pulls if self.pulls else None

    def __str__(self) -> str:
        """Return it for a sentence."""
        mean = "" if self.mean is None else f", mean reward {self.mean:+.2f}"
        return f"{plural(self.pulls, 'pull')}{mean}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was seen of every variant, since it was last given another chance.

    Attributes:
        contests: Each variant beside the base variant, valid at every look.
        breakers: What went wrong in the last calls.
        budget: What trying variants has cost.
        mismatch: Whether choices come as often as was logged.
        seen: The rewards by variant.
        last_seq: The last event folded.
        restarted: How many of the restarts were done.
    """

    contests: Evidence
    breakers: Breakers
    budget: Budget = field(default_factory=Budget)
    mismatch: Mismatch = field(default_factory=Mismatch)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    last_seq: int = 0
    restarted: int = 0

    @classmethod
    def empty(cls, base: str) -> Ledger:
        """Return the ledger before the first call, for a base variant."""
        return cls(Evidence(base), Breakers(base))

    def of(self, variant: str) -> Seen:
        """Return a variant's rewards."""
        return self.seen.get(variant, Seen())

    def too_far_for(self, restarts: Restarts) -> bool:
        """Return whether a restart belongs before what is folded: then it is folded anew."""
        return any(seq < self.last_seq for seq, _ in restarts[self.restarted :])

    def as_dict(self) -> dict[str, object]:
        """Return it as names and numbers, for JSON."""
        return {
            "contests": self.contests.as_dict(),
            "breakers": self.breakers.as_dict(),
            "budget": self.budget.as_dict(),
            "mismatch": self.mismatch.as_dict(),
            "seen": {name: asdict(seen) for name, seen in self.seen.items()},
            "last_seq": self.last_seq,
            "restarted": self.restarted,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Ledger:
        """Return what ``as_dict`` wrote; any error of lookup or type for what it did not."""
        return cls(
            Evidence.from_dict(data["contests"]),
            Breakers.from_dict(data["breakers"]),
            Budget.from_dict(data["budget"]),
            Mismatch.from_dict(data["mismatch"]),
            {name: Seen(**seen) for name, seen in data["seen"].items()},
            int(data["last_seq"]),
            int(data["restarted"]),
        )


def fold_outcomes(
    ledger: Ledger, rows: Iterable[OutcomeRow], restarts: Restarts, rules: BudgetRules
) -> Ledger:
    """Return the ledger after further events; those that it knows already are passed over.

    Args:
        ledger: What was folded so far; ``too_far_for(restarts)`` must be False.
        rows: Events in the order of ``seq``.
        restarts: All there are by now.
        rules: The budget's.
    """
    for row in rows:
        if row.seq > ledger.last_seq:
            ledger = _restarted(ledger, restarts, row.seq - 1)
            ledger = _after(ledger, row, rules)
    return _restarted(ledger, restarts, ledger.last_seq)


def _restarted(ledger: Ledger, restarts: Restarts, until: int) -> Ledger:
    """Return the ledger after the restarts up to an event."""
    for seq, key in restarts[ledger.restarted :]:
        if seq > until:
            break
        done = ledger.restarted + 1
        if key == EVERYTHING:
            breakers = ledger.breakers.restart(ledger.breakers.base)
            ledger = replace(ledger, budget=Budget(), breakers=breakers)
            ledger = replace(ledger, mismatch=ledger.mismatch.restart())
        else:
            ledger = replace(
                ledger,
                contests=ledger.contests.restart(key),
                breakers=ledger.breakers.restart(key),
                seen={name: seen for name, seen in ledger.seen.items() if name != key},
            )
        ledger = replace(ledger, restarted=done)
    return ledger


def _after(ledger: Ledger, row: OutcomeRow, rules: BudgetRules) -> Ledger:
    contests, breakers, budget = ledger.contests, ledger.breakers, ledger.budget
    mismatch, seen = ledger.mismatch, ledger.seen
    call = row.kind in (FeedbackKind.FEEDBACK, FeedbackKind.ABANDONED)
    drawn = sum(p > 0.0 for p in row.propensities.values()) > 1
    if call and row.choice:
        mismatch = mismatch.ended(row.choice)
    if row.learns and call and drawn and row.first:
        # A held call was drawn like any other, and whatever else is told of it was counted then.
        mismatch = mismatch.add(row.variant, row.propensities, row.choice)
    if row.learns and row.held and drawn and UNSAFE in row.flags:
        # Whatever made the caller suspicious, this was found by the system itself.
        breakers = breakers.add(row.variant, [UNSAFE])
    if row.learns and not row.held:
        if call and row.propensities:  # what is told of calls elsewhere must not hide flagged ones
            breakers = breakers.add(row.variant, row.flags)
        seen = _seen(seen, row)
        if row.kind is FeedbackKind.FEEDBACK and row.reward is not None:
            if drawn:
                contests = contests.add(row.variant, row.reward, row.propensities)
            budget = budget.add(row.reward, base=row.variant == contests.base, rules=rules)
    return Ledger(contests, breakers, budget, mismatch, seen, row.seq, ledger.restarted)


def _seen(seen: Mapping[str, Seen], row: OutcomeRow) -> Mapping[str, Seen]:
    pulls, total = (0, 0.0) if row.reward is None else (1, row.reward)
    if row.kind is FeedbackKind.REVISION and row.revises is not None:
        pulls, total = pulls - 1, total - row.revises
    before = seen.get(row.variant, Seen())
    after = Seen(max(before.pulls + pulls, 0), before.total + total)
    return seen if after == before else {**seen, row.variant: after}
