"""An adapter as an arm of the deploy guard: offered, promoted, removed; each once in a roll-out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlalchemy import Connection

from apps.core.errors import AdapterError
from apps.rl.adapters.record import AdapterRecord
from apps.rl.adapters.rollout.machine import Rollout
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.stages import Act, Stage, promotion_data
from apps.rl.variants import PolicyVariant
from apps.store.deployment import DeploymentRow, append_act
from apps.store.feedback import last_feedback_seq

ACTOR = "rollout"
STOPPED = (Stage.PAUSED, Stage.BLACKLISTED, Stage.REMOVED)


def arm_of(record: AdapterRecord, like: PolicyVariant) -> PolicyVariant:
    """Return the arm of an adapter: its id is the served name, its slots another variant's.

    Args:
        record: The adapter.
        like: Whose slots it has.
    """
    name = f"{record.id} like {like.id}"
    about = f"The adapter {record.id}, with the manner of {like.id}."
    return PolicyVariant(record.served, name, dict(like.parameters), about, record.served)


def offer(
    conn: Connection, guard: DeployGuard, record: AdapterRecord, rollout: Rollout, to: Stage
) -> bool:
    """Take an adapter's arm to a stage, once in its roll-out.

    What an earlier roll-out of the same adapter left behind is lifted: it is judged anew.

    Returns:
        False when this was done before.

    Raises:
        AdapterError: The variant whose slots it shall have is not there.
    """
    variants = guard.bandit.variants
    like = variants.get(rollout.like or guard.rules.base_variant)
    if like is None or like.adapter is not None:
        raise AdapterError(
            f"There is no variant {rollout.like!r} whose manner {record.id} could have.",
            hint="`tom rl status` shows the variants.",
        )
    data = promotion_data(to, arm_of(record, like))
    why = f"to {to.value}, for the roll-out of {record.id}"
    if not _once(conn, record, rollout, Act.PROMOTE, to.value, why, data):
        return False
    if to is Stage.SHADOW and record.served in guard.state.stages:
        begin = {"seq": last_feedback_seq(conn)}
        _once(conn, record, rollout, Act.ADD, "again", "it is rolled out again", {})
        _once(conn, record, rollout, Act.REINSTATE, "again", "it is rolled out again", begin)
    return True


def restart(conn: Connection, record: AdapterRecord, rollout: Rollout, why: str) -> None:
    """Judge an arm by what comes from now on: what it is held against has changed."""
    begin = {"seq": last_feedback_seq(conn)}
    key = f"restart {begin['seq']}"
    _once(conn, record, rollout, Act.REINSTATE, key, why, begin)


def withdraw(conn: Connection, record: AdapterRecord, rollout: Rollout, why: str) -> bool:
    """Take an adapter's arm out of the deployment, once in its roll-out."""
    return _once(conn, record, rollout, Act.REMOVE, "", why, {})


def _once(
    conn: Connection,
    record: AdapterRecord,
    rollout: Rollout,
    act: Act,
    key: str,
    why: str,
    data: Mapping[str, object],
) -> bool:
    told = f"rollout {record.served} {rollout.epoch} {act} {key}"
    act_id = hashlib.sha256(told.encode()).hexdigest()
    return append_act(conn, DeploymentRow(act.value, record.served, why, data, ACTOR, act_id))
