"""The ledger's snapshot: it only saves the time of folding all events anew."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import structlog

from apps.core.files import write_whole
from apps.rl.guard.ledger import Ledger
from apps.rl.variants import GuardRules

log = structlog.get_logger(__name__)

VERSION = 3
EVERY = 500
"""After so many further events it is written again."""


def read_ledger(path: Path, store: str, last_seq: int, rules: GuardRules) -> Ledger | None:
    """Return the ledger in a snapshot; None when there is none that fits.

    Args:
        path: The file.
        store: The database's id.
        last_seq: The newest event in it: a snapshot from beyond that is of another one.
        rules: The guard's; what folds differently under others is folded anew.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["fits"] != _fits(store, rules):
            return None
        if data["digest"] != _digest(data["ledger"]):
            raise ValueError("it is not what was written")
        ledger = Ledger.from_dict(data["ledger"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("guard_snapshot_damaged", path=str(path), error=repr(error))
        return None
    return ledger if ledger.last_seq <= last_seq else None


def write_ledger(path: Path, store: str, ledger: Ledger, rules: GuardRules) -> bool:
    """Write a snapshot, whole or not at all.

    Returns:
        False when it could not be written, which is logged: nothing is lost by that.
    """
    known = ledger.as_dict()
    text = json.dumps({"fits": _fits(store, rules), "digest": _digest(known), "ledger": known})
    try:
        write_whole(path, text)
    except OSError as error:
        log.warning("guard_snapshot_not_written", path=str(path), error=error.strerror)
        return False
    return True


def _digest(known: Any) -> str:
    """Return what tells a ledger that was damaged, and would be believed, from a whole one."""
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _fits(store: str, rules: GuardRules) -> list[object]:
    return [VERSION, store, rules.base_variant, rules.regret_budget]
