"""The voice activity of many calls: one batch gives each what it would have got by itself."""

import asyncio

import numpy as np
import pytest
from structlog.testing import capture_logs

from apps.core.audio import FRAME_BYTES
from apps.voice.silero import silero_network
from apps.voice.vad import SileroVad
from apps.voice.vad_pool import VadPool
from tests.spoken import spoken

TEXTS = ["I have lost my papers.", "How much is a new number plate?", "Yes.", "Where are you?"]


def frames_of(text):
    pcm = spoken(text, "en")
    return [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]


def alone(frames):
    return SileroVad(silero_network()).push(b"".join(frames))


async def heard_together(streams, burst=1):
    """Feed streams side by side, some frames of each at once; returns what each was told."""
    pool = VadPool(silero_network())
    detectors = [pool.open() for _ in streams]
    told = [[] for _ in streams]
    for at in range(0, max(map(len, streams)), burst):
        for detector, frames, mine in zip(detectors, streams, told, strict=True):
            for frame in frames[at : at + burst]:
                detector.hear(frame, lambda frame, voice, mine=mine: mine.append((frame, voice)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return told


@pytest.mark.parametrize("burst", [1, 7])
def test_every_call_hears_what_it_would_hear_alone(burst):
    streams = [frames_of(text) for text in TEXTS]

    told = asyncio.run(heard_together(streams, burst))

    for frames, mine in zip(streams, told, strict=True):
        assert [frame for frame, _ in mine] == frames
        voice = [probability for _, found in mine for probability in found]
        assert voice == pytest.approx(alone(frames), abs=1e-4)
        assert max(voice) > 0.9


def test_what_arrives_together_is_one_batch(monkeypatch):
    network = silero_network()
    sizes = []
    step = network.step
    monkeypatch.setattr(
        network, "step", lambda rows, state: sizes.append(len(rows)) or step(rows, state)
    )

    asyncio.run(heard_together([frames_of("Yes.")[:8] for _ in range(5)]))

    assert sizes == [5] * 5  # eight frames of 20 ms are five windows of 32 ms


async def test_one_call_that_fails_does_not_deafen_the_others():
    pool = VadPool(silero_network())
    failing, other = pool.open(), pool.open()
    told = []

    def fail(frame, voice):
        raise RuntimeError("a defect")

    with capture_logs() as logs:
        failing.hear(bytes(1024), fail)
        other.hear(bytes(1024), lambda frame, voice: told.append(len(voice)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert told == [1]
    assert [entry["event"] for entry in logs] == ["ear_failed"]


def test_silence_stays_silence_however_long_it_lasts():
    detector = SileroVad(silero_network())

    assert np.max(detector.push(bytes(16_000 * 2 * 20))[10:]) < 0.1
