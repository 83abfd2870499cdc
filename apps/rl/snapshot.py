"""The snapshot file of the bandit's state: written whole or not at all, never lost in silence."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from apps.core.errors import StoreError
from apps.core.files import write_whole
from apps.rl.policies import OtherSettings, Policy
from apps.rl.posterior import BanditState, from_json, to_json
from apps.rl.variants import Prior

log = structlog.get_logger(__name__)


def read_snapshot(path: Path, policy: Policy) -> BanditState | None:
    """Return the state in a snapshot; None when there is none to be used.

    A file that cannot be read is kept beside as ``*.damaged``, and said; the state is then to be
    rebuilt from the feedback store. So it is where another policy than this one had learned.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"), policy)
    except FileNotFoundError:
        return None
    except OtherSettings as error:
        log.info("bandit_rebuilt_for_other_settings", path=str(path), why=str(error))
        return None
    except (StoreError, UnicodeDecodeError, OSError) as error:
        damaged = path.with_name(path.name + ".damaged")
        log.warning(
            "bandit_snapshot_damaged", path=str(path), kept_as=str(damaged), error=str(error)
        )
        try:
            os.replace(path, damaged)
        except OSError:
            log.warning("bandit_snapshot_not_set_aside", path=str(path))
        return None


def write_snapshot(path: Path, state: BanditState, prior: Prior) -> None:
    """Write a snapshot so that a reader, or a crash, sees the old one or the new one.

    Raises:
        StoreError: It cannot be written; the old one is still there.
    """
    try:
        write_whole(path, to_json(state, prior))
    except OSError as error:
        raise StoreError(
            f"The bandit's snapshot {path} cannot be written: {error.strerror}.",
            hint="Set RL_BANDIT_STATE_PATH to a file in a folder that TOM may write to.",
        ) from error
