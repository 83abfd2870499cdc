"""What a person reads of a call."""

import io

import pytest
from rich.console import Console

from apps.cli.printing import CallPrinter, probabilities


def shown(*events, width=200):
    out = io.StringIO()
    printer = CallPrinter(Console(file=out, width=width))
    for event in events:
        printer.show(event)
    return out.getvalue()


STARTED = {
    "type": "call.started",
    "profile": "kfz",
    "language": "en",
    "engines": {"stt": "pocketsphinx", "tts": "espeak", "llm": None},
}
POLICY = {
    "policy_variant": "v2b",
    "slots": {"tone": "warm", "length": "short"},
    "why": "Drawn with probability 0.2 [new].",
    "probabilities": {"v1a": 0.8, "v2b": 0.2},
}


def test_a_call_s_beginning_names_its_engines_and_its_policy():
    assert shown(STARTED).strip() == "call  kfz in en; stt pocketsphinx, tts espeak"
    text = shown({**STARTED, **POLICY})
    assert "v2b: tone warm, length short" in text
    assert "Drawn with probability 0.2 [new]." in text


def test_a_recogniser_that_tells_no_confidence_is_shown_without():
    said = {"role": "caller", "text": "hallo", "confidence": None, "model": "whisper-1"}
    assert "hallo  (whisper-1)" in shown({"type": "transcript.final", **said})


def test_both_sides_words_are_told_apart_and_the_assistant_s_are_cited():
    caller = {"role": "caller", "text": "how [much]", "confidence": 0.5, "model": "domain"}
    assistant = {"role": "assistant", "text": "28 euros.", "sources": ["kfz/en/fees.md#reg"]}
    text = shown(
        {"type": "transcript.final", **caller}, {"type": "transcript.final", **assistant}
    ).splitlines()
    assert text[0].strip() == "caller  how [much]  (0.50, domain)"
    assert text[1].strip() == "TOM  28 euros.  [kfz/en/fees.md#reg]"


def test_every_kind_of_event_that_a_person_wants_is_a_line():
    text = shown(
        {"type": "state", "state": "listening"},
        {"type": "heard", "text": ""},
        {"type": "turn.latency", "ms": 812.4, "stages": {"stt": 200.0, "speak": 20.4}},
        {"type": "notice", "text": "Type, please."},
        {"type": "error", "message": "Too fast.", "hint": "Slow down."},
        {"type": "transfer", "target": "sip:desk@town.example", "summary": "what [is] it"},
        {"type": "rating", "stars": None},
        {"type": "rating", "stars": 4},
        {"type": "call.ended", "reason": "completed", "duration_s": 61.25},
    )
    for words in (
        "state  listening",
        "heard until then: nothing",
        "812 ms voice to voice  (stt 200, speak 20)",
        "Type, please.",
        "Too fast. Slow down.",
        "to sip:desk@town.example: what [is] it",
        "rating  none",
        "rating  4 of 5",
        "ended: completed after 61.2 s",
    ):
        assert words in text


def test_events_that_say_nothing_to_a_person_are_left_out():
    assert shown({"type": "pong"}, {"type": "transcript.partial", "text": "wh"}) == ""


def test_a_reward_is_shown_by_components_with_what_is_missing_and_what_it_moved():
    reward = {
        "type": "reward",
        "value": 0.567,
        "components": {"resolution": 0.6, "barge_in_count": -0.033},
        "missing": ["user_rating"],
        "probabilities": {"v1a": 0.7, "v2b": 0.3},
    }
    text = shown({**STARTED, **POLICY}, reward)
    assert "+0.567  (resolution +0.600, barge_in_count -0.033; not known: user_rating)" in text
    assert "-0.1000" in text
    assert "+0.1000" in text


def test_an_abandoned_call_has_no_reward():
    reward = {"type": "reward", "value": None, "components": {}, "missing": []}
    assert "ended before its first answer" in shown({**reward, "probabilities": {"v1a": 1.0}})


@pytest.mark.parametrize(
    ("held", "why"),
    [({}, "It was a trial"), ({"held": "burst"}, "It is held (burst)")],
)
def test_a_reward_that_does_not_count_says_why(held: dict[str, str], why: str) -> None:
    reward = {"type": "reward", "value": 0.2, "components": {}, "missing": [], "learned": False}
    text = shown({**STARTED, **POLICY}, {**reward, "probabilities": {}, **held})
    assert f"Nothing was learned from this call. {why}" in " ".join(text.split())


def test_a_variant_that_was_not_there_before_began_at_nothing():
    table = probabilities({}, {"v1a": 0.25})
    out = io.StringIO()
    Console(file=out, width=100).print(table)
    assert "0.0000" in out.getvalue()
    assert "+0.2500" in out.getvalue()
