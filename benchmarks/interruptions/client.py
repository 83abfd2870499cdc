"""The caller's side: a client that plays what it receives, and a caller who speaks over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, pcm_to_samples, samples_to_pcm
from apps.core.clock import loop_ms
from apps.voice.doors.base import (
    CallerAudio,
    CallerHungUp,
    CallerText,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from benchmarks.interruptions.engines import Said, ScriptedEar
from benchmarks.interruptions.sounds import Sound

SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
ECHO_DB = -30.0
ECHO_DELAY_MS = 40
FLOOR_DBFS = -65.0
SETTLED_MS = 1500.0
LONGEST_MS = 90_000.0

Wave = NDArray[np.float64]


class Client:
    """Plays frames from a buffer, on its own clock, and keeps what is heard, sample by sample.

    Attributes:
        arrivals_ms: When each frame came.
    """

    def __init__(self) -> None:
        self._played = np.zeros(SAMPLE_RATE_HZ, np.int16)
        self._end = 0
        self.arrivals_ms: list[float] = []

    def receive(self, frame: bytes, at_ms: float) -> None:
        """Queue a frame behind the others; it is heard at once when there are none."""
        begin = max(self._end, round(at_ms * SAMPLES_PER_MS))
        self._end = begin + FRAME_SAMPLES
        while self._end > len(self._played):
            self._played = np.concatenate((self._played, np.zeros_like(self._played)))
        self._played[begin : self._end] = pcm_to_samples(frame)
        self.arrivals_ms.append(at_ms)

    def flush(self, at_ms: float) -> None:
        """Drop what has not been heard yet."""
        now = round(at_ms * SAMPLES_PER_MS)
        self._played[now:] = 0
        self._end = min(self._end, now)

    def heard(self, begin: int, end: int) -> NDArray[np.int16]:
        """Return the samples from one to another; silence before the first and after the last."""
        inside = self._played[max(begin, 0) : max(end, 0)]
        before = max(0, min(end, 0) - begin)
        return np.pad(inside, (before, end - begin - before - len(inside)))

    def recording(self) -> NDArray[np.int16]:
        """Return all that was heard, from loop time 0."""
        return self._played[: self._end]


class SpeakingOver:
    """A door whose caller asks something and then makes a sound over the answer.

    Args:
        question: Asked once the greeting is over.
        sound: What the caller does then; None to listen to the end.
        after_ms: When it begins, from the first sample of the answer.
        language: Of the call.
        ear: Is told what is said.
        echo: Whether the caller's microphone hears the assistant.
    """

    name = "benchmark"
    unplayed_ms = 0.0  # it confirms nothing, as most clients

    def __init__(
        self,
        question: str,
        sound: Sound | None,
        after_ms: float,
        language: str,
        ear: ScriptedEar,
        *,
        echo: bool = False,
    ) -> None:
        self.request = CallRequest("kfz", language)
        self.capabilities = Capabilities(audio=True)
        self.client = Client()
        self._question, self._sound, self._after_ms = question, sound, after_ms
        self._ear, self._echo = ear, echo
        self._noise = np.random.default_rng(1)
        self._asked = self._answered = False
        self._state = ""
        self._settled_ms: float | None = None
        self.answer_begins: int | None = None
        self.sound_begins: int | None = None
        self.told: list[Mapping[str, Any]] = []

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield 20 ms of the caller at a time, and hang up when all is over."""
        began_ms = loop_ms()
        number = 0
        while True:
            number += 1
            due_ms = began_ms + number * FRAME_MS
            await asyncio.sleep((due_ms - loop_ms()) / 1000)
            if not self._asked and self._state == "listening":
                self._asked = True
                yield CallerText(self._question)
            if self._is_over(due_ms):
                yield CallerHungUp()
                return
            yield CallerAudio(self._caller(round((due_ms - FRAME_MS) * SAMPLES_PER_MS)))

    async def play(self, frame: bytes) -> None:
        """Let the client play a frame."""
        if self._asked and self.answer_begins is None:
            self.answer_begins = round(loop_ms() * SAMPLES_PER_MS)
            if self._sound is not None:
                self._plan(self._sound, self.answer_begins)
        self.client.receive(frame, loop_ms())

    async def flush(self) -> None:
        """Let the client drop what it has not played."""
        self.client.flush(loop_ms())

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Note what is told."""
        if kind == "state":
            self._state = data["state"]
            self._answered = self._answered or (self._asked and self._state == "speaking")
        self.told.append({"type": kind, **data})

    async def transfer(self, target: str, summary: str) -> None:
        """Hand over to nobody: no call of the set asks for a person."""

    async def close(self, reason: str) -> None:
        """Do nothing: the caller hangs up."""

    def _plan(self, sound: Sound, answer_begins: int) -> None:
        self.sound_begins = answer_begins + round(self._after_ms * SAMPLES_PER_MS)
        begins_ms = self.sound_begins / SAMPLES_PER_MS
        self._ear.said = [
            Said(word, begins_ms + end_ms)
            for word, end_ms in zip(sound.words, sound.ends_ms, strict=True)
        ]

    def _caller(self, begin: int) -> bytes:
        wave: Wave = self._noise.standard_normal(FRAME_SAMPLES) * 32768 * 10 ** (FLOOR_DBFS / 20)
        if self._echo:
            heard = begin - ECHO_DELAY_MS * SAMPLES_PER_MS
            wave += self.client.heard(heard, heard + FRAME_SAMPLES) * 10 ** (ECHO_DB / 20)
        if self._sound is not None and self.sound_begins is not None:
            at = begin - self.sound_begins
            first, last = max(at, 0), min(at + FRAME_SAMPLES, len(self._sound.samples))
            if first < last:
                wave[first - at : last - at] += self._sound.samples[first:last]
        return samples_to_pcm(np.clip(np.round(wave), -32768, 32767).astype(np.int16))

    def _is_over(self, now_ms: float) -> bool:
        """Whether the answer has ended or was broken off, and a while has passed since."""
        if self._answered and self._state != "speaking" and self._settled_ms is None:
            self._settled_ms = now_ms
        settled = self._settled_ms is not None and now_ms >= self._settled_ms + SETTLED_MS
        return settled or now_ms >= LONGEST_MS
