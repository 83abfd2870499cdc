"""`tom rl` and `tom calls`: what an operator reads and does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli.calls import calls_app
from apps.cli.rl import rl_app
from apps.core.events import LogRecord
from apps.core.ids import keyed_hash
from apps.rl import defaults
from apps.rl.feedback import FeedbackCollector
from apps.rl.policy_bandit import update_policy_reward
from apps.store.calls import CallRow, append_events, close_call, open_call
from apps.store.decisions import DecisionRow, add_decision

CALL_ID = "call_0123456789abcdef"


@pytest.fixture(autouse=True)
def folder(settings_in: Callable[..., Path]) -> Path:
    return settings_in(COLUMNS="140")


def rl(*args: str) -> Result:
    return CliRunner().invoke(rl_app, args)


def tom_calls(*args: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(calls_app, args, input=answer)


@pytest.fixture
def a_call() -> str:
    ref = keyed_hash(CALL_ID, defaults.default_hash_key())
    with defaults.default_database().transaction() as conn:
        open_call(conn, CallRow(ref, "kfz", "en", "websocket", variant="v1a"))
        append_events(
            conn,
            [
                (ref, LogRecord(0, 0.0, "incoming_call")),
                (ref, LogRecord(1, 2150.0, "transcript", 3, {"text": "[hello] there", "n": 1})),
            ],
        )
        close_call(conn, ref, reason="caller_hung_up", duration_s=42.4)
        add_decision(
            conn,
            DecisionRow(ref, "v1a", 0.9, {"v1a": 0.9}, {"v1a": "base"}, "The base.", False, 0),
        )
    return ref


def test_status_shows_every_variant_with_its_probability() -> None:
    update_policy_reward("v1a", 0.5)
    shown = rl("status").output
    line = next(line for line in shown.splitlines() if line.strip().startswith("v1a"))
    assert "formal factual medium direct medium" in line
    assert "base" in line
    assert "+0.50" in line
    assert "90.0%" in line
    assert "v3d" in shown
    assert "health: ok" in shown


def test_status_says_when_learning_is_switched_off(settings_in: Callable[..., Path]) -> None:
    settings_in(RL_ENABLED="false")
    assert "RL_ENABLED=false" in rl("status").output


def test_explain_tells_where_a_variant_stands() -> None:
    shown = rl("explain", "v2b").output
    assert "v2b is new (0 pulls)" in shown
    assert "probability 0.009" in shown


def test_an_unknown_variant_is_an_error_in_a_sentence() -> None:
    result = rl("explain", "v9z")
    assert result.exit_code == 1
    assert "There is no variant 'v9z'." in result.output
    assert "v1a, v1b" in result.output


def test_rebuild_says_whether_anything_was_different(folder: Path) -> None:
    update_policy_reward("v1a", 0.5)
    assert "from 1 reward, up to event 1: the same as before" in rl("rebuild").output


def test_the_levers_work_and_answer_in_sentences() -> None:
    assert "Blacklist v2b: Too long." in rl("blacklist", "v2b", "--why", "Too long.").output
    assert "Too long." in rl("explain", "v2b").output
    rl("reinstate", "v2b")
    assert "is new" in rl("explain", "v2b").output
    assert "Rollback everything" in rl("rollback").output
    assert "probability 1.000" in rl("explain", "v1a").output
    rl("resume")
    assert "probability 0.900" in rl("explain", "v1a").output
    assert rl("rollback", "v1a").exit_code == 1


def test_status_comes_as_json_too() -> None:
    update_policy_reward("v1a", 0.5)
    told = json.loads(rl("status", "--json").output)
    assert told["health"] == "ok"
    base = told["variants"]["v1a"]
    assert (base["stage"], base["pulls"], base["mean_reward"]) == ("base", 1, 0.5)
    assert base["probability"] == pytest.approx(0.9)
    assert base["slots"]["greeting"] == "formal"


def test_explain_tells_what_comes_next() -> None:
    shown = rl("explain", "v2b").output
    assert "v2b has no rewarded call yet." in shown
    assert "Its next stage is uncertain. It has 0 of 10 rewarded calls" in shown


def test_everything_that_was_done_is_listed_with_its_reason() -> None:
    assert "Nothing was done yet." in rl("log").output
    rl("blacklist", "v2b", "--why", "Too long.")
    rl("rollback", "--why", "Complaints.")
    both = rl("log").output.splitlines()
    assert ["Too long." in both[0], "Complaints." in both[1]] == [True, True]
    assert "operator  blacklist" in both[0]
    (line,) = rl("log", "v2b", "--json").output.splitlines()
    assert json.loads(line)["why"] == "Too long."
    assert "Too long." in rl("explain", "v2b").output.splitlines()[-2]


def test_a_candidate_is_promoted_through_its_gates(folder: Path) -> None:
    offered = folder / "data/rl/candidates"
    offered.mkdir(parents=True)
    (offered / "week.yaml").write_text(
        "variants:\n  c1:\n    name: Of this week\n    parameters: {tone: lively}\n"
    )
    assert "c1 is a candidate" in rl("explain", "c1").output
    assert "Promote c1: to shadow" in rl("promote", "c1").output
    refused = rl("promote", "c1")
    assert refused.exit_code == 1
    assert "0 scored answers in the shadow of 50" in refused.output
    assert rl("promote", "c1", "--force").exit_code == 2
    assert "to new, Tried." in rl("promote", "c1", "--force", "--why", "Tried.").output
    assert "(forced)" in rl("log", "c1").output
    (offered / "week.yaml").unlink()
    assert "c1 is new" in rl("explain", "c1").output


def test_a_variant_is_taken_out_and_added_again() -> None:
    assert "Remove v2b" in rl("remove", "v2b").output
    assert "taken out" in rl("explain", "v2b").output
    assert "takes part again, Wanted." in rl("add", "v2b", "--why", "Wanted.").output
    assert "v2b was not taken out: it is new already." in rl("add", "v2b").output


def test_no_calls_is_said() -> None:
    assert "No calls are kept." in tom_calls("list").output


def test_calls_are_listed(a_call: str) -> None:
    shown = tom_calls("list").output
    assert a_call[:12] in shown
    assert "caller_hung_up" in shown
    (line,) = tom_calls("list", "--json").output.splitlines()
    assert json.loads(line)["duration_s"] == 42.4


@pytest.mark.parametrize("by", ["id", "reference", "prefix"])
def test_a_call_is_shown_by_its_id_or_reference(a_call: str, by: str) -> None:
    FeedbackCollector().collect(
        {"call_id": CALL_ID, "policy_variant": "v1a", "signals": {"user_rating": 5}}
    )
    name = {"id": CALL_ID, "reference": a_call, "prefix": a_call[:6]}[by]
    shown = tom_calls("show", name).output
    assert "2.15 s" in shown
    assert "text=[hello] there  n=1" in shown
    assert "#3" in shown
    assert "v1a (teaches nothing): The base." in shown
    assert "reward +0.200" in shown
    assert "not known: resolution" in shown


def test_a_calls_events_come_as_json_too(a_call: str) -> None:
    lines = tom_calls("show", a_call, "--json").output.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["incoming_call", "transcript"]


def test_an_abandoned_call_is_shown_as_such(a_call: str) -> None:
    FeedbackCollector().collect({"call_id": CALL_ID, "policy_variant": "v1a", "abandoned": True})
    assert "abandoned before the first answer" in tom_calls("show", a_call).output


def test_a_call_that_is_not_there_is_an_error(a_call: str) -> None:
    for name in ("nobody", ""):
        result = tom_calls("show", name)
        assert result.exit_code == 1
        assert "There is no call" in result.output


def test_an_ambiguous_reference_is_an_error(a_call: str) -> None:
    with defaults.default_database().transaction() as conn:
        open_call(conn, CallRow(a_call[:6] + "x", "kfz", "en", "text"))
    assert "2 calls begin with" in tom_calls("show", a_call[:6]).output


def test_a_call_is_deleted_after_a_yes(a_call: str) -> None:
    assert tom_calls("delete", a_call, answer="n\n").exit_code == 1
    assert a_call[:12] in tom_calls("list").output
    assert "Deleted" in tom_calls("delete", a_call, answer="y\n").output
    assert "No calls are kept." in tom_calls("list").output


def test_a_purge_keeps_what_is_young_unless_nothing_is_to_be_kept(a_call: str) -> None:
    assert "Deleted 0 calls" in tom_calls("purge", answer="y\n").output
    assert "Deleted 1 call;" in tom_calls("purge", "--days", "0", "--yes").output
