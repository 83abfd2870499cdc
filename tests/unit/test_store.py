"""The store: migrations, calls and their logs, decisions, feedback, retention."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, insert, inspect, text, update
from sqlalchemy.exc import IntegrityError

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import StoreError, UnknownCall
from apps.core.events import LogRecord
from apps.store import calls, decisions, deployment, feedback
from apps.store.call_tables import calls as calls_table
from apps.store.calls import CallOrigin, CallRow
from apps.store.database import Database, open_database
from apps.store.decisions import DecisionRow
from apps.store.feedback import FeedbackKind, FeedbackRow
from apps.store.knowledge_tables import beside_alembic
from apps.store.letting_go import Kept
from apps.store.migrate import migrate
from apps.store.outcomes import outcomes_since
from apps.store.sqlite import create_file
from apps.store.tables import metadata


@pytest.fixture
def db(new_store: Path | str) -> Iterator[Database]:
    database = open_database(new_store)
    yield database
    database.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """What only SQLite has."""
    database = open_database(tmp_path / "rl" / "feedback.db")
    yield database
    database.close()


def a_call(ref: str = "c1", **changes: object) -> CallRow:
    values: dict[str, object] = {
        "call_ref": ref,
        "profile": "kfz",
        "language": "en",
        "door": "websocket",
    }
    return CallRow(**(values | changes))  # type: ignore[arg-type]


def a_decision(ref: str = "c1", variant: str = "v1a") -> DecisionRow:
    return DecisionRow(
        call_ref=ref,
        variant=variant,
        propensity=0.9,
        propensities={"v1a": 0.9, "v1b": 0.1},
        stages={"v1a": "base", "v1b": "new"},
        why="It is the base variant.",
        learns=True,
        state_version=0,
        context={"profile": "kfz"},
        subject="person",
    )


def a_feedback(event_id: str = "e1", **changes: object) -> FeedbackRow:
    values: dict[str, object] = {
        "event_id": event_id,
        "kind": FeedbackKind.FEEDBACK,
        "variant": "v1a",
        "reward": 0.5,
        "call_ref": "c1",
        "rating": 4,
        "rating_offered": True,
        "rating_answered": True,
        "subject": "person",
    }
    return FeedbackRow(**(values | changes))  # type: ignore[arg-type]


def test_the_migrations_make_exactly_the_tables_of_the_code(db: Database) -> None:
    with db.reading() as conn:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "include_name": beside_alembic}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrations_can_be_undone_to_nothing(db: Database) -> None:
    from alembic import command
    from alembic.config import Config

    from apps.store.migrate import MIGRATIONS

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with db.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "base")
        assert inspect(conn).get_table_names() == ["alembic_version"]


def test_opening_twice_changes_nothing(db: Database) -> None:
    with db.reading() as conn:
        before = feedback.store_id(conn)
    migrate(db)
    with db.reading() as conn:
        assert feedback.store_id(conn) == before


def test_several_processes_may_open_a_new_database_at_once(new_store: Path | str) -> None:
    import subprocess
    import sys

    code = f"from apps.store.database import open_database; open_database({str(new_store)!r})"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]


def test_a_new_file_may_be_created_by_many_at_the_same_moment(tmp_path: Path) -> None:
    def create(path: Path, together: threading.Barrier) -> None:
        together.wait()
        create_file(path)

    for number in range(20):
        together = threading.Barrier(6)
        with ThreadPoolExecutor(6) as pool:
            path = tmp_path / f"{number}.db"
            for created in [pool.submit(create, path, together) for _ in range(6)]:
                created.result()


def test_the_file_is_its_owners_alone_and_has_a_write_ahead_log(file: Database) -> None:
    path = Path(file.url.database or "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with file.reading() as conn:
        assert conn.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert conn.execute(text("PRAGMA synchronous")).scalar() == 2
        assert conn.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match="cannot be used") as caught:
        open_database(path)
    assert "tom doctor" in caught.value.hint
    assert path.read_text().startswith("this is a letter")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created"):
        open_database(tmp_path / "file" / "feedback.db")


def test_a_database_of_a_newer_tom_is_left_alone(db: Database) -> None:
    with db.transaction() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="brought up to date") as caught:
        migrate(db)
    assert "newer TOM" in caught.value.hint


def test_a_failed_transaction_leaves_nothing_behind(db: Database) -> None:
    def broken() -> None:
        with db.transaction() as conn:
            calls.open_call(conn, a_call())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        broken()
    with db.reading() as conn:
        assert calls.list_calls(conn) == []


def test_a_password_is_not_shown() -> None:
    db = Database("postgresql+psycopg://tom:secret@db/tom")
    assert "secret" not in db.name
    assert db.name.endswith("@db/tom")


def test_databases_of_two_servers_are_told_apart_and_one_by_two_urls_is_not() -> None:
    def place(url: str) -> str:
        return Database(url).place

    one = place("postgresql://tom:secret@db/tom")
    assert "secret" not in one
    assert one == place("postgresql://other@db:5432/tom?sslmode=require")
    others = ("@db:5433/tom", "@db2/tom", "@db/tim", "/tom?host=/run/a", "/tom?host=/run/b")
    assert len({one, *(place(f"postgresql://{other}") for other in others)}) == 6


async def test_async_callers_run_the_same_functions(db: Database) -> None:
    assert await db.run(calls.open_call, a_call())
    assert [c.call_ref for c in await db.query(calls.list_calls, limit=1)] == ["c1"]
    with db.reading() as conn:
        assert calls.load_call(conn, "c1") is not None
    await db.aclose()
    await db.aclose()


async def test_async_callers_get_the_stores_errors(db: Database) -> None:
    with pytest.raises(StoreError):
        await db.run(lambda conn: conn.execute(text("SELECT * FROM nowhere")))
    with pytest.raises(StoreError):
        await db.query(lambda conn: conn.execute(text("SELECT * FROM nowhere")))
    await db.aclose()


def test_writers_at_once_wait_for_their_turn(db: Database) -> None:
    def write(i: int) -> bool:
        with db.transaction() as conn:
            feedback.last_feedback_seq(conn)  # reads first: must not make its write fail
            return feedback.append_feedback(conn, a_feedback(f"e{i}"))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, range(40)))
    with db.reading() as conn:
        seqs = [e.seq for e in feedback.feedback_since(conn, 0)]
    assert seqs == list(range(1, 41))


def test_a_call_is_opened_filled_closed_and_listed(db: Database) -> None:
    with db.transaction() as conn:
        assert calls.open_call(conn, a_call(origin=CallOrigin.DEMO, variant="v1a"))
        assert not calls.open_call(conn, a_call())
        records = [
            LogRecord(0, 0.0, "incoming_call"),
            LogRecord(1, 20.5, "transcript", turn_id=1, data={"text": "Grüß Gott", "final": True}),
        ]
        assert calls.append_events(conn, [("c1", r) for r in records]) == 2
        assert calls.append_events(conn, [("c1", records[1])]) == 0
        calls.close_call(conn, "c1", reason="caller", duration_s=61.5, language="de")
    with db.reading() as conn:
        assert calls.load_events(conn, "c1") == records
        (call,) = calls.list_calls(conn)
        assert calls.list_calls(conn, origin="caller") == []
    assert (call.reason, call.duration_s, call.variant) == ("caller", 61.5, "v1a")
    assert (call.origin, call.language, call.tenant) == (CallOrigin.DEMO, "de", "default")
    assert call.started_hour is not None
    assert call.started_hour == utc_hour(call.started_hour)
    assert call.started_hour.tzinfo is not None


def test_the_first_end_of_a_call_counts(db: Database) -> None:
    with db.transaction() as conn:
        calls.open_call(conn, a_call())
        calls.close_call(conn, "c1", reason="caller", duration_s=1.0, variant="v2a")
        calls.close_call(conn, "c1", reason="failure", duration_s=9.0)
        call = calls.load_call(conn, "c1")
    assert call is not None
    assert (call.reason, call.variant) == ("caller", "v2a")


def test_closing_an_unknown_call_says_so(db: Database) -> None:
    with pytest.raises(UnknownCall), db.transaction() as conn:
        calls.close_call(conn, "nobody", reason="caller", duration_s=1.0)


def test_calls_are_listed_newest_first_and_found_by_the_beginning_of_their_reference(
    db: Database,
) -> None:
    with db.transaction() as conn:
        for ref in ("abc1", "abd2", "x_y3"):
            calls.open_call(conn, a_call(ref))
        assert [c.call_ref for c in calls.list_calls(conn, limit=2)] == ["x_y3", "abd2"]
        assert calls.find_calls(conn, "ab") == ["abc1", "abd2"]
        assert calls.find_calls(conn, "x%") == []


def test_stored_moments_must_say_their_zone(db: Database) -> None:
    with pytest.raises(StoreError, match="aware"), db.transaction() as conn:
        conn.execute(
            insert(calls_table).values(
                call_ref="c",
                profile="kfz",
                language="en",
                door="text",
                origin="test",
                started_hour=utc_now().replace(tzinfo=None),
            )
        )


def test_a_calls_first_decision_holds(db: Database) -> None:
    with db.transaction() as conn:
        assert decisions.add_decision(conn, a_decision()).variant == "v1a"
        assert decisions.add_decision(conn, a_decision(variant="v1b")).variant == "v1a"
        stored = decisions.load_decision(conn, "c1")
        assert decisions.load_decision(conn, "c2") is None
    assert stored is not None
    assert stored.propensities == {"v1a": 0.9, "v1b": 0.1}
    assert stored.learns


def test_an_event_is_stored_once_whatever_its_sender_does(db: Database) -> None:
    with db.transaction() as conn:
        assert feedback.append_feedback(conn, a_feedback("e1"))
        assert not feedback.append_feedback(conn, a_feedback("e1", rating=1))
        assert feedback.append_feedback(conn, a_feedback("e2", rating=None, reward=None))
        stored = feedback.feedback_since(conn, 0)
        assert feedback.last_feedback_seq(conn) == stored[1].seq > stored[0].seq
        assert [e.event_id for e in feedback.feedback_since(conn, stored[0].seq)] == ["e2"]
        assert [e.event_id for e in feedback.feedback_of_call(conn, "c1")] == ["e1", "e2"]
    assert stored[0].rating == 4
    assert stored[0].kind is FeedbackKind.FEEDBACK


def test_counts_keep_admin_rewards_and_abandoned_calls_apart(db: Database) -> None:
    with db.transaction() as conn:
        feedback.append_feedback(conn, a_feedback("e1", rating=5, reward=0.9))
        feedback.append_feedback(conn, a_feedback("e2", rating=None, reward=0.1))
        left = {"kind": FeedbackKind.ABANDONED, "reward": None, "rating": None}
        feedback.append_feedback(conn, a_feedback("e3", **left))
        admin = {"kind": FeedbackKind.ADMIN, "reward": -1.0, "rating": None}
        feedback.append_feedback(conn, a_feedback("e4", **admin))
        counts = feedback.counts_by_variant(conn)["v1a"]
    assert (counts.feedback, counts.abandoned, counts.rated) == (2, 1, 1)
    assert counts.mean_rating == pytest.approx(5.0)
    assert counts.mean_reward == pytest.approx(0.5)


def test_acts_are_kept_in_order(db: Database) -> None:
    with db.transaction() as conn:
        deployment.append_act(conn, deployment.DeploymentRow("blacklist", "v1b", "Too long."))
        deployment.append_act(conn, deployment.DeploymentRow("rollback", None, "Back.", {"n": 1}))
        acts = deployment.load_acts(conn)
    assert [(a.action, a.variant) for a in acts] == [("blacklist", "v1b"), ("rollback", None)]
    assert acts[1].data == {"n": 1}


def a_whole_call(db: Database, ref: str, *, days_ago: int = 0) -> None:
    hour = utc_now() - timedelta(days=days_ago)
    with db.transaction() as conn:
        calls.open_call(conn, a_call(ref, subject="person", started_hour=hour))
        calls.append_events(conn, [(ref, LogRecord(0, 0.0, "transcript", data={"text": "hi"}))])
        decisions.add_decision(conn, a_decision(ref))
        feedback.append_feedback(conn, a_feedback(f"of-{ref}", call_ref=ref, at_hour=hour))


def everything(db: Database) -> str:
    with db.reading() as conn:
        rows = [conn.execute(table.select()).all() for table in metadata.sorted_tables]
    return "\n".join(str(row) for table in rows for row in table)


def test_deleting_a_call_leaves_no_trace_of_it_but_keeps_what_was_learned(db: Database) -> None:
    a_whole_call(db, "theirs")
    with db.transaction() as conn:
        assert calls.delete_call(conn, "theirs")
        assert not calls.delete_call(conn, "theirs")
        (event,) = feedback.feedback_since(conn, 0)
        assert calls.load_events(conn, "theirs") == []
    assert (event.reward, event.variant) == (0.5, "v1a")
    dump = everything(db)
    assert "theirs" not in dump
    assert "person" not in dump
    with db.reading() as conn:  # the pair of choice and reward stays a pair
        assert event.call_ref is not None
        assert decisions.load_decision(conn, event.call_ref) is not None


def test_a_call_that_is_let_go_of_still_folds_to_the_same(db: Database) -> None:
    """Guard and bandit read the order, the choice and the released ids: all that stays."""
    a_whole_call(db, "theirs")
    with db.transaction() as conn:
        feedback.append_feedback(conn, a_feedback("release-1", call_ref="theirs"))
        context = {"speech": 0.9}
        late = {"kind": FeedbackKind.REVISION, "revises": 0.5, "context": context}
        feedback.append_feedback(conn, a_feedback("rating-theirs", call_ref="theirs", **late))
        before = (outcomes_since(conn, 0), learnt(conn))
        assert calls.purge_before(conn, utc_now() + timedelta(hours=2)) == Kept(1, 3)
        assert (outcomes_since(conn, 0), learnt(conn)) == before
    assert "theirs" not in everything(db)


def learnt(conn: Connection) -> list[FeedbackRow]:
    """What is folded of every event: all but what leads to a call or a person."""
    return [
        replace(event, event_id="", call_ref=None, subject=None)
        for event in feedback.feedback_since(conn, 0)
    ]


def test_letting_go_of_many_calls_takes_few_statements(db: Database) -> None:
    for n in range(40):
        a_whole_call(db, f"c{n}", days_ago=2)
    statements: list[str] = []
    event.listen(
        db._opened(), "before_cursor_execute", lambda *args: statements.append(str(args[2]))
    )
    with db.transaction() as conn:
        assert calls.purge_before(conn, utc_now(), batch=20) == Kept(40, 40)
    assert len(statements) <= 8 + 8 * 2  # questions, sums, attempts, and some for each batch


def test_retention_lets_go_of_old_calls_alone(db: Database) -> None:
    a_whole_call(db, "old", days_ago=31)
    a_whole_call(db, "young")
    with db.transaction() as conn:  # feedback whose call is not there at all
        late = utc_now() - timedelta(days=40)
        feedback.append_feedback(conn, a_feedback("stray", call_ref="gone", at_hour=late))
        admin = {"kind": FeedbackKind.ADMIN, "call_ref": None, "subject": None}
        feedback.append_feedback(conn, a_feedback("admin", at_hour=late, **admin))
    cutoff = utc_now() - timedelta(days=30)
    with db.transaction() as conn:
        assert calls.purge_before(conn, cutoff, tenant="other") == Kept(0, 0)
        assert calls.purge_before(conn, cutoff, batch=1) == Kept(1, 2)
        assert calls.purge_before(conn, cutoff) == Kept(0, 0)
        assert [c.call_ref for c in calls.list_calls(conn)] == ["young"]
        assert len(feedback.feedback_since(conn, 0)) == 4
    dump = everything(db)
    assert "'old'" not in dump
    assert "'gone'" not in dump
    assert "of-young" in dump


def test_events_of_a_deleted_call_are_not_taken(db: Database) -> None:
    record = LogRecord(0, 0.0, "transcript")
    with db.transaction() as conn:
        calls.open_call(conn, a_call("here"))
        assert calls.append_events(conn, [("here", record), ("gone", record)]) == 1


def test_rows_of_another_tenant_are_not_seen(db: Database) -> None:
    with db.transaction() as conn:
        calls.open_call(conn, a_call("c1", tenant="town"))
        feedback.append_feedback(conn, a_feedback("e1", tenant="town"))
        assert calls.list_calls(conn) == []
        assert feedback.feedback_since(conn, 0) == []
        assert feedback.counts_by_variant(conn) == {}
        conn.execute(update(calls_table).values(tenant="default"))
        assert len(calls.list_calls(conn)) == 1


@pytest.mark.parametrize("pooled", [True, False])
def test_it_serves_several_event_loops(new_store: Path | str, pooled: bool) -> None:
    db = open_database(new_store, pooled=pooled)
    for ref in ("c1", "c2"):
        assert asyncio.run(db.run(calls.open_call, a_call(ref)))
        assert asyncio.run(db.query(calls.load_call, ref))
    db.close()


class _AsPostgres(Exception):
    """An error as psycopg raises it: its text repeats the row that was refused."""

    class diag:  # noqa: N801 - psycopg's name
        message_primary = "null value violates\n a constraint"


def test_a_refused_row_is_not_repeated_in_the_error(db: Database) -> None:
    words = "my number is 0171 2345678"
    refused = IntegrityError("INSERT", {"data": words}, _AsPostgres(f"DETAIL: ({words})"))
    said = pytest.raises(StoreError, match="null value violates a constraint")
    with said as caught, db.transaction():
        raise refused
    assert words not in caught.value.message
    with pytest.raises(StoreError) as caught, db.transaction() as conn:
        conn.execute(text("SELECT :words FROM nowhere"), {"words": words})
    assert words not in str(caught.value.__cause__)
