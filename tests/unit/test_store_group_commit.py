"""Writers who wait at the same moment share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from apps.core.errors import StoreError
from apps.store.database import Database, open_database
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback, feedback_since


@pytest.fixture
def db(new_store: Path | str) -> Iterator[Database]:
    database = open_database(new_store)
    yield database
    database.close()


@pytest.fixture
def commits(db: Database) -> list[Connection]:
    seen: list[Connection] = []
    event.listen(db._opened(), "commit", seen.append)
    return seen


def append(conn: Connection, event_id: str) -> bool:
    return append_feedback(conn, FeedbackRow(event_id, FeedbackKind.ADMIN, "v1a", 0.5))


def stored(db: Database) -> list[str]:
    with db.reading() as conn:
        return [event.event_id for event in feedback_since(conn, 0)]


class Gate:
    """Holds the writer up, so that others come to wait behind it."""

    def __init__(self) -> None:
        self.inside, self.opened = threading.Event(), threading.Event()

    def __call__(self, _conn: Connection) -> None:
        self.inside.set()
        assert self.opened.wait(10)


async def behind_a_gate(db: Database, *works: Callable[[Connection], object]) -> list[object]:
    """Let all work wait at once, then run it; return results and errors."""
    gate = Gate()
    first = asyncio.create_task(db.run(gate))
    await asyncio.to_thread(gate.inside.wait, 10)
    waiting = [asyncio.create_task(db.join(work)) for work in works]
    await asyncio.sleep(0.01)
    gate.opened.set()
    await first
    return list(await asyncio.gather(*waiting, return_exceptions=True))


async def test_who_waits_at_once_shares_one_commit(db: Database, commits: list[Connection]) -> None:
    works = [lambda conn, n=n: append(conn, f"e{n}") for n in range(20)]
    assert await behind_a_gate(db, *works) == [True] * 20
    assert stored(db) == [f"e{n}" for n in range(20)]
    assert len(commits) == 2 + 1  # the gate's, the group's, and this test's own look


async def test_nobody_hears_of_success_before_the_commit(db: Database) -> None:
    """With each answer there, its row must be visible to a connection of somebody else."""

    async def one(n: int) -> bool:
        await db.join(append, f"e{n}")
        with db.reading() as conn:
            return f"e{n}" in {event.event_id for event in feedback_since(conn, 0)}

    assert all(await asyncio.gather(*(one(n) for n in range(30))))


async def test_an_error_undoes_its_own_work_alone(db: Database) -> None:
    def broken(conn: Connection) -> None:
        append(conn, "half")
        raise LookupError("not here")

    results = await behind_a_gate(db, lambda c: append(c, "a"), broken, lambda c: append(c, "b"))
    assert [results[0], results[2]] == [True, True]
    assert isinstance(results[1], LookupError)
    assert stored(db) == ["a", "b"]


async def test_an_error_of_the_store_does_not_take_neighbours_with_it(db: Database) -> None:
    def refused(conn: Connection) -> None:
        append(conn, "half")
        conn.execute(text("SELECT * FROM nowhere"))

    results = await behind_a_gate(db, lambda c: append(c, "a"), refused, lambda c: append(c, "b"))
    assert [results[0], results[2]] == [True, True]
    assert isinstance(results[1], StoreError)
    assert stored(db) == ["a", "b"]


async def test_a_failing_commit_is_everybodys_until_each_has_tried_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = iter([False, True, False, True])  # the gate, the group, and each of the two alone
    real = db._opened().dialect.do_commit

    def do_commit(connection: object) -> None:
        if next(fails, False):
            raise StoreError("The disk is full.")
        real(connection)  # type: ignore[arg-type]

    monkeypatch.setattr(db._opened().dialect, "do_commit", do_commit)
    results = await behind_a_gate(db, lambda c: append(c, "a"), lambda c: append(c, "b"))
    assert results[0] is True
    assert isinstance(results[1], StoreError)
    assert stored(db) == ["a"]


async def test_who_gave_up_waiting_is_passed_over(db: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(db.run(gate))
    await asyncio.to_thread(gate.inside.wait, 10)
    gone = asyncio.create_task(db.join(append, "gone"))
    kept = asyncio.create_task(db.join(append, "kept"))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, kept)
    assert stored(db) == ["kept"]


async def test_a_transaction_of_ones_own_is_shared_with_nobody(
    db: Database, commits: list[Connection]
) -> None:
    await asyncio.gather(*(db.run(append, f"e{n}") for n in range(5)))
    assert len(commits) == 5


async def test_closing_finishes_what_waits(db: Database) -> None:
    waiting = [asyncio.create_task(db.join(append, f"e{n}")) for n in range(10)]
    await asyncio.sleep(0)
    await db.aclose()
    assert await asyncio.gather(*waiting) == [True] * 10
    assert len(stored(db)) == 10
