"""Under what conditions a call was held: folded from its log, without anybody's words."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.events import LogRecord
from apps.dispatcher.conditions import Conditions
from apps.store.feedback import Flag


def after(*records: tuple[str, dict[str, Any]]) -> Conditions:
    conditions = Conditions()
    for seq, (kind, data) in enumerate(records):
        conditions.take(LogRecord(seq, seq * 100.0, kind, None, data))
    return conditions


def transcript(text: str, confidence: float | None) -> tuple[str, dict[str, Any]]:
    return "transcript", {"text": text, "confidence": confidence, "role": "caller"}


def windows(*dbfs: int, voice: int = 0) -> tuple[str, dict[str, Any]]:
    return "ear.windows", {"until_ms": 0.0, "voice": [90, voice], "dbfs": list(dbfs)}


def test_nothing_is_told_that_is_not_known() -> None:
    assert after().means() == {}
    unsure = (
        transcript("hello", None),
        transcript("", 0.1),
        windows(-60),
    )  # none, nothing, too short
    assert after(*unsure, ("partial", {"text": "hel"})).means() == {}


def test_confidence_and_waiting_are_means_over_the_call() -> None:
    told = after(
        transcript("hello", 0.9),
        transcript("goodbye", 0.6),
        ("turn.latency", {"ms": 400.0, "stages": {}}),
        ("turn.latency", {"ms": 500.0, "stages": {}}),
    )
    assert told.means() == {"stt_confidence": pytest.approx(0.75), "latency_ms": 450.0}


def test_the_background_is_what_is_left_where_nobody_speaks() -> None:
    quiet, loud = [-55] * 20, [-20] * 19 + [-45]
    assert after(windows(*quiet)).means() == {"noise_db": 35.0}
    assert after(windows(*quiet), windows(*loud)).means() == {"noise_db": 40.0}
    assert after(windows(*quiet), windows(*[-20] * 20, voice=80)).means() == {"noise_db": 35.0}
    assert after(windows(*[-100] * 20)).means() == {"noise_db": 0.0}


@pytest.mark.parametrize("kind", ["fsm.failure", "fsm.not_heard"])
def test_an_engine_that_failed_is_flagged_for_the_rest_of_the_call(kind: str) -> None:
    told = after((kind, {"reason": "engine_died"}), transcript("hello", 0.9))
    assert told.flags == {Flag.ENGINE_ERROR}


@pytest.mark.parametrize(
    ("next_kind", "answering"),
    [
        ("fsm.caller_started", True),
        ("fsm.call_ended", True),
        ("fsm.speech_finished", False),
        ("fsm.barge_in", False),
        ("fsm.goodbye", False),
    ],
)
def test_it_knows_whether_an_answer_is_sounding(next_kind: str, answering: bool) -> None:
    assert after(("fsm.answer_ready", {}), (next_kind, {})).answering is answering
