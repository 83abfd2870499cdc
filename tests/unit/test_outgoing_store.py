"""What is kept of outgoing calls: consents appended, attempts counted, both let go of rightly."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.store.calls import CallRow, list_calls, open_call, purge_before
from apps.store.consents import ConsentAction, ConsentRow, forget, record, records_of, standing_of
from apps.store.database import Database, open_database
from apps.store.migrate import migrate
from apps.store.outgoing import (
    DIALLED,
    AttemptRow,
    attempts_at,
    begin_attempt,
    dialled_since,
    end_attempt,
)

NOON = datetime(2026, 3, 10, 12, 34, tzinfo=UTC)


@pytest.fixture
def conn(new_store):
    with open_database(new_store).transaction() as connection:
        yield connection


def an_attempt(ref="o1", number=1, **changes):
    values = {
        "outgoing_ref": ref,
        "number": number,
        "subject": "s1",
        "profile": "kfz",
        "language": "de",
        "purpose": "pickup",
        "via": "sip",
        "decision": DIALLED,
        "at_hour": NOON,
    }
    return AttemptRow(**(values | changes))


def test_an_attempt_is_noted_once_and_then_ended(conn):
    assert begin_attempt(conn, an_attempt())
    assert not begin_attempt(conn, an_attempt(decision="no_consent"))
    end_attempt(conn, "o1", 1, result="answered", call_ref="c1")
    (kept,) = attempts_at(conn, "o1")
    assert (kept.decision, kept.result, kept.call_ref) == (DIALLED, "answered", "c1")
    assert kept.at_hour == NOON.replace(minute=0)


def test_attempts_come_in_order(conn):
    for number in (2, 1, 3):
        begin_attempt(conn, an_attempt(number=number))
    assert [attempt.number for attempt in attempts_at(conn, "o1")] == [1, 2, 3]


def test_only_what_was_dialled_counts_to_a_number_s_day(conn):
    begin_attempt(conn, an_attempt("o1"))
    begin_attempt(conn, an_attempt("o2", at_hour=NOON - timedelta(days=1)))
    begin_attempt(conn, an_attempt("o3", decision="outside_hours"))
    begin_attempt(conn, an_attempt("o4", subject="s2"))
    begin_attempt(conn, an_attempt("o5", tenant="another"))
    assert dialled_since(conn, "s1", NOON.replace(hour=0)) == 1


def test_old_attempts_go_with_the_retention_and_consents_stay(conn):
    begin_attempt(conn, an_attempt("o1", at_hour=NOON - timedelta(days=40)))
    begin_attempt(conn, an_attempt("o2"))
    record(conn, ConsentRow("s1", ConsentAction.GIVEN, "pickup", "form", NOON - timedelta(days=40)))
    purge_before(conn, NOON - timedelta(days=30))
    assert attempts_at(conn, "o1") == []
    assert len(attempts_at(conn, "o2")) == 1
    assert standing_of(conn, "s1", "pickup").consent is not None


def test_consents_are_one_tenant_s_and_one_subject_s(conn):
    record(conn, ConsentRow("s1", ConsentAction.GIVEN, "pickup", "form"))
    assert standing_of(conn, "s2", "pickup").consent is None
    assert standing_of(conn, "s1", "pickup", tenant="another").consent is None


def test_forgetting_leaves_the_do_not_call_list_and_everybody_else(conn):
    for row in (
        ConsentRow("s1", ConsentAction.GIVEN, "pickup", "form"),
        ConsentRow("s1", ConsentAction.BLOCKED),
        ConsentRow("s2", ConsentAction.GIVEN, "pickup", "form"),
    ):
        record(conn, row)
    assert forget(conn, "s1") == 1
    assert [(row.subject, row.action) for row in records_of(conn)] == [
        ("s1", "blocked"),
        ("s2", "given"),
    ]
    assert standing_of(conn, "s1", "pickup").blocked


def test_calls_of_an_older_database_came_in(tmp_path):
    database = open_database(tmp_path / "new.db")
    with database.transaction() as conn:
        open_call(conn, CallRow("c0", "kfz", "en", "sip", direction="outgoing"))
        assert list_calls(conn)[0].direction == "outgoing"
    old = Database(tmp_path / "old.db")
    migrate(old, "0001")
    with old.transaction() as conn:
        conn.exec_driver_sql(
            "INSERT INTO calls (call_ref, profile, language, door, origin, started_hour)"
            " VALUES ('c1', 'kfz', 'en', 'websocket', 'caller', '2026-03-10 12:00:00')"
        )
    migrate(old)
    with old.reading() as conn:
        assert list_calls(conn)[0].direction == "incoming"
