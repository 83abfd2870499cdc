"""What answers cost: kept by call, turn and tenant, summed up, and let go of with their calls."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import StoreError
from apps.core.events import LogRecord
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.metering import Meter
from apps.llm.chat_stream import Tally
from apps.llm.gateway.bill import bill
from apps.llm.gateway.provider import Kind, Price, Provider
from apps.llm.usage import Outcome, Usage
from apps.store import calls
from apps.store.batch_writer import MAX_WAITING
from apps.store.call_tables import llm_usage
from apps.store.calls import CallRow
from apps.store.database import Database, open_database
from apps.store.llm_choice import load_choice, save_choice
from apps.store.llm_usage import SUMMED, By, UsageRow, append_usage, usage_by, usage_of_call
from apps.store.usage_writer import UsageWriter

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
ROW = UsageRow(
    "ref",
    3,
    "answer",
    "gpu",
    "base",
    "answered",
    prompt_tokens=100,
    completion_tokens=10,
    cost_micros=120,
    first_token_ms=80.0,
    at_hour=NOW,
)


@pytest.fixture
def db(new_store) -> Iterator[Database]:
    database = open_database(new_store)
    yield database
    database.close()


def store(db, *rows, opened=("ref",)):
    with db.transaction() as conn:
        for ref in opened:
            call = CallRow(ref, "kfz", "en", "websocket", subject="person", started_hour=NOW)
            calls.open_call(conn, call)
        return append_usage(conn, rows)


def sums(db, by, **only):
    with db.reading() as conn:
        return {found.key: found for found in usage_by(conn, by, **only)}


def rows_of(db, ref="ref"):
    with db.reading() as conn:
        return usage_of_call(conn, ref)


def test_a_row_is_kept_as_it_is(db):
    row = replace(ROW, adapter="a-1", adapter_missing=True, estimated=True, tenant="other")
    assert store(db, row) == 1
    assert rows_of(db) == [row]


def test_the_time_is_cut_to_the_hour(db):
    store(db, replace(ROW, at_hour=None))
    assert rows_of(db)[0].at_hour == utc_hour(utc_now())


def test_usage_is_summed_up_by_whom_and_what_it_was_for(db):
    store(
        db,
        ROW,
        replace(ROW, provider="cloud", outcome="stopped", cost_micros=900, first_token_ms=40.0),
        replace(ROW, outcome="failed", cost_micros=0, first_token_ms=None, tenant="other"),
        replace(ROW, at_hour=NOW - timedelta(days=1), estimated=True, adapter="a-1"),
    )
    by_provider = sums(db, By.PROVIDER)
    assert list(by_provider) == ["cloud", "gpu"]  # the dearest first
    gpu = by_provider["gpu"]
    assert (gpu.requests, gpu.answered, gpu.prompt_tokens, gpu.cost_micros) == (3, 2, 300, 240)
    assert (gpu.estimated, gpu.adapter_missing, gpu.first_token_ms) == (1, 0, 80.0)
    assert list(sums(db, By.DAY)) == ["2026-11-21", "2026-11-22"]
    assert sums(db, By.TENANT)["other"].requests == 1
    assert set(sums(db, By.ADAPTER)) == {"", "a-1"}
    assert set(sums(db, By.OUTCOME)) == {"answered", "stopped", "failed"}
    assert set(sums(db, By.PROVIDER, tenant="other")) == {"gpu"}
    assert sums(db, By.PROVIDER, since=NOW)["gpu"].requests == 2


def test_a_deleted_call_leaves_its_cost_and_nothing_that_leads_to_it(db):
    store(db, ROW, replace(ROW, call_ref="other"), opened=("ref", "other"))
    with db.transaction() as conn:
        assert calls.delete_call(conn, "ref")
    assert rows_of(db) == []
    assert len(rows_of(db, "other")) == 1
    assert sums(db, By.PROVIDER)["gpu"].cost_micros == 240
    with db.reading() as conn:
        kept = conn.execute(llm_usage.select().order_by(llm_usage.c.seq)).all()
    assert [(row.call_ref, row.turn_id) for row in kept] == [(None, None), ("other", 3)]


def test_a_row_that_comes_after_its_call_was_deleted_leads_to_nothing(db):
    store(db, ROW)
    with db.transaction() as conn:
        calls.delete_call(conn, "ref")
    store(db, ROW, opened=())
    assert rows_of(db) == []
    assert sums(db, By.PROVIDER)["gpu"].requests == 2


def test_after_the_retention_time_sums_by_the_hour_stand_in_the_rows_place(db):
    old = NOW - timedelta(days=40)
    fresh = replace(ROW, call_ref="fresh")
    store(db, *[replace(ROW, at_hour=old)] * 3, fresh, opened=("ref", "fresh"))
    store(db, replace(ROW, at_hour=old, outcome="failed", cost_micros=5, tenant="other"))
    before = {by: sums(db, by) for by in By}
    for _ in range(2):  # the second time changes nothing more
        with db.transaction() as conn:
            calls.purge_before(conn, NOW - timedelta(days=30))
        with db.reading() as conn:
            kept = conn.execute(llm_usage.select().order_by(llm_usage.c.seq)).all()
        assert len(kept) == 3
        summed = [row for row in kept if row.purpose == SUMMED]
        assert {(row.outcome, row.requests) for row in summed} == {("answered", 3), ("failed", 1)}
        assert all(row.call_ref is None and row.turn_id is None for row in summed)
        assert rows_of(db, "fresh") == [fresh]
    for by in By:
        after = sums(db, by)
        assert after.keys() == before[by].keys()
        for key, found in after.items():
            assert replace(found, first_token_ms=before[by][key].first_token_ms) == before[by][key]


def test_the_retention_of_one_tenant_leaves_the_others_alone(db):
    old = NOW - timedelta(days=40)
    store(db, replace(ROW, at_hour=old), replace(ROW, at_hour=old, tenant="other"))
    with db.transaction() as conn:
        calls.purge_before(conn, NOW, tenant="other")
        kept = conn.execute(llm_usage.select().order_by(llm_usage.c.seq)).all()
    assert {(row.tenant, row.purpose) for row in kept} == {("default", "answer"), ("other", SUMMED)}


def test_a_choice_is_kept_and_the_last_one_counts(db):
    with db.transaction() as conn:
        assert load_choice(conn) == {}
        save_choice(conn, {"first": ["a"], "off": []})
        save_choice(conn, {"first": ["b"], "off": ["a"]})
        assert load_choice(conn) == {"first": ["b"], "off": ["a"]}


# --- the writer


async def test_rows_are_written_in_batches_and_at_the_latest_when_the_writer_stops(db):
    store(db)
    async with UsageWriter(db, flush_ms=10.0) as writer:
        for _ in range(150):
            writer.put(ROW)
        await writer.flush()
        assert len(rows_of(db)) == 150
        writer.put(ROW)
    assert len(rows_of(db)) == 151
    assert writer.lost == 0


async def test_rows_that_cannot_be_stored_are_counted_and_the_others_come_through(db):
    store(db)

    class Failing:
        fails = True

        async def join(self, work, rows):
            if self.fails:
                raise StoreError("The disk is full.")
            return await db.join(work, rows)

    failing = Failing()
    async with UsageWriter(failing, flush_ms=1.0) as writer:
        writer.put(ROW)
        await writer.flush()
        failing.fails = False
        writer.put(ROW)
    assert (writer.lost, len(rows_of(db))) == (1, 1)


async def test_what_waits_is_bounded(db):
    async with UsageWriter(db, flush_ms=1.0) as writer:
        for _ in range(MAX_WAITING + 5):
            writer.put(ROW)
        assert writer.lost == 5


# --- from an answer to its row


class Sink:
    def __init__(self):
        self.records = []

    def put(self, call_ref, record: LogRecord):
        self.records.append(record)
        return True


USAGE = Usage("gpu", "base", Outcome.ANSWERED, prompt_tokens=4, completion_tokens=2, cost_micros=9)


async def test_an_answer_is_noted_in_its_calls_log_and_kept_for_its_turn():
    sink, rows = Sink(), []
    meter = Meter(CallLog("ref", sink), rows.append, tenant="other")
    account = meter.account()
    account.book(replace(USAGE, adapter="a-1", adapter_missing=True))
    assert not rows
    account.settle(7)
    (row,) = rows
    assert (row.call_ref, row.turn_id, row.tenant, row.purpose) == ("ref", 7, "other", "answer")
    assert (row.adapter, row.adapter_missing, row.cost_micros) == ("a-1", True, 9)
    (record,) = sink.records
    assert (record.kind, record.turn_id) == ("answer.provider", 7)
    assert record.data["adapter_missing"] is True


async def test_what_nobody_hears_is_kept_and_not_noted_among_what_was_said():
    sink, rows = Sink(), []
    account = Meter(CallLog("ref", sink), rows.append).account()
    account.settle(7)
    account.shadow().book(USAGE)
    assert [(row.turn_id, row.purpose) for row in rows] == [(7, "shadow")]
    assert not sink.records


PROVIDER = Provider("gpu", Kind.VLLM, "http://h", "base", price=Price(10.0, 30.0))


def test_the_servers_own_count_is_taken_before_an_estimate():
    tally = Tally("base", prompt_tokens=7, completion_tokens=3, prompt_bytes=400, answer_bytes=99)
    found = bill(PROVIDER, tally, Outcome.ANSWERED)
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (7, 3, False)
    assert found.cost_micros == 7 * 10 + 3 * 30


def test_without_a_count_a_token_is_four_bytes_and_that_is_said():
    tally = Tally("base", prompt_bytes=401, answer_bytes=8)
    found = bill(PROVIDER, tally, Outcome.STOPPED)
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (101, 2, True)


def test_what_no_server_took_cost_nothing():
    found = bill(PROVIDER, Tally(prompt_bytes=400), Outcome.FAILED, code="llm_unreachable")
    assert (found.prompt_tokens, found.cost_micros, found.estimated) == (0, 0, False)
    assert (found.model, found.first_token_ms) == ("base", None)
