"""Turn-taking: when the caller starts, may have finished, has finished, and interrupts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.policy import BargeInSensitivity
from apps.voice.completeness import Completeness, Expecting
from apps.voice.turn_events import (
    AllWords,
    Backchannel,
    BargeIn,
    CallerEnded,
    CallerStarted,
    FalseAlarm,
    Hold,
    MaybeEnded,
    Playback,
    Question,
    WentOn,
    Window,
    Words,
)
from apps.voice.turn_options import BARGE_IN_MS, HOLD_MS, TurnOptions
from apps.voice.turn_taking import Floor, endpoint, step

OPTIONS = TurnOptions(endpoint_ms=512)
SPEAKING = Playback(interruptible=True)


def listen(*heard, options=OPTIONS, floor=None):
    """Feed windows ('#' voice, '_' silence, '~' in between), words and whatever else.

    A plain tuple ("words", text) are words that cover all audio so far.
    Returns each signal with the audio time at which it came.
    """
    floor, now_ms, told = floor or Floor(), 0.0, []

    def feed(event):
        nonlocal floor
        floor, signals = step(floor, event, options)
        told.extend((now_ms, signal) for signal in signals)

    for item in heard:
        if isinstance(item, str):
            for mark in item:
                now_ms += 32
                feed(Window(now_ms, 32, {"#": 0.9, "_": 0.05, "~": 0.42}[mark]))
        elif isinstance(item, tuple):
            feed(Words(item[1], now_ms))
        else:
            feed(item)
    return told


def signals(*heard, **options):
    return [signal for _, signal in listen(*heard, **options)]


def kinds(*heard, **options):
    return [type(signal) for signal in signals(*heard, **options)]


def end_after_ms(text, language="en", question=None):
    """Return how much silence ends an utterance with these words."""
    options = TurnOptions(language=language)
    before = [question] if question else []
    told = listen(*before, "#" * 20, ("words", text), "_" * 90, options=options)
    at_ms = next(at for at, signal in told if isinstance(signal, CallerEnded))
    return at_ms - 20 * 32


# --- starts and ends


def test_a_lone_word_that_the_detector_doubts_counts_where_a_rating_is_awaited():
    rating = Question(Expecting.RATING)
    assert CallerStarted in kinds(rating, "____~~~~")
    assert CallerStarted not in kinds("____~~~~")


def test_while_the_rating_question_is_heard_doubtful_voice_is_none():
    playing = [Question(Expecting.RATING), Playback(interruptible=True, asks=True)]
    assert kinds(*playing, "____~~~~____") == []


def test_a_start_is_told_after_a_little_voice_and_dated_back_to_its_beginning():
    assert signals("____###") == [CallerStarted(128)]


def test_a_click_is_no_start():
    assert signals("__#____#___") == []


def test_the_end_without_words_comes_after_the_set_silence_and_names_the_last_voice():
    assert signals("__####" + "_" * 16) == [CallerStarted(64), CallerEnded(192)]
    assert signals("__####" + "_" * 15) == [CallerStarted(64)]


def test_a_pause_shorter_than_the_set_silence_ends_nothing():
    assert len(signals("####" + "_" * 12 + "####" + "_" * 12 + "###")) == 1


def test_a_window_in_between_stays_what_it_was():
    assert signals("____~~~~") == []
    assert signals("####" + "~" * 40) == [CallerStarted(0)]


def test_an_endless_utterance_is_cut():
    options = TurnOptions(max_utterance_ms=1000)
    assert isinstance(signals("#" * 32, options=options)[-1], CallerEnded)


def test_unbroken_voice_is_cut_again_and_again_not_at_every_window():
    ends = kinds("#" * 100, options=TurnOptions(max_utterance_ms=1000)).count(CallerEnded)
    assert ends == 3


# --- adaptive endpointing


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("what does a custom plate cost", "en"),
        ("i want to register my car", "en"),
        ("was kostet ein wunschkennzeichen", "de"),
        ("ich möchte mein auto abmelden", "de"),
    ],
)
def test_complete_words_end_a_turn_quickly(text, language):
    assert 200 <= end_after_ms(text, language) <= 240


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("what do i need for the", "en"),
        ("i would like to come on monday because", "en"),
        ("meine nummer ist null eins", "de"),
        ("ich habe ein auto und", "de"),
    ],
)
def test_words_that_hang_wait_for_more(text, language):
    assert end_after_ms(text, language) >= 1500


@pytest.mark.parametrize(("text", "language"), [("yes", "en"), ("nein", "de"), ("ja", "de")])
def test_a_short_answer_to_the_question_just_asked_is_complete(text, language):
    assert end_after_ms(text, language, Question(Expecting.YES_NO)) <= 240


def test_a_digit_string_is_complete_at_the_expected_length():
    five = Question(Expecting.DIGITS, digits=5)
    assert end_after_ms("one two three", question=five) >= 1500
    assert end_after_ms("one two three four five", question=five) <= 240


def test_words_are_not_judged_when_more_was_said_than_the_recogniser_has_told():
    late = ["#" * 20, ("words", "what does it cost"), "#" * 10, "_" * 15]
    assert CallerEnded not in kinds(*late)
    told = kinds(*late, ("words", "what does it cost to register a car"), "_")
    assert CallerEnded in told


def test_the_shortest_voice_that_makes_a_start_is_an_utterance():
    assert signals("##", ("words", "no"), "_" * 20)[-1] == CallerEnded(64, Completeness.COMPLETE)


# --- speculation


def test_words_that_may_be_all_are_told_once_and_taken_back_when_the_caller_goes_on():
    words = ("words", "what does a custom plate cost")
    told = signals("#" * 20, words, "___", "####")
    assert told == [CallerStarted(0), MaybeEnded(words[1]), WentOn()]


def test_new_words_in_the_silence_replace_the_old_ones():
    told = signals(
        "#" * 20, ("words", "i want to register"), "__", ("words", "register a car"), "_"
    )
    assert told[1:] == [MaybeEnded("i want to register"), WentOn(), MaybeEnded("register a car")]


def test_hanging_words_are_not_worth_an_answer():
    assert MaybeEnded not in kinds("#" * 20, ("words", "what do i need for the"), "_" * 30)


# --- interruptions


def test_the_assistant_falls_silent_at_the_first_sign_and_yields_to_voice_that_goes_on():
    told = listen(SPEAKING, "#" * 40)
    assert [type(signal) for _, signal in told] == [CallerStarted, Hold, BargeIn]
    assert told[1][0] == pytest.approx(HOLD_MS[BargeInSensitivity.MEDIUM], abs=32)
    assert told[2][0] == pytest.approx(BARGE_IN_MS[BargeInSensitivity.MEDIUM], abs=32)


def test_words_that_mean_something_interrupt_at_once():
    told = listen(SPEAKING, "#" * 10, ("words", "how much is"), "#" * 10)
    assert [type(signal) for _, signal in told] == [CallerStarted, Hold, BargeIn]
    assert told[2][0] == 320


def test_a_cough_is_a_false_alarm():
    told = kinds(SPEAKING, "#" * 8, "_" * 11, AllWords(""))
    assert told == [CallerStarted, Hold, CallerEnded, FalseAlarm]


def test_a_cough_that_was_taken_for_a_word_is_a_false_alarm_too():
    told = kinds(SPEAKING, "#" * 8, ("words", "a"), "_" * 30, AllWords("a", confidence=0.2))
    assert told[-1] is FalseAlarm
    assert BargeIn not in told


@pytest.mark.parametrize(("confidence", "kind"), [(0.5, FalseAlarm), (0.8, BargeIn)])
def test_a_word_or_two_over_the_assistant_must_be_sure(confidence, kind):
    heard = (SPEAKING, "#" * 8, ("words", "a tree"), "_" * 30, AllWords("a tree", confidence))
    assert kinds(*heard)[-1] is kind


@pytest.mark.parametrize("word", ["Stop!", "nein", "Moment mal"])
def test_who_says_stop_is_believed_also_when_the_recogniser_doubts_it(word):
    heard = AllWords(word, confidence=0.05)
    assert kinds(SPEAKING, "#" * 8, "_" * 30, heard)[-1] is BargeIn


def test_a_doubtful_yes_to_a_question_that_is_being_asked_is_not_swallowed():
    asking = Playback(interruptible=True, asks=True)
    heard = ("#" * 12, "_" * 40, AllWords("yes", confidence=0.1))
    assert kinds(asking, *heard)[-1] is BargeIn
    assert kinds(SPEAKING, *heard)[-1] is FalseAlarm


@pytest.mark.parametrize(("words", "language"), [("mhm", "en"), ("right", "en"), ("genau", "de")])
def test_a_backchannel_interrupts_nothing(words, language):
    options = TurnOptions(language=language)
    heard = (SPEAKING, "#" * 12, ("words", words), "_" * 40, AllWords(words))
    assert kinds(*heard, options=options)[-1] is Backchannel


def test_after_a_backchannel_the_assistant_goes_on_sooner_than_after_a_sound_without_words():
    def waited_ms(words):
        told = listen(SPEAKING, "#" * 12, *words, "_" * 40)
        return next(at for at, signal in told if isinstance(signal, CallerEnded)) - 12 * 32

    wordless_ms, agreed_ms = waited_ms(()), waited_ms((("words", "mhm"),))
    assert agreed_ms == pytest.approx(TurnOptions().complete_ms, abs=32)
    assert wordless_ms == pytest.approx(TurnOptions().wordless_ms, abs=32)


def test_a_yes_to_a_question_that_is_being_asked_is_an_answer():
    asking = Playback(interruptible=True, asks=True)
    assert kinds(asking, "#" * 12, "_" * 40, AllWords("yes"))[-1] is BargeIn


def test_a_word_is_believed_where_the_engine_tells_no_confidence():
    assert kinds(SPEAKING, "#" * 8, "_" * 20, AllWords("goodbye", None))[-1] is BargeIn
    assert kinds(SPEAKING, "#" * 8, "_" * 20, AllWords("goodbye", 0.5))[-1] is FalseAlarm


def test_a_short_no_over_the_assistant_is_not_swallowed():
    assert kinds(SPEAKING, "#" * 8, "_" * 20, AllWords("no"))[-1] is BargeIn


def test_a_passage_that_may_not_be_interrupted_is_not():
    assert kinds(Playback(), "#" * 40) == [CallerStarted]


def test_voice_that_began_before_the_assistant_spoke_counts_from_then_on():
    told = listen("#" * 10, SPEAKING, "#" * 10)
    assert [type(signal) for _, signal in told] == [CallerStarted, Hold]
    assert told[1][0] == pytest.approx(320 + HOLD_MS[BargeInSensitivity.MEDIUM], abs=32)


def test_sensitivity_decides_how_soon_the_assistant_falls_silent_and_yields():
    def at_ms(sensitivity, kind):
        options = TurnOptions(hold_ms=HOLD_MS[sensitivity], barge_in_ms=BARGE_IN_MS[sensitivity])
        told = listen(SPEAKING, "#" * 60, options=options)
        return next(at for at, signal in told if isinstance(signal, kind))

    for kind in (Hold, BargeIn):
        low, medium, high = (at_ms(s, kind) for s in BargeInSensitivity)
        assert high < medium < low


# --- whatever is heard

INPUTS = st.one_of(
    st.text(alphabet="#_~", min_size=1, max_size=60),
    st.sampled_from(["", "yes", "no wait", "what does it", "mhm"]).map(lambda t: ("words", t)),
    st.builds(AllWords, st.sampled_from(["", "mhm", "stop"]), st.sampled_from([0.2, 0.9])),
    st.builds(Playback, st.booleans(), st.booleans()),
    st.builds(Question, st.sampled_from(Expecting)),
)


@given(st.lists(INPUTS, max_size=30))
def test_starts_and_ends_alternate(heard):
    told = [kind for kind in kinds(*heard) if kind in (CallerStarted, CallerEnded)]
    assert told[::2] == [CallerStarted] * len(told[::2])
    assert told[1::2] == [CallerEnded] * len(told[1::2])


@given(st.lists(INPUTS, max_size=30))
def test_the_assistant_is_held_before_it_goes_on_and_never_twice(heard):
    held, floor, now_ms = False, Floor(), 0.0
    for item in heard:
        events = (
            [Window(now_ms := now_ms + 32, 32, {"#": 0.9, "_": 0.0, "~": 0.4}[m]) for m in item]
            if isinstance(item, str)
            else [Words(item[1], now_ms)]
            if isinstance(item, tuple)
            else [item]
        )
        for event in events:
            floor, told = step(floor, event, OPTIONS)
            for signal in told:
                if isinstance(signal, Hold):
                    assert not held
                    held = True
                if isinstance(signal, BargeIn | FalseAlarm | Backchannel):
                    assert held
                    held = False
            if isinstance(event, Playback) and not event.interruptible:
                held = False


@given(st.lists(INPUTS, max_size=30))
def test_what_may_have_ended_is_taken_back_or_ends(heard):
    maybe = False
    for kind in kinds(*heard):
        if kind is MaybeEnded:
            assert not maybe
            maybe = True
        elif kind is WentOn:
            assert maybe
            maybe = False
        elif kind is CallerEnded:
            maybe = False


def test_words_of_an_engine_that_does_not_tell_how_far_it_heard_may_interrupt_and_end_nothing():
    floor, _ = step(Floor(), SPEAKING, OPTIONS)
    for number in range(1, 12):
        floor, _ = step(floor, Window(number * 32, 32, 0.9), OPTIONS)
    floor, told = step(floor, Words("no wait a moment", None), OPTIONS)
    assert told == [BargeIn()]
    assert endpoint(floor, OPTIONS) == (OPTIONS.endpoint_ms, None)
