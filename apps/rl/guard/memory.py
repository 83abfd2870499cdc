"""One process's memory of the store, for the guard: read on, decide, and store what follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import structlog
from sqlalchemy import Connection

from apps.rl.guard.ledger import Ledger
from apps.rl.guard.snapshot import EVERY, read_ledger, write_ledger
from apps.rl.guard.stages import Holds, Stage
from apps.rl.guard.state import GuardState
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.variants import GuardRules, PolicyVariant
from apps.store.deployment import DeploymentRow, append_act, load_acts
from apps.store.feedback import last_feedback_seq, store_id
from apps.store.outcomes import outcomes_since

log = structlog.get_logger(__name__)


class GuardMemory:
    """Keeps a ``GuardState`` as far as the store goes, and the bandit's with it.

    Safe to share between threads: the state is replaced, never changed.

    Args:
        bandit: Its store, its variants.
        rules: The limits.
    """

    def __init__(self, bandit: PolicyBandit, rules: GuardRules) -> None:
        self.bandit = bandit
        self.rules = rules
        self._path: Path = bandit.state_path.with_name("guard_state.json")
        with bandit.db.reading() as conn:
            self._store = store_id(conn)
            ledger = read_ledger(self._path, self._store, last_feedback_seq(conn), rules)
            self._saved_seq = ledger.last_seq if ledger else 0
            self._state = GuardState(Holds(), ledger or Ledger.empty(rules.base_variant))
            self.refresh(conn)

    @property
    def state(self) -> GuardState:
        """Return where everything stands, as far as it is known here."""
        return self._state

    def variants_in(self, stage: Stage) -> list[PolicyVariant]:
        """Return the variants in a stage, as far as it is known here."""
        found = self._state.stages.items()
        return [self.bandit.variants[name] for name, at in found if at is stage]

    def refresh(self, conn: Connection) -> bool:
        """Read the acts and feedback that are new in the store; for ``Database.query`` too.

        Returns:
            Whether the bandit's state has changed, so that its snapshot is old.
        """
        changed = self.bandit.refresh(conn)
        before = self._state  # taken before anything is read, so that it is not newer
        after = self._read(conn, before)
        if after is not before and (self._state is before or _is_further(after, self._state)):
            self._state = after  # else another thread has come further meanwhile
        return changed

    def store_pending(self, conn: Connection) -> list[DeploymentRow]:
        """Store what the guard does by itself; for ``Database.run`` too.

        Returns:
            What was stored here, and by no other process before.
        """
        return [act for act in self._state.pending if append_act(conn, act)]

    def catch_up(self) -> None:
        """Read what is new, store what the guard has to do by that, and write old snapshots."""
        with self.bandit.db.reading() as conn:
            changed = self.refresh(conn)
        if self._state.pending:
            with self.bandit.db.transaction() as conn:
                acts = self.store_pending(conn)
            log_acts(acts)
            with self.bandit.db.reading() as conn:
                changed |= self.refresh(conn)
        if changed:
            self.save()

    def rebuild(self) -> bool:
        """Fold all events anew, and write the snapshots.

        Returns:
            Whether that came to the same as folding on.
        """
        before = self._state.ledger
        with self.bandit.db.reading() as conn:
            state = replace(self._state, ledger=Ledger.empty(self.rules.base_variant))
            self._state = self._read(conn, state)
        write_ledger(self._path, self._store, self._state.ledger, self.rules)
        self._saved_seq = self._state.ledger.last_seq
        return self._state.ledger == before

    def save(self) -> None:
        """Write the bandit's snapshot, and the guard's where it has become old.

        Raises:
            StoreError: The bandit's cannot be written.
        """
        ledger = self._state.ledger
        if ledger.last_seq >= self._saved_seq + EVERY and write_ledger(
            self._path, self._store, ledger, self.rules
        ):
            self._saved_seq = ledger.last_seq
        self.bandit.save()

    def _read(self, conn: Connection, before: GuardState) -> GuardState:
        acts = load_acts(conn, since=before.stored.last_seq)
        state = before.with_acts(acts) if acts else before
        # The bandit has read the same events just now: where it found no more, there are none.
        is_behind = state.ledger.last_seq < self.bandit.state.last_seq
        rows = outcomes_since(conn, state.ledger.last_seq) if is_behind else []
        if not acts and not rows and len(state.stages) == len(self.bandit.variants):
            return before
        for promotion in state.stored.promoted.values():
            if self._means_otherwise(promotion.variant):
                self.bandit.add_variant(promotion.variant)
        state = state.with_outcomes(rows, self.rules)
        return state.decided(
            self.bandit.variants, self.bandit.candidates, self.rules, self.bandit.prior
        )

    def _means_otherwise(self, promoted: PolicyVariant) -> bool:
        """Return whether a variant is not known here as it was promoted.

        Its file may lie on another machine, be gone, or have been replaced by one that says other
        things by the same id. Only the policy file, an operator's own, may do that.
        """
        known = self.bandit.variants.get(promoted.id)
        if known is None:
            return True
        return promoted.id in self.bandit.candidates and known.treatment != promoted.treatment


def log_acts(acts: list[DeploymentRow]) -> None:
    """Tell the log what the guard did by itself, once it is stored."""
    for act in acts:
        log.warning("guard_acted", act=act.action, variant=act.variant, why=act.why)


def _is_further(state: GuardState, than: GuardState) -> bool:
    mine = (state.stored.last_seq, state.ledger.last_seq)
    theirs = (than.stored.last_seq, than.ledger.last_seq)
    return mine > theirs and all(m >= t for m, t in zip(mine, theirs, strict=True))
