"""The side-by-side benchmark's own rules: what it counts, and what its recogniser hears."""

import numpy as np
import pytest

from benchmarks.pipecat.client import Call, figures
from benchmarks.pipecat.lines import RATE_HZ, build_line
from benchmarks.pipecat.measure import (
    Playout,
    Said,
    is_cut,
    lateness_ms,
    percentile,
    percentile_of_counts,
    stop_ms,
    stretches,
    voice_to_voice_ms,
)
from benchmarks.pipecat.recipe import Oracle, load_lines, save_lines, speech
from benchmarks.pipecat.table import is_broken, table, together

FRAME = 160
QUIET = b"\0" * (2 * FRAME)


def sound(ms):
    """A noise of so many milliseconds at 8 kHz."""
    rng = np.random.default_rng(5)
    return rng.choice([-9000, 9000], ms * RATE_HZ // 1000).astype(np.int16)


def frames(samples):
    pcm = samples.tobytes()
    return [pcm[i : i + 2 * FRAME] for i in range(0, len(pcm), 2 * FRAME)]


PLAIN = build_line("plain", False, ("aaaa bb cccc",), (sound(1000),))
PAUSED = build_line("paused", False, ("aa bb", "cc dd"), (sound(400), sound(400)))


# --- the recogniser


def test_a_line_s_words_share_its_sound_by_their_letters():
    (segment,) = PLAIN.segments
    assert [(w.text, w.end_ms) for w in segment.words] == [
        ("aaaa", 400.0),
        ("bb", 600.0),
        ("cccc", 1000.0),
    ]
    assert [s.start_ms for s in PAUSED.segments] == [0.0, 1000.0]
    assert PAUSED.end_ms == 1400.0


def test_a_word_is_recognised_100_ms_after_it_was_said():
    oracle, found = Oracle([PLAIN], RATE_HZ), []
    for number, frame in enumerate([QUIET] * 7 + frames(sound(1000)) + [QUIET] * 20):
        if oracle.hear(frame):
            found.append(((number + 1 - 7) * 20, oracle.partial()))
    assert found == [(500, "aaaa"), (700, "aaaa bb"), (1100, "aaaa bb cccc")]
    assert oracle.final() == "aaaa bb cccc"


def test_a_final_has_what_was_said_until_then_and_the_next_one_the_rest():
    oracle = Oracle([PAUSED], RATE_HZ)
    for frame in frames(sound(400)) + [QUIET] * 10:
        oracle.hear(frame)
    assert oracle.final() == "aa bb"
    for frame in [QUIET] * 20 + frames(sound(400)):
        oracle.hear(frame)
    assert oracle.final() == "cc dd"


def test_audio_that_was_not_fed_leaves_the_place_in_the_script_right():
    oracle = Oracle([PAUSED, PLAIN], RATE_HZ)
    heard = []
    for length in (400, 400, 1000, 400):
        oracle.skipped()
        for frame in [QUIET, *frames(sound(length)), *[QUIET] * 10]:
            oracle.hear(frame)
        heard.append(oracle.final())
    assert heard == ["aa bb", "cc dd", "aaaa bb cccc", "aa bb"]


def test_silence_is_no_words():
    oracle = Oracle([PLAIN], RATE_HZ)
    assert not any(oracle.hear(QUIET) for _ in range(50))
    assert oracle.final() == ""


def test_the_script_survives_its_file(tmp_path):
    save_lines([PLAIN, PAUSED], tmp_path / "lines.json")
    assert load_lines(tmp_path / "lines.json") == (PLAIN, PAUSED)


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
def test_both_servers_speak_equally_long(rate_hz):
    assert sum(map(len, speech("x" * 50, rate_hz))) / 2 / rate_hz == pytest.approx(3.0)


# --- what is counted


def spoken(playout, begin_ms, count, answer=1, step_ms=20.0):
    for number in range(count):
        playout.push(begin_ms + number * step_ms, 20.0, True, answer)


def test_the_wait_is_counted_to_the_first_audible_frame_after_the_line():
    playout, said = Playout(), Said("q", False, 0.0, 1000.0)
    playout.push(1300.0, 20.0, False, 1)
    spoken(playout, 1500.0, 10)
    voice = stretches(playout.heard)
    assert voice_to_voice_ms(said, voice, 5000.0) == 500.0
    assert voice_to_voice_ms(said, voice, 1400.0) is None
    assert not is_cut(said, voice)


def test_an_answer_into_the_line_is_a_cut_and_no_wait():
    playout, said = Playout(), Said("q", False, 0.0, 1000.0)
    spoken(playout, 700.0, 5)
    spoken(playout, 1500.0, 5, answer=2)
    voice = stretches(playout.heard)
    assert is_cut(said, voice)
    assert voice_to_voice_ms(said, voice, 5000.0) is None


def test_what_is_buffered_is_heard_after_a_barge_in_unless_it_is_cleared():
    said = Said("b", True, 300.0, 900.0)
    for cleared, heard_ms in ((False, 700.0), (True, 150.0)):
        playout = Playout()
        spoken(playout, 0.0, 50, step_ms=1.0)  # a second of speech, sent at once
        if cleared:
            playout.clear(450.0)
        assert stop_ms(said, stretches(playout.heard)) == heard_ms


def test_after_a_clear_the_next_frame_is_played_at_once():
    playout = Playout()
    spoken(playout, 0.0, 50, step_ms=0.0)
    playout.clear(200.0)
    spoken(playout, 600.0, 5, answer=2)
    assert stretches(playout.heard) == [(0.0, 200.0), (600.0, 700.0)]


def test_lateness_is_against_the_answer_s_first_frame_and_early_is_not_late():
    playout = Playout()
    for at_ms, answer in ((0, 1), (1, 1), (40, 1), (90, 1), (5000, 2), (5030, 2)):
        playout.push(float(at_ms), 20.0, True, answer)
    assert lateness_ms(playout.heard) == [0.0, 0.0, 0.0, 30.0, 0.0, 10.0]


def test_percentiles_of_counts_are_those_of_the_values():
    values = [0.0] * 98 + [7.0, 30.0]
    counts = {value: values.count(value) for value in values}
    assert percentile_of_counts(counts, 50) == percentile(values, 50) == 0.0
    assert percentile_of_counts(counts, 99) == 7.0
    assert percentile_of_counts({}, 99) is None


def a_run(late, waits=(500.0,), complete=2):
    return {
        "calls": 2,
        "complete": complete,
        "lines": 2,
        "cuts": 0,
        "voice_to_voice_ms": list(waits),
        "barge_in_stop_ms": [],
        "lateness_ms": late,
        "cpu_per_call": 0.03,
        "mb_per_call": 1.0,
        "idle_mb": 100.0,
        "sent_late_p99_ms": 1.0,
    }


@pytest.mark.parametrize(
    ("run", "broken"),
    [
        (a_run({"0": 99, "20": 1}), False),
        (a_run({"0": 98, "21": 2}), True),
        (a_run({"0": 100}, waits=[751.0]), True),
        (a_run({"0": 100}, waits=[]), True),
        (a_run({"0": 100}, complete=1), True),
    ],
)
def test_late_frames_slow_answers_and_lost_calls_are_too_many(run, broken):
    single = together([a_run({"0": 100})])
    assert is_broken(together([run]), single) is broken


def test_runs_are_pooled_and_the_table_names_the_most_calls_held():
    good = together([a_run({"0": 100}), a_run({"0": 100}, waits=[700.0])])
    assert (good["v2v_p50_ms"], good["held"], good["missed"]) == (600.0, 4, 2)
    bad = together([a_run({"90": 100})]) | {"calls": 5, "broken": True}
    assert "tom: 2 calls on one core" in table({"tom": [good, bad]})


def test_the_figures_of_a_call_leave_its_greeting_out():
    call = Call("MZ1", [PLAIN])
    call.complete = True
    spoken(call.playout, 0.0, 5, answer=0, step_ms=500.0)
    call.said.append(Said("q", False, 5000.0, 6000.0))
    spoken(call.playout, 6400.0, 10, answer=2)
    found = figures([call], 0.0)
    assert found["voice_to_voice_ms"] == [400.0]
    assert found["lateness_ms"] == {0: 10}
    assert (found["complete"], found["cuts"], found["lines"]) == (1, 0, 1)
