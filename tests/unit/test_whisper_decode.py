"""Streaming with Whisper: when a window is decoded, what is committed, where it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.voice.stt.hypothesis import Segment, agreement, aligned
from apps.voice.stt.whisper_decode import (
    Decode,
    Pacing,
    StreamState,
    decoded,
    heard,
    next_decode,
    unhurried,
)

PACING = Pacing()
ACTIVITY_MS = 32.0


def listen(state: StreamState, ms: float, *, speech: bool, pacing: Pacing = PACING) -> StreamState:
    """Let so much speech or silence be heard, 32 ms at a time."""
    for _ in range(round(ms / ACTIVITY_MS)):
        state = heard(state, ACTIVITY_MS, [float(speech)], ACTIVITY_MS, pacing)
    return state


def segment(text: str, end_ms: float = 0.0, **fields: float) -> Segment:
    return Segment(text, end_ms, **fields)


def say(state: StreamState, *texts: str | Segment, pacing: Pacing = PACING) -> StreamState:
    """Decode what is due now, with this outcome."""
    request = next_decode(state, pacing)
    assert request is not None
    segments = [t if isinstance(t, Segment) else segment(t, request.end_ms) for t in texts]
    return decoded(state, request, segments, pacing)


# --- when to decode


def test_silence_is_never_decoded_not_even_at_the_end() -> None:
    state = listen(StreamState(), 20_000, speech=False)

    assert next_decode(state, PACING, finished=True) is None
    assert state.text == ""
    assert state.confidence == 0.0


def test_the_silence_before_speech_leaves_the_window_but_for_a_lead_in() -> None:
    state = listen(listen(StreamState(), 5_120, speech=False), 640, speech=True)

    request = next_decode(state, PACING)

    assert request is not None
    assert not request.may_be_last
    assert request.start_ms == pytest.approx(5_120 - PACING.lead_in_ms)
    assert request.end_ms == pytest.approx(5_760)


def test_a_step_of_speech_is_awaited_before_each_decode() -> None:
    state = listen(StreamState(), 320, speech=True)
    assert next_decode(state, PACING) is None

    state = say(listen(state, 320, speech=True), "I have")
    assert next_decode(listen(state, 480, speech=True), PACING) is None
    assert next_decode(listen(state, 640, speech=True), PACING) is not None


def test_a_pause_is_decoded_at_once_so_that_the_end_needs_no_further_decode() -> None:
    state = say(listen(StreamState(), 640, speech=True), "I have")
    state = listen(listen(state, 160, speech=True), 256, speech=False)
    request = next_decode(state, PACING)
    assert request is not None
    assert request.may_be_last
    state = say(state, "I have lost it.")

    at_the_end = listen(state, 256, speech=False)

    assert next_decode(at_the_end, PACING, finished=True) is None
    assert at_the_end.text == "I have lost it."


def test_an_end_in_the_middle_of_a_word_is_decoded_to_the_last_sample() -> None:
    state = say(listen(StreamState(), 640, speech=True), "I have")
    state = listen(state, 96, speech=True)
    assert next_decode(state, PACING) is None

    request = next_decode(state, PACING, finished=True)

    assert request is not None
    assert request.end_ms == state.heard_ms


def test_a_slow_machine_decodes_less_often_while_the_caller_speaks_but_still_at_a_pause() -> None:
    slow = unhurried(PACING, decode_ms=1_000.0)
    assert unhurried(PACING, decode_ms=50.0) == PACING

    state = listen(StreamState(), 2_560, speech=True)
    assert next_decode(state, PACING) is not None
    assert next_decode(state, slow) is None
    assert next_decode(listen(state, 640, speech=True), slow) is not None
    assert next_decode(listen(state, 256, speech=False), slow) is not None


# --- what is committed


def test_what_two_hypotheses_agree_on_is_committed_and_the_rest_is_not() -> None:
    state = say(listen(StreamState(), 640, speech=True), "I have lost")
    assert state.stable_text == ""
    assert state.text == "I have lost"

    state = say(listen(state, 640, speech=True), "I have lots of papers")

    assert state.stable_text == "I have"
    assert state.text == "I have lots of papers"


def test_case_and_punctuation_do_not_keep_hypotheses_from_agreeing() -> None:
    assert agreement(["Well,", "I", "have", "„Papiere“"], ["well", "I", "have.", "Papiere,"]) == 4
    assert agreement(["-", "a"], ["-", "b"]) == 1


def test_a_hypothesis_that_rewrites_committed_words_loses_none_of_the_new_ones() -> None:
    state = say(listen(StreamState(), 640, speech=True), "I have lost")
    state = say(listen(state, 640, speech=True), "I have lost")
    state = say(listen(state, 640, speech=True), "I've lost my papers")

    assert state.text == "I have lost my papers"


@pytest.mark.parametrize(
    ("committed", "words", "expected"),
    [
        ([], ["a", "b"], 0),
        (["a", "b"], [], 0),
        (["a", "b"], ["a", "b", "c"], 2),
        (["i", "have", "lost"], ["i've", "lost", "my"], 2),
        (["b"], ["well", "b", "c"], 2),
        (["a", "b", "c"], ["a", "c", "d"], 2),
    ],
)
def test_committed_words_are_found_in_a_new_hypothesis(
    committed: list[str], words: list[str], expected: int
) -> None:
    assert aligned(committed, words) == expected


# --- what is made up


@pytest.mark.parametrize(
    "made_up",
    [
        segment("Thank you for watching.", no_speech_prob=0.9, avg_logprob=-1.4),
        segment("no no no no no no no no no", compression_ratio=3.2),
    ],
)
def test_what_is_probably_made_up_is_left_out(made_up: Segment) -> None:
    state = say(listen(StreamState(), 640, speech=True), "Good morning.", made_up)

    assert state.text == "Good morning."


def test_soft_speech_that_the_model_is_sure_of_is_kept() -> None:
    sure = segment("Good morning.", no_speech_prob=0.7, avg_logprob=-0.2)

    assert say(listen(StreamState(), 640, speech=True), sure).text == "Good morning."


def test_the_confidence_is_the_words_mean_also_of_those_that_left_the_window() -> None:
    state = listen(listen(StreamState(), 640, speech=True), 320, speech=False)
    state = say(state, segment("one two three", avg_logprob=0.0, no_speech_prob=0.2))
    state = listen(state, 640, speech=False)
    assert state.segments == ()
    state = say(listen(state, 640, speech=True), segment("four", no_speech_prob=0.6))

    assert state.confidence == pytest.approx((3 * 0.8 + 0.4) / 4)


# --- where the window is cut


def test_a_long_pause_settles_the_words_and_begins_a_new_window() -> None:
    state = listen(listen(StreamState(), 640, speech=True), 320, speech=False)
    state = listen(say(state, "Good morning."), 640, speech=False)
    assert state.stable_text == "Good morning."

    state = listen(state, 640, speech=True)
    request = next_decode(state, PACING)

    assert request is not None
    assert request.start_ms == pytest.approx(1_600 - PACING.lead_in_ms)
    assert request.context == "Good morning."
    assert decoded(state, request, [segment("Hello?")], PACING).text == "Good morning. Hello?"


def test_a_long_window_is_cut_where_a_committed_segment_ends() -> None:
    first, second = segment("I bought a car.", 6_000), segment("It is old.", 12_500)
    state = say(listen(StreamState(), 12_800, speech=True), first, second)
    state = say(listen(state, 640, speech=True), first, second, segment("And", 13_400))
    assert state.window_ms == 12_500

    state = listen(state, 640, speech=True)
    request = next_decode(state, PACING)

    assert request is not None
    assert request.start_ms == 12_500
    assert request.context == "I bought a car. It is old."
    state = decoded(state, request, [segment("And red.", 14_000)], PACING)
    assert state.text == "I bought a car. It is old. And red."
    assert state.stable_text == "I bought a car. It is old. And"


def test_the_last_segment_is_not_cut_off_since_it_may_go_on() -> None:
    state = listen(StreamState(), 12_800, speech=True)
    for _ in range(3):
        state = listen(say(state, segment("all one segment", 12_000)), 640, speech=True)

    assert state.stable_text == "all one segment"
    assert state.window_ms == 0.0


def test_a_window_that_nothing_cuts_ends_where_the_model_cannot_hear_more() -> None:
    state = listen(StreamState(), 40_000, speech=True)

    request = next_decode(state, PACING, finished=True)
    assert request is not None
    assert (request.start_ms, request.end_ms) == (0.0, PACING.max_window_ms)
    state = decoded(state, request, [segment("a b")], PACING)
    rest = next_decode(state, PACING, finished=True)

    assert rest is not None
    assert (rest.start_ms, rest.end_ms) == (PACING.max_window_ms, 40_000)
    assert decoded(state, rest, [segment("c")], PACING).text == "a b c"


# --- whatever the model says

words = st.lists(st.sampled_from(["a", "b", "c", "B.", "I've"]), max_size=6).map(" ".join)
segments = st.lists(
    st.builds(
        Segment,
        text=words,
        end_ms=st.floats(0, 60_000),
        avg_logprob=st.floats(-3, 0.1),
        no_speech_prob=st.floats(0, 1),
        compression_ratio=st.floats(0, 4),
    ),
    max_size=4,
)
stretches = st.lists(st.tuples(st.integers(1, 300), st.booleans(), segments), max_size=12)


def run(state: StreamState, script: list[tuple[int, bool, list[Segment]]]) -> list[StreamState]:
    """Follow a script of stretches of audio, each with what the next decode makes of it."""
    states = [state]
    for count, speech, outcome in script:
        states.append(listen(states[-1], count * ACTIVITY_MS, speech=speech))
        request = next_decode(states[-1], PACING)
        if request is not None:
            states.append(decoded(states[-1], request, outcome, PACING))
    return states


@settings(max_examples=50, deadline=None)
@given(stretches)
def test_committed_words_only_grow(script: list[tuple[int, bool, list[Segment]]]) -> None:
    states = run(StreamState(), script)

    for before, after in itertools.pairwise(states):
        assert after.committed[: len(before.committed)] == before.committed
        assert after.window_ms >= before.window_ms
        assert after.window_from >= before.window_from
        assert 0 <= after.window_from <= len(after.committed)
        assert after.text.startswith(after.stable_text)
        assert 0.0 <= after.confidence <= 1.0


@settings(max_examples=50, deadline=None)
@given(stretches, segments)
def test_an_utterance_is_complete_after_a_few_decodes_and_holds_all_that_was_committed(
    script: list[tuple[int, bool, list[Segment]]], outcome: list[Segment]
) -> None:
    state = before = run(StreamState(), script)[-1]
    decodes = 0
    while (request := next_decode(state, PACING, finished=True)) is not None:
        assert 0.0 < request.end_ms - request.start_ms <= PACING.max_window_ms
        assert request.end_ms <= state.heard_ms
        state = decoded(state, request, outcome, PACING)
        decodes += 1

    assert decodes <= 1 + state.heard_ms / PACING.max_window_ms
    assert state.text.startswith(before.stable_text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 9))
def test_a_model_that_hears_every_word_right_is_taken_down_word_for_word(
    pushes: list[int], per_segment: int
) -> None:
    """One word every 320 ms; the model hears those that lie wholly in its window."""
    truth = [f"w{i}" for i in range(sum(pushes) // 10 + 1)]

    def model(request: Decode) -> list[Segment]:
        inside = [
            (i, w)
            for i, w in enumerate(truth)
            if i * 320 >= request.start_ms - 1 and (i + 1) * 320 <= request.end_ms
        ]
        groups = itertools.groupby(inside, key=lambda item: item[0] // per_segment)
        pieces = [list(group) for _, group in groups]
        return [Segment(" ".join(w for _, w in p), (p[-1][0] + 1) * 320.0) for p in pieces]

    state = StreamState()
    for push in pushes:
        state = listen(state, push * ACTIVITY_MS, speech=True)
        if (request := next_decode(state, PACING)) is not None:
            state = decoded(state, request, model(request), PACING)
    while (request := next_decode(state, PACING, finished=True)) is not None:
        state = decoded(state, request, model(request), PACING)

    said = [w for i, w in enumerate(truth) if (i + 1) * 320 <= state.heard_ms]
    assert state.text.split() == said
