"""The event writer: batched, bounded, and complete after a clean end."""

from __future__ import annotations

import asyncio

import pytest

from apps.core.events import LogRecord
from apps.store.calls import CallRow, delete_call, load_events, open_call
from apps.store.database import Database, open_database
from apps.store.event_writer import EventWriter


@pytest.fixture
async def db(new_store):
    database = open_database(new_store)
    for ref in ("a", "b"):
        await database.run(open_call, CallRow(ref, "kfz", "en", "websocket"))
    yield database
    await database.aclose()


def record(seq: int) -> LogRecord:
    return LogRecord(seq, seq * 20.0, "transcript", data={"n": seq})


async def test_everything_is_written_before_it_closes(db: Database) -> None:
    async with EventWriter(db, flush_ms=60_000) as writer:
        for seq in range(150):
            assert writer.put("a", record(seq))
            assert writer.put("b", record(seq))
    assert writer.written == 300
    assert writer.lost == writer.overflows == 0
    assert await db.query(load_events, "a") == [record(seq) for seq in range(150)]


async def test_everything_is_written_even_when_the_block_fails(db: Database) -> None:
    async def broken() -> None:
        async with EventWriter(db) as writer:
            writer.put("a", record(0))
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await broken()
    assert len(await db.query(load_events, "a")) == 1


async def test_a_lonely_event_is_written_soon(db: Database) -> None:
    async with EventWriter(db, flush_ms=5) as writer:
        writer.put("a", record(0))
        async with asyncio.timeout(5):
            await writer.flush()
        assert await db.query(load_events, "a") == [record(0)]
        writer.put("a", record(1))
        await writer.flush()
    assert writer.written == 2


async def test_what_does_not_fit_is_refused_and_counted(db: Database) -> None:
    async with EventWriter(db, max_queued=3) as writer:
        taken = [writer.put("a", record(seq)) for seq in range(5)]
    assert taken == [True, True, True, False, False]
    assert (writer.written, writer.overflows) == (3, 2)


async def test_one_event_that_cannot_be_stored_does_not_take_others_with_it(db: Database) -> None:
    async with EventWriter(db) as writer:
        writer.put("a", record(0))
        writer.put("a", LogRecord(1, 20.0, "transcript", data={"no JSON": object()}))
        writer.put("b", record(0))
    assert (writer.written, writer.lost) == (2, 1)


async def test_events_of_a_call_deleted_meanwhile_are_counted_as_lost(db: Database) -> None:
    async with EventWriter(db) as writer:
        await db.run(delete_call, "b")
        writer.put("a", record(0))
        writer.put("b", record(0))
    assert (writer.written, writer.lost) == (1, 1)
