"""Looks from outside at what killed servers left; each check says in sentences what is wrong."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.sql import ColumnElement

from apps.core.ids import keyed_hash
from apps.rl.adapters.gate import folder_of
from apps.rl.defaults import settings_catalog, settings_policy
from apps.rl.deploy_guard import DeployGuard
from apps.rl.policy_bandit import PolicyBandit
from apps.store.adapter_tables import (
    adapter_events,
    adapter_route_rewards,
    adapter_routes,
    training_batches,
    training_pool,
)
from apps.store.call_tables import call_events, calls
from apps.store.feedback import FeedbackKind
from apps.store.learning_tables import decisions, feedback_events
from apps.store.training_pool import RUNNING, USED
from benchmarks.ingestion.kills import Indexed, indexed, lying
from benchmarks.kills.home import Home
from benchmarks.kills.traffic import Acknowledged

_CLOSE = 0.0005
_SOUND = {
    "chunks without their document": "SELECT count(*) FROM kb_chunks"
    " WHERE document_seq NOT IN (SELECT seq FROM kb_documents)",
    "documents that are not whole": "SELECT count(*) FROM kb_documents d WHERE d.chunks !="
    " (SELECT count(*) FROM kb_chunks WHERE document_seq = d.seq)",
    "chunks without a vector": "SELECT count(*) FROM kb_chunks WHERE embedding IS NULL",
    "more or fewer words' rows than chunks": "SELECT abs((SELECT count(*) FROM kb_chunks) -"
    " (SELECT count(*) FROM kb_words_docsize))",
    "edges without their node": "SELECT count(*) FROM knowledge_graph_edges WHERE"
    " from_seq NOT IN (SELECT seq FROM knowledge_graph_nodes)"
    " OR to_seq NOT IN (SELECT seq FROM knowledge_graph_nodes)",
}
"""Counts that must be 0 in the index, by what they count."""


def files_sound(home: Home) -> list[str]:
    """Check both databases by SQLite's own means, and that the index agrees with itself."""
    wrong = _integrity(home.settings.data_dir / "feedback.db")
    index = Path(home.settings.knowledge_store)
    wrong += _integrity(index)
    with closing(sqlite3.connect(index)) as conn:
        try:
            conn.execute("INSERT INTO kb_words (kb_words, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            wrong.append(f"the words' index does not say what the chunks say: {error}")
        for what, query in _SOUND.items():
            if number := conn.execute(query).fetchone()[0]:
                wrong.append(f"the index has {what}: {number}")
    return wrong


def _integrity(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as conn:
        said = [row[0] for row in conn.execute("PRAGMA integrity_check")]
        foreign = conn.execute("PRAGMA foreign_key_check").fetchall()
    wrong = [f"{path.name}: {line}" for line in said if line != "ok"]
    return wrong + [f"{path.name}: a row of {row[0]} leads nowhere" for row in foreign]


def acknowledged_once(home: Home, told: Acknowledged) -> list[str]:
    """Check that everything that was acknowledged is there, once, as it was said."""

    def ref(call_id: str) -> str:
        return keyed_hash(call_id, home.hash_key)

    with home.db.reading() as conn:
        variants = _grouped(conn, decisions.c.call_ref, decisions.c.variant)
        rows = _grouped(conn, calls.c.call_ref, calls.c.ended_hour)
        settled = _feedback(conn, FeedbackKind.FEEDBACK, feedback_events.c.reward)
        stars = _feedback(conn, FeedbackKind.FEEDBACK, feedback_events.c.rating)
        late = _feedback(conn, FeedbackKind.REVISION, feedback_events.c.rating)
        routes = _grouped(conn, adapter_routes.c.decision_id, adapter_routes.c.domain)
        rewards = _grouped(
            conn, adapter_route_rewards.c.decision_id, adapter_route_rewards.c.reward
        )
        acts = _grouped(conn, adapter_events.c.why, adapter_events.c.adapter_id)
    wrong = _each("a call's choice", {ref(c): v for c, v in told.started.items()}, variants)
    wrong += [f"lost: call {c}'s row" for c in told.started if ref(c) not in rows]
    wrong += [f"lost: call {c}'s end" for c in told.ended if not all(rows.get(ref(c), [None]))]
    rewarded = {c: (s, r) for c, (s, r) in told.settled.items() if r is not None}
    wrong += _each("a call's reward", {ref(c): r for c, (_, r) in rewarded.items()}, settled)
    wrong += _each("a call's rating", {ref(c): s for c, (s, _) in rewarded.items() if s}, stars)
    wrong += _each("a late rating", {ref(c): s for c, s in told.late.items()}, late)
    wrong += _each("a routing decision", told.routes, routes)
    wrong += _each("a decision's reward", told.rewards, rewards)
    wrong += _each("an act upon an adapter", told.acts, acts)
    wrong += [f"doubled: {what}" for what in _doubled(settled, late)]
    return wrong


Found = Mapping[str, list[object]]


def _grouped(
    conn: Connection,
    key: ColumnElement[str] | ColumnElement[str | None],
    value: ColumnElement[object],
    *where: ColumnElement[bool],
) -> Found:
    found: dict[str, list[object]] = {}
    for name, each in conn.execute(select(key, value).where(*where)):
        found.setdefault(str(name), []).append(each)
    return found


def _feedback(conn: Connection, kind: FeedbackKind, value: ColumnElement[object]) -> Found:
    event = feedback_events.c
    return _grouped(conn, event.call_ref, value, event.kind == kind.value)


def _each(what: str, said: Mapping[str, object], found: Found) -> list[str]:
    wrong = []
    for name, value in said.items():
        there = found.get(name, [])
        if not there:
            wrong.append(f"lost: {what} ({name})")
        elif len(there) > 1:
            wrong.append(f"doubled: {what} ({name}): {len(there)} times")
        elif not _same(there[0], value):
            wrong.append(f"changed: {what} ({name}) was {value}, and is {there[0]}")
    return wrong


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) < _CLOSE  # doors tell three decimals
    return one == other


def _doubled(*all_found: Found) -> Iterable[str]:
    return (name for found in all_found for name, rows in found.items() if len(rows) > 1)


def logs_have_no_gaps(home: Home) -> list[str]:
    """Check that an event log may end early, but misses nothing before that."""
    with home.db.reading() as conn:
        numbers = _grouped(conn, call_events.c.call_ref, call_events.c.seq)
    return [
        f"call {ref}'s event log has a gap"
        for ref, found in numbers.items()
        if sorted(map(int, map(str, found))) != list(range(len(found)))
    ]


def folds_agree(home: Home) -> list[str]:
    """Check that the snapshots, folded on, are what a fold from the beginning comes to."""
    settings, catalog = home.settings, settings_catalog(home.settings)
    beside = home.folder / "anew" / "bandit_state.json"
    guards = [
        DeployGuard(
            PolicyBandit(
                home.db,
                catalog=catalog,
                policy=settings_policy(settings, catalog.prior),
                state_path=path,
            )
        )
        for path in (settings.bandit_state_file, beside)
    ]
    with home.db.reading() as conn:
        for guard in guards:
            guard.bandit.refresh(conn)
            guard.refresh(conn)
    kept, anew = guards
    wrong = []
    if kept.bandit.state != anew.bandit.state:
        wrong.append("the posteriors' snapshot, folded on, is not what a new fold comes to")
    if kept.state != anew.state:
        wrong.append("the guard's snapshot, folded on, is not what a new fold comes to")
    for file in beside.parent.glob("*"):
        file.unlink()
    return wrong


def registry_holds(home: Home) -> list[str]:
    """Check signatures, files and folds of the registry, after its file was written anew."""
    registry = home.registry
    registry.export()
    return [f"registry: {sentence}" for sentence in registry.verify()]


def batches_end(home: Home) -> list[str]:
    """Check that none but the newest batch runs, and that no example is used by one that does not.

    A server's learning begins with the batches that a killed one left, so none is older than the
    newest.
    """
    batch, pool = training_batches.c, training_pool.c
    with home.db.reading() as conn:
        rows = conn.execute(select(batch.batch_id, batch.state).order_by(batch.seq)).all()
        used = conn.execute(select(pool.batch_id).where(pool.state == USED)).scalars().all()
    left = [b for b, state in rows[:-1] if state == RUNNING]
    wrong = [f"batch {name} was left running" for name in left]
    failed = {b for b, state in rows if state == "failed"}
    return wrong + [f"an example is kept by failed batch {b}" for b in set(used) & failed]


async def documents_whole(home: Home, once: dict[str, tuple[str, ...]]) -> list[str]:
    """Check that the index holds whole documents, each as its file once was, and finds no others.

    Args:
        home: The installation.
        once: The passages of every file's bytes so far, by SHA-256; is added to.
    """
    wanted = lying(home.settings.documents_folder, once)
    try:
        held: Indexed = await indexed(Path(home.settings.knowledge_store))
    except RuntimeError as error:
        return [str(error)]
    wrong = [
        f"document {name} is not whole"
        for name, (sha, passages) in held.items()
        if once.get(sha) != passages
    ]
    for name in sorted(held.keys() | wanted.keys()):
        if held.get(name) != wanted.get(name):
            there = "stale" if name in held and name in wanted else "missing or left over"
            wrong.append(f"document {name} in the index is {there}")
    return wrong


def no_call_open(home: Home) -> list[str]:
    """Check that none is open once a server has started and ended by itself."""
    with home.db.reading() as conn:
        rows = conn.execute(select(calls.c.call_ref).where(calls.c.ended_hour.is_(None)))
        return [f"call {ref} of a killed server is open" for ref in rows.scalars()]


def age_drafts(home: Home) -> None:
    """Let drafts of files look as old as they would be when somebody came upon them."""
    for path in _drafts(home):
        os.utime(path, (0.0, 0.0))


def _drafts(home: Home) -> list[Path]:
    return [path for path in home.settings.data_dir.rglob(".*") if path.suffix != ".lock"]


def litter(home: Home) -> Counter[str]:
    """Count what killed servers have left on the disk that nothing needs, by kind."""
    data, found = home.settings.data_dir, Counter[str]()
    found["drafts of files"] = len(_drafts(home))
    found["damaged files"] = sum(1 for _ in data.rglob("*.damaged"))
    found["batches' data"] = sum(1 for _ in (data / "training" / "batches").glob("*"))
    found["runs' folders"] = sum(1 for _ in (data / "training" / "runs").glob("*"))
    known, root = home.registry.known(), home.registry.root
    mine = {folder_of(name, root) for name in known.records}
    found["adapters' folders"] = sum(1 for f in root.glob("*/*") if f.is_dir() and f not in mine)
    return found


CHECKS: tuple[Callable[[Home], list[str]], ...] = (
    files_sound,
    logs_have_no_gaps,
    folds_agree,
    registry_holds,
    batches_end,
)
"""What is looked at after each kill, but for what takes more than the installation."""
