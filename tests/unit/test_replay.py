"""A recorded call, decided again: the same while nothing changes, and every change is shown."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.core.errors import ConfigError, StoreError
from apps.core.event_lines import from_lines, to_line
from apps.core.events import LogRecord
from apps.dispatcher.replay import Decision, changed, compare, logged_options, replay
from apps.dispatcher.replay_states import STATE_MACHINE, applied
from apps.settings import load_settings
from apps.store.calls import CallOrigin, CallRow, append_events, open_call
from apps.store.database import open_database
from apps.voice.turn_options import TurnOptions
from tests.event_logs import Log, question_and_cough


@pytest.fixture
def log():
    return question_and_cough()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(tmp_path / "calls.db"))
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


@pytest.fixture
def file(log, tmp_path):
    return written(tmp_path, log.records)


def written(folder, records):
    path = folder / "call.jsonl"
    path.write_text("".join(to_line(record) + "\n" for record in records), encoding="utf-8")
    return path


def tom(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def without(log, *kinds):
    kept = [record for record in log.records if record.kind not in kinds]
    return [replace(record, seq=seq) for seq, record in enumerate(kept)]


# --- turn-taking


def test_the_log_of_a_call_decides_the_same_again(log):
    assert {"started", "maybe_ended", "went_on", "ended", "hold", "false_alarm"} <= {*log.decided()}
    result = replay(log.records)
    assert result.differences == ()
    assert result.logged == result.now == len(log.decided())
    assert result.missing == 0


def test_the_options_are_those_of_the_call_not_of_today():
    log = question_and_cough(endpoint_ms=1000.0, complete_ms=900.0, maybe_ms=250.0)
    assert replay(log.records).differences == ()
    assert replay(log.records).options == log.options != TurnOptions()


def test_another_option_shows_where_the_call_would_have_gone_another_way(log):
    result = replay(log.records, {"complete_ms": "150", "endpoint_ms": "150"})
    first = result.differences[0]
    assert (first.decider, first.now is None) == ("turn-taking", False)
    assert "ended" in first.now
    assert result.now > result.logged  # who is cut off in a pause starts again


def test_a_decision_that_only_moved_is_one_difference_with_both_times(log):
    result = replay(log.records, {"wordless_ms": "448"})
    (difference,) = (d for d in result.differences if d.logged and d.now)
    assert difference.logged.startswith("ended at")
    was, now = (float(text.split()[2]) for text in (difference.logged, difference.now))
    assert now - was == pytest.approx(0.096, abs=0.02)


def test_a_decision_that_nobody_takes_any_more_is_told(log):
    result = replay(log.records, {"hold_ms": "2000"})
    gone = [d.logged.split()[0] for d in result.differences if d.now is None]
    assert gone == ["hold", "false_alarm"]


def test_a_field_that_the_log_did_not_have_yet_is_no_difference():
    was = Decision("ended", 100.0, 100.0, {"last_voice_ms": 50.0})
    now = Decision("ended", 100.0, 100.0, {"last_voice_ms": 50.0, "completeness": "open"})
    assert list(compare([was], [now])) == []
    assert len(list(compare([was], [replace(now, details={"last_voice_ms": 60.0})]))) == 1


def test_decisions_far_apart_are_not_taken_for_one_that_moved():
    was, now = Decision("ended", 1000.0, 1000.0), Decision("ended", 9000.0, 9000.0)
    assert [(d.logged is None, d.now is None) for d in compare([was], [now])] == [
        (False, True),
        (True, False),
    ]


def test_options_that_a_log_lacks_or_has_too_many_of_are_no_trouble():
    record = LogRecord(0, 0.0, "ear.options", None, {"complete_ms": 123.0, "retired_ms": 1.0})
    assert logged_options([record]) == TurnOptions(complete_ms=123.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("complet_ms", "1"),
        ("complete_ms", "soon"),
        ("complete_ms", "-1"),
        ("complete_ms", "nan"),
        ("voice_on", "inf"),
        ("sure_words", "1.5"),
        ("language", "fr"),
    ],
)
def test_an_option_that_cannot_be_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        changed(TurnOptions(), {name: value})


def test_options_keep_their_kinds():
    options = changed(TurnOptions(), {"sure_words": "3", "doubt": "0.5", "language": "de"})
    assert (options.sure_words, options.doubt, options.language) == (3, 0.5, "de")


@pytest.mark.parametrize("data", [{}, {"until_ms": 800.0, "voice": ["x"]}, {"until_ms": "x"}])
def test_an_ear_record_that_lacks_what_it_must_hold_is_named(log, data):
    at = next(i for i, record in enumerate(log.records) if record.kind == "ear.windows")
    log.records[at] = replace(log.records[at], data=data)
    with pytest.raises(StoreError, match=rf"Record {at} \(ear.windows\)"):
        replay(log.records)


def test_times_beyond_all_measure_are_compared_all_the_same():
    log = Log().ear().hear(1000, 1).hear(1000, 0)
    window = next(record for record in log.records if record.kind == "ear.windows")
    endless = replace(window, seq=len(log.records), data={"until_ms": 1e999, "voice": [0]})
    assert replay([*log.records, endless]).logged == 2


# --- the state machine


def test_an_event_that_the_machine_refuses_today_is_told(log):
    records = [*log.records, LogRecord(len(log.records), 9e3, "fsm.barge_in")]
    (difference,) = replay(records).differences
    assert difference.decider == STATE_MACHINE
    assert "ended" in difference.now


def test_an_event_that_was_dropped_and_would_not_be_today_is_told():
    log = Log().note("fsm.incoming_call")
    log.note("dropped.illegal", event="call_answered", state="ringing")
    log.note("dropped.illegal", event="barge_in", state="ringing")
    (difference,) = replay(log.records).differences
    assert difference.logged == "dropped.illegal"
    assert "call_answered is possible" in difference.now


def test_a_sentence_of_a_turn_that_today_s_machine_has_not_begun_is_told():
    log = Log().note("fsm.incoming_call").note("fsm.call_answered")
    log.note("assistant", 1, text="Hello.", sources=[]).note("assistant", 7, text="?", sources=[])
    (difference,) = replay(log.records).differences
    assert difference.logged == "turn 7 speaks"


def test_another_end_of_the_call_is_told(log):
    log.note("call.ended", reason="completed", rating=None, reward=None)
    (difference,) = replay(log.records).differences
    assert (difference.logged, difference.now) == ("ended: completed", "ended: caller_hung_up")


def test_a_kind_of_event_that_is_gone_changes_nothing():
    steps = list(applied(Log().note("fsm.incoming_call").note("fsm.teleported").records))
    assert [bool(step.refused) for step in steps] == [False, True]
    assert steps[1].after == steps[0].after


# --- lines


def test_records_survive_being_written_and_read(log):
    assert from_lines(map(to_line, log.records), "x") == log.records


def test_fields_beside_the_others_are_read_as_well():
    line = '{"seq": 0, "at_ms": 1, "kind": "partial", "turn_id": null, "text": "what"}'
    assert from_lines([line, ""], "x") == [LogRecord(0, 1.0, "partial", None, {"text": "what"})]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"x"',
        "[" * 100_000,
        '{"at_ms": 0, "kind": "x"}',
        '{"seq": true, "at_ms": 0, "kind": "x"}',
        '{"seq": 0, "at_ms": NaN, "kind": "x"}',
        '{"seq": 0, "at_ms": 1e999, "kind": "x"}',
        '{"seq": 0, "at_ms": 0, "kind": "x", "data": {"ms": Infinity}}',
        '{"seq": 0, "at_ms": 0, "kind": 5}',
        '{"seq": 0, "at_ms": 0, "kind": "x", "turn_id": "1"}',
        '{"seq": 0, "at_ms": 0, "kind": "x", "data": []}',
    ],
)
def test_a_line_that_is_no_record_is_told_with_its_number(line):
    good = '{"seq": 0, "at_ms": 0, "kind": "x"}'
    with pytest.raises(StoreError, match=r"Line 2 of a\.jsonl"):
        from_lines([good, line], "a.jsonl")


# --- the command


def test_an_unchanged_call_exits_with_0(file):
    done = tom("replay", file)
    assert (done.exit_code, "Nothing has changed." in done.stdout) == (0, True)


def test_a_changed_call_exits_with_1_and_shows_what_was_and_is(file):
    done = tom("replay", file, "--set", "hold_ms=2000")
    assert done.exit_code == 1
    assert "hold at" in done.stdout
    assert "Changed in 3 places." in done.stdout


def test_programs_get_one_json_object(file):
    done = tom("replay", file, "--set", "hold_ms=2000", "--json")
    told = json.loads(done.stdout)
    assert (told["call"], len(told["differences"])) == ("call", 3)
    assert told["options"]["hold_ms"] == 2000.0


def test_a_log_without_ear_records_says_so(log, tmp_path):
    kinds = {record.kind for record in log.records if record.kind.startswith("ear.")}
    done = tom("replay", written(tmp_path, without(log, *kinds)))
    assert done.exit_code == 0
    assert "the log holds no ear records" in done.stdout


def test_records_that_are_lost_are_told(log, tmp_path):
    done = tom("replay", written(tmp_path, [r for r in log.records if r.kind != "partial"]))
    assert "2 records are lost" in done.stdout


def test_a_call_that_is_kept_is_found_by_the_beginning_of_its_reference(log, home):
    with open_database(load_settings().store).transaction() as conn:
        ref = "abcdef0123456789"
        open_call(conn, CallRow(ref, "kfz", "en", "test", CallOrigin.DEMO))
        append_events(conn, [(ref, record) for record in log.records])
    done = tom("replay", "abcd")
    assert done.exit_code == 0, done.output
    assert "abcdef012345" in done.stdout
    assert tom("calls", "show", "abcd", "--json").stdout.splitlines()[0] == to_line(log.records[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no call 'nobody'"),
        (["missing.jsonl"], "missing.jsonl cannot be read"),
        (["empty.jsonl"], "empty"),
        (["latin.jsonl"], "no UTF-8"),
        (["broken.jsonl"], "Line 1 of broken.jsonl"),
        (["call.jsonl", "--set", "hold_ms"], "sets nothing"),
        (["call.jsonl", "--set", "x=1"], "no option"),
    ],
)
def test_what_cannot_be_replayed_is_told_and_exits_with_2(log, home, arguments, said):
    written(home, log.records)
    (home / "empty.jsonl").touch()
    (home / "latin.jsonl").write_bytes(b"\xff\xfe\xfa")
    (home / "broken.jsonl").write_text("{")
    done = tom("replay", *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
