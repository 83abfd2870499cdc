"""Recording a call: who said what when, on disk while the call still runs."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
import tracemalloc
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apps.core.audio import FRAME_SAMPLES, samples_to_pcm
from apps.voice.recording import JITTER_MS, LAG_MS, WRITE_MS, CallRecorder, export_wav
from apps.voice.sealed import SealingKey

KEY = SealingKey.of("k" * 32)
START_MS = 5_000_000.0


def frame(value: int, ms: int = 20) -> bytes:
    return samples_to_pcm(np.full(ms * 16, value, np.int16))


def read(path: Path, *, whole: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right samples."""
    out = io.BytesIO()
    assert export_wav(path, KEY, out) is whole
    out.seek(0)
    with wave.open(out) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 16_000)
        stereo = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def speak(recorder: CallRecorder, from_ms: float, to_ms: float, value: int = 1000) -> None:
    """Let the caller speak for a while, a frame every 20 ms."""
    for at_ms in np.arange(from_ms, to_ms, 20.0):
        recorder.caller(frame(value), START_MS + at_ms + 20.0)


def test_caller_and_assistant_are_where_they_were_on_the_timeline(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "calls" / "a.tomrec", KEY)
    speak(recorder, 0, 3000, value=0)
    recorder.assistant(frame(7, ms=200), START_MS + 1000)
    recorder.assistant(frame(8, ms=200), START_MS + 2500)
    speak(recorder, 3000, 3100, value=5)
    recorder.close()

    left, right = read(tmp_path / "calls" / "a.tomrec")
    assert len(left) == 3100 * 16
    assert np.flatnonzero(left)[0] == 3000 * 16
    assert np.flatnonzero(right == 7).tolist() == list(range(1000 * 16, 1200 * 16))
    assert np.flatnonzero(right == 8).tolist() == list(range(2500 * 16, 2700 * 16))


def test_a_frame_that_is_a_little_late_leaves_no_gap(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    for number, late_ms in enumerate([0.0, 15.0, 5.0, JITTER_MS - 1, 0.0]):
        recorder.caller(frame(9), START_MS + number * 20 + late_ms)
    recorder.close()

    left, right = read(tmp_path / "a.tomrec")
    assert np.all(left == 9)
    assert len(left) == 5 * FRAME_SAMPLES
    assert not right.any()


def test_after_a_stall_and_a_burst_quiet_frames_are_left_out_until_it_is_on_time_again(
    tmp_path: Path,
) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    speak(recorder, 0, 1000)
    for _ in range(25):  # what was said from 1.0 to 1.5 s arrives at 1.5 s at once
        recorder.caller(frame(2000), START_MS + 1500.0)
    speak(recorder, 1500, 3000, value=0)
    speak(recorder, 3000, 3500, value=3000)
    recorder.close()

    left, _ = read(tmp_path / "a.tomrec")
    assert np.count_nonzero(left == 2000) == 25 * FRAME_SAMPLES
    assert np.flatnonzero(left == 3000)[0] == pytest.approx(3000 * 16, abs=JITTER_MS * 16)


def test_what_was_sealed_can_be_read_while_the_call_still_runs_and_after_a_crash(
    tmp_path: Path,
) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    speak(recorder, 0, 10_000)

    left, _ = read(tmp_path / "a.tomrec", whole=False)

    assert 10_000 - LAG_MS - WRITE_MS - 20 <= len(left) / 16 <= 10_000
    assert np.all(left == 1000)
    recorder.close()


def test_a_side_that_was_silent_for_long_does_not_make_the_other_pile_up(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    speak(recorder, 0, 20_000)
    assert len(recorder._caller._pending) <= (LAG_MS + WRITE_MS + 20) * 32

    recorder.assistant(frame(4), START_MS + 20_000)
    recorder.close()

    _, right = read(tmp_path / "a.tomrec")
    assert np.flatnonzero(right)[0] == 20_000 * 16


def test_a_line_that_was_dead_for_long_leaves_silence_and_never_lies_in_memory(
    tmp_path: Path,
) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    speak(recorder, 0, 100)
    tracemalloc.start()
    speak(recorder, 600_000, 600_100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    recorder.close()

    assert most < 4_000_000
    left, _ = read(tmp_path / "a.tomrec")
    assert len(left) == 600_100 * 16
    assert np.count_nonzero(left) == 200 * 16


def test_no_word_lies_on_the_disk_in_the_clear(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    speak(recorder, 0, 5000, value=0x4142)
    recorder.close()

    assert b"AABB" not in (tmp_path / "a.tomrec").read_bytes().replace(b"BABA", b"AABB")
    assert (tmp_path / "a.tomrec").stat().st_size > 5000 * 64


def test_only_the_owner_may_read_a_recording(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    recorder.caller(frame(1), START_MS)
    recorder.close()

    assert stat.S_IMODE((tmp_path / "a.tomrec").stat().st_mode) == 0o600


def test_a_call_without_audio_leaves_no_file(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    recorder.caller(b"", START_MS)
    recorder.close()
    recorder.close()

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_added_after_the_end(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    recorder.caller(frame(1), START_MS)
    recorder.close()
    recorder.caller(frame(2), START_MS + 20)

    left, _ = read(tmp_path / "a.tomrec")
    assert np.all(left == 1)


def test_a_disk_that_fails_ends_the_recording_and_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    monkeypatch.setattr(os, "write", full)
    with capture_logs() as lines:
        speak(recorder, 0, 10_000)
        recorder.close()

    assert [(line["event"], line["reason"]) for line in lines] == [
        ("recording_failed", "No space left on device")
    ]


def test_a_slow_disk_holds_up_nobody_and_what_waits_for_it_is_bounded(tmp_path: Path) -> None:
    path, ready = tmp_path / "a.tomrec", threading.Event()
    with ThreadPoolExecutor(1) as disk, capture_logs() as lines:
        disk.submit(ready.wait)
        recorder = CallRecorder(path, KEY, disk)
        speak(recorder, 0, 8000)
        assert not path.exists()
        ready.set()
        speak(recorder, 8000, 9000)
        recorder.close()
    assert not lines
    left, _ = read(path)
    assert len(left) == 9000 * 16

    path, ready = tmp_path / "b.tomrec", threading.Event()
    with ThreadPoolExecutor(1) as disk, capture_logs() as lines:
        disk.submit(ready.wait)
        recorder = CallRecorder(path, KEY, disk)
        speak(recorder, 0, 60_000)
        assert len(recorder._caller._pending) < 200_000
        recorder.close()
        ready.set()
    assert [line["reason"] for line in lines] == ["the disk is too slow"]


async def test_without_a_time_it_is_now(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "a.tomrec", KEY)
    recorder.assistant(frame(3))
    recorder.caller(frame(4))
    recorder.close()

    left, right = read(tmp_path / "a.tomrec")
    assert np.count_nonzero(left == 4) == FRAME_SAMPLES
    assert np.count_nonzero(right == 3) == FRAME_SAMPLES


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.floats(0, 8000), st.integers(1, 400), st.sampled_from([0, 900])
        ),
        max_size=30,
    )
)
def test_whenever_it_is_fed_no_sound_is_lost(
    tmp_path_factory: pytest.TempPathFactory, feeds: list[tuple[bool, float, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("calls") / "a.tomrec"
    recorder = CallRecorder(path, KEY)
    loud = {True: 0, False: 0}
    for from_caller, at_ms, ms, value in feeds:
        side = recorder.caller if from_caller else recorder.assistant
        side(frame(value, ms=ms), START_MS + at_ms)
        loud[from_caller] += ms * 16 if value else 0
    recorder.close()

    if feeds:
        left, right = read(path)
        assert (np.count_nonzero(left), np.count_nonzero(right)) == (loud[True], loud[False])
