"""When the words of an answer are said: by an engine's marks, and by the audio alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_MS
from apps.llm.spoken import spoken_form
from apps.voice.playout import Playout, Spoken
from apps.voice.tts.base import WordMark
from apps.voice.word_durations import usual_ms
from apps.voice.word_estimate import PAUSE_FRAMES, Sentence, tempo_after, word_starts_ms
from apps.voice.word_times import displayed_starts_ms, marked_starts_ms, words_begun

LOUD, QUIET = -18.0, -70.0
WORDS = st.lists(
    st.sampled_from(["ja", "the", "30", "€", "–", "Zulassungsbescheinigung,", "office.", "8:00"]),
    min_size=1,
    max_size=12,
)


def playing(text, marks_ms=None, *, frames, sent, complete=True, **more):
    """A sentence of which some frames were queued and some sent."""
    spoken = Spoken(text, sent=sent, complete=complete, **more)
    for word, at_ms in enumerate(marks_ms or ()):
        spoken.mark(WordMark(word, at_ms))
    spoken.levels += [LOUD] * frames
    return spoken


def assert_in_order(starts_ms):
    assert starts_ms[0] >= 0.0
    for before, after in itertools.pairwise(starts_ms):
        assert before <= after + 1e-6  # of a millisecond


# --- with marks


@pytest.mark.parametrize(
    ("played_ms", "heard"),
    [
        (80, ""),
        (120, "One"),
        (440, "One"),
        (500, "One two"),
        (880, "One two"),
        (900, "One two three"),
    ],
)
def test_a_word_was_heard_when_more_than_half_of_it_was_played(played_ms, heard):
    spoken = playing("One two three", [0, 200, 760], frames=50, sent=played_ms // FRAME_MS)
    assert spoken.heard() == heard


def test_numbers_that_are_read_as_words_are_told_as_they_are_displayed():
    text = "Das kostet 30,60 € am Montag."
    reading = spoken_form(text, "de")
    assert reading == "Das kostet dreißig Euro sechzig am Montag."
    marks = [0, 300, 600, 900, 1200, 1600, 1800]
    heard = {}
    for at_ms in range(0, 2300, 100):
        spoken = playing(
            text, marks, frames=115, sent=at_ms // FRAME_MS, reading=reading, language="de"
        )
        heard[at_ms] = spoken.heard()
    assert heard[500] == "Das kostet"
    assert heard[1300] in ("Das kostet 30,60", "Das kostet 30,60 €")
    assert heard[1600] == "Das kostet 30,60 €"
    assert heard[1800] == "Das kostet 30,60 € am"
    assert heard[2200] == text


def test_a_telephone_number_is_one_displayed_word_and_many_spoken_ones():
    text = "Call 02921 104 now."
    reading = spoken_form(text, "en").split()
    starts = [200.0 * word for word in range(len(reading))]
    end_ms = 200.0 * len(reading)
    shown = displayed_starts_ms(text.split(), reading, starts, end_ms, "en")
    assert shown[0] == 0.0
    assert shown[1] == 200.0
    assert 200.0 < shown[2] < shown[3]
    assert shown[3] == starts[-1]


def test_words_without_a_mark_lie_between_those_that_have_one():
    starts = marked_starts_ms(["one", "two", "–", "three"], "en", {0: 0.0, 3: 900.0}, 1200.0)
    assert 300 < starts[1] < 600
    assert starts[1] < starts[2] <= starts[3] == 900.0


def test_words_that_are_still_to_be_made_were_not_heard():
    spoken = playing("One two three four", [0, 200], frames=25, sent=25, complete=False)
    assert spoken.heard() in ("One", "One two")


@given(WORDS, WORDS, st.floats(0, 5000), st.lists(st.floats(0, 5000), max_size=12))
def test_displayed_words_begin_in_order_within_the_audio(displayed, spoken, end_ms, moments):
    marks = dict(enumerate(sorted(moments)[: len(spoken)]))
    starts = marked_starts_ms(spoken, "de", marks, end_ms)
    assert len(starts) == len(spoken)
    assert_in_order(starts)
    shown = displayed_starts_ms(displayed, spoken, starts, end_ms, "de")
    assert len(shown) == len(displayed)
    assert_in_order(shown)
    assert words_begun(shown, end_ms, -1.0) == 0
    assert words_begun(shown, end_ms, 1e9) == len(displayed)


# --- by the audio alone


def starts_of(text, levels, *, language="en", complete=True, tempo=1.0):
    return word_starts_ms(Sentence(text.split(), language, levels, complete, tempo))


@pytest.mark.parametrize("complete", [True, False])
def test_the_word_behind_a_comma_begins_behind_the_pause(complete):
    levels = [LOUD] * 36 + [QUIET] * 15 + [LOUD] * 70 + [QUIET] * 8
    starts = starts_of("Good morning, what can I do for you?", levels, complete=complete)
    assert starts[0] == 0.0
    assert starts[2] == 51 * FRAME_MS
    assert starts == sorted(starts)


def test_a_pause_is_one_also_over_a_noise():
    noisy = [LOUD + 20] * 36 + [-35.0] * 15 + [LOUD + 20] * 70
    assert starts_of("Good morning, what can I do for you?", noisy)[2] == 51 * FRAME_MS


def test_a_closure_within_a_word_is_no_pause():
    closure = PAUSE_FRAMES - 1
    levels = [LOUD] * 60 + [QUIET] * closure + [LOUD] * (60 - closure)
    assert starts_of("one two three four", levels) == starts_of("one two three four", [LOUD] * 120)


def test_long_words_take_longer():
    starts = starts_of("Die Zulassungsbescheinigung ist da.", [LOUD] * 100, language="de")
    durations = [b - a for a, b in itertools.pairwise([*starts, 2000.0])]
    assert durations[1] > 3 * max(durations[0], durations[2])
    assert usual_ms("Zulassungsbescheinigung", "de") > usual_ms("Zulassung", "de") > 300


def test_words_of_a_sentence_still_being_made_are_not_counted_too_early():
    text = "a long sentence whose audio has only just begun to arrive"
    spoken = playing(text, frames=5, sent=5, complete=False)
    assert spoken.heard() in ("", "a")


def test_the_tempo_of_what_was_said_before_tells_how_far_an_unfinished_sentence_is():
    text = "one after the other they come and they go and nobody counts them at all"
    heard = {}
    for pace in (0.5, 1.0, 2.0):
        playout = Playout()
        frames = round(pace * sum(usual_ms(word, "en") for word in text.split()) / FRAME_MS)
        for _ in range(6):
            before = playout.begin(text)
            before.levels += [LOUD] * frames
            playout.end(before)
        unfinished = playout.begin(text)
        unfinished.levels += [LOUD] * 75
        unfinished.sent = 75
        heard[pace] = len(unfinished.heard().split())
        assert abs(playout.tempo - pace) < 0.1
        assert abs(heard[pace] - 75 / frames * len(text.split())) <= 1.5
    assert heard[0.5] > heard[1.0] > heard[2.0]


def test_a_sentence_without_audio_does_not_change_the_tempo():
    assert tempo_after(Sentence(["–"], "en", [LOUD] * 9, True, 1.2)) == pytest.approx(1.2)
    assert tempo_after(Sentence(["one"], "en", [], True, 1.2)) == pytest.approx(1.2)


@given(
    WORDS,
    st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=10),
    st.booleans(),
    st.sampled_from(["de", "en"]),
    st.floats(0.4, 2.5),
)
def test_whatever_the_audio_words_begin_in_order(words, pieces, complete, language, tempo):
    levels = [LOUD if loud else QUIET for loud, count in pieces for _ in range(count)]
    starts = word_starts_ms(Sentence(words, language, levels, complete, tempo))
    assert len(starts) == len(words)
    assert_in_order(starts)
    if complete:
        assert starts[-1] <= len(levels) * FRAME_MS + sum(usual_ms(w, language) for w in words)


def test_frames_that_were_sent_and_not_heard_yet_do_not_count():
    playout = Playout()
    for text in ("First sentence.", "Second one."):
        spoken = playout.begin(text)
        for _ in range(20):
            spoken.add(b"\1\0" * (FRAME_BYTES // 2))
        playout.end(spoken)
        spoken.sent = 20
    assert playout.heard() == "First sentence. Second one."
    assert playout.heard(20) == "First sentence."
    assert playout.heard(21).startswith("First")
    assert playout.heard(40) == ""


# --- where to go on after a break


def test_it_goes_on_at_a_mark_never_between_two():
    spoken = playing("no one called", frames=60, sent=20)
    spoken.mark(WordMark(0, 100.0))
    spoken.mark(WordMark(2, 800.0))  # "no one" is one mark
    assert spoken.repeat_from() == 100 // FRAME_MS - 1
    spoken.sent = 45
    assert spoken.repeat_from() == 800 // FRAME_MS - 1


def test_it_goes_on_in_the_pause_if_it_fell_silent_there():
    spoken = playing("Yes, of course", [0, 800, 900], frames=60, sent=35)
    spoken.levels[20:40] = [QUIET] * 20
    assert spoken.repeat_from() == 34


def test_nothing_is_said_again_of_a_sentence_that_is_over():
    assert playing("Yes", [0], frames=20, sent=20).repeat_from() == 20
    assert playing("Yes", [0], frames=20, sent=0).repeat_from() == 0
