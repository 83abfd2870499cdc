"""Turn-taking: when the caller starts, finishes and interrupts."""

from hypothesis import given
from hypothesis import strategies as st

from apps.core.policy import BargeInSensitivity
from apps.voice.turn_taking import (
    BARGE_IN_MS,
    BargeIn,
    CallerEnded,
    CallerStarted,
    Floor,
    TurnOptions,
    Window,
    step,
)

OPTIONS = TurnOptions(endpoint_ms=500)


def listen(pattern, *, options=OPTIONS, interruptible=False):
    """Feed a pattern of windows: '#' voice, '_' silence, '~' in between."""
    floor, heard = Floor(), []
    for number, mark in enumerate(pattern, start=1):
        probability = {"#": 0.9, "_": 0.05, "~": 0.42}[mark]
        floor, signals = step(floor, Window(number * 32, 32, probability, interruptible), options)
        heard += signals
    return heard


def test_a_start_is_told_after_a_little_voice_and_dated_back_to_its_beginning():
    assert listen("____###") == [CallerStarted(128)]


def test_a_click_is_no_start():
    assert listen("__#____#___") == []


def test_the_end_comes_after_the_set_silence_and_names_the_last_voice():
    assert listen("__####" + "_" * 16) == [CallerStarted(64), CallerEnded(192)]
    assert listen("__####" + "_" * 15) == [CallerStarted(64)]


def test_a_pause_shorter_than_the_set_silence_ends_nothing():
    assert len(listen("####" + "_" * 12 + "####" + "_" * 12 + "###")) == 1


def test_a_window_in_between_stays_what_it_was():
    assert listen("____~~~~") == []
    assert listen("####" + "~" * 40) == [CallerStarted(0)]


def test_voice_over_an_interruptible_passage_becomes_a_barge_in_once():
    heard = listen("#" * 40, interruptible=True)
    assert [type(h) for h in heard] == [CallerStarted, BargeIn]
    assert heard[1].at_ms >= BARGE_IN_MS[BargeInSensitivity.MEDIUM]


def test_a_passage_that_may_not_be_interrupted_is_not():
    assert listen("#" * 40, interruptible=False) == [CallerStarted(0)]


def test_sensitivity_decides_how_soon_a_barge_in_is_believed():
    at = {
        s: listen("#" * 40, options=TurnOptions(barge_in_ms=ms), interruptible=True)[1].at_ms
        for s, ms in BARGE_IN_MS.items()
    }
    assert at[BargeInSensitivity.HIGH] < at[BargeInSensitivity.MEDIUM] < at[BargeInSensitivity.LOW]


def test_an_endless_utterance_is_cut():
    options = TurnOptions(max_utterance_ms=1000)
    assert isinstance(listen("#" * 32, options=options)[-1], CallerEnded)


def test_unbroken_voice_is_cut_again_and_again_not_at_every_window():
    options = TurnOptions(max_utterance_ms=1000)
    ends = [h for h in listen("#" * 100, options=options) if isinstance(h, CallerEnded)]
    assert len(ends) == 3


@given(st.text(alphabet="#_~", max_size=300), st.booleans())
def test_starts_and_ends_alternate(pattern, interruptible):
    kinds = [
        type(h) for h in listen(pattern, interruptible=interruptible) if not isinstance(h, BargeIn)
    ]
    assert kinds[::2] == [CallerStarted] * len(kinds[::2])
    assert kinds[1::2] == [CallerEnded] * len(kinds[1::2])
