"""The ear of one call: caller audio in; voice starts, barge-ins and transcripts out.

Every frame goes through the VAD and the turn-taking decider in the event loop (about 0.1 ms); no
task and no executor hop per frame. The recogniser gets only what is spoken, plus a short run-up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from apps.core.audio import FRAME_MS, Framer
from apps.core.clock import loop_ms
from apps.core.errors import EngineError
from apps.voice.stt.base import ListenFor, ListenOptions, SpeechToText, Transcript, Utterance
from apps.voice.turn_taking import (
    BargeIn,
    CallerEnded,
    CallerStarted,
    Floor,
    TurnOptions,
    Window,
    step,
)
from apps.voice.vad import WINDOW_MS, VoiceActivity

RUN_UP_MS = 320
FINISH_S = 15.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the ear tells the call; `at_ms` is loop time.

    Attributes:
        kind: ``started``, ``ended``, ``barge_in``, ``partial``, ``final`` or ``failed``.
        at_ms: When the ear noticed.
        utterance_id: Which utterance it is about.
        voice_ms: Loop time of the caller's last sound (``ended`` and ``final``).
        transcript: The words (``partial`` and ``final``).
        error: What failed (``failed``).
    """

    kind: str
    at_ms: float
    utterance_id: int
    voice_ms: float = 0.0
    transcript: Transcript | None = None
    error: EngineError | None = None


class Ear:
    """Listens to one caller.

    Args:
        vad: The call's voice activity detector.
        stt: The recogniser, or None when there is none for the call's language.
        language: ``de`` or ``en``.
        profile: The profile whose words are likely.
        options: How turns are taken.
        tell: Called in the event loop for everything heard.
        tasks: The call's task group; transcripts are awaited in it.
    """

    def __init__(
        self,
        *,
        vad: VoiceActivity,
        stt: SpeechToText | None,
        language: str,
        profile: str,
        options: TurnOptions,
        tell: Callable[[Heard], None],
        tasks: asyncio.TaskGroup,
        bias_words: tuple[str, ...] = (),
    ) -> None:
        self._vad, self._stt, self._options = vad, stt, options
        self._language, self._profile, self._bias_words = language, profile, bias_words
        self._tell, self._tasks = tell, tasks
        self._floor = Floor()
        self._framer = Framer()
        self._run_up: deque[bytes] = deque(maxlen=RUN_UP_MS // FRAME_MS)
        self._utterance: Utterance | None = None
        self._audio_ms = 0.0
        self._window_ms = 0.0
        self.listen_for = ListenFor.ANYTHING
        self.interruptible = False
        self.utterance_id = 0

    def hear(self, pcm: bytes) -> None:
        """Take caller audio of any length in."""
        for frame in self._framer.push(pcm):
            self._audio_ms += FRAME_MS
            if self._utterance is None:
                self._run_up.append(frame)
            else:
                self._feed(frame)
            for probability in self._vad.push(frame):
                self._window_ms += WINDOW_MS
                self._take(probability)

    def close(self) -> None:
        """Give up whatever is being recognised."""
        if self._utterance is not None:
            self._utterance.cancel()
            self._utterance = None

    def _take(self, probability: float) -> None:
        window = Window(self._window_ms, WINDOW_MS, probability, self.interruptible)
        self._floor, signals = step(self._floor, window, self._options)
        for signal in signals:
            match signal:
                case CallerStarted():
                    self._start()
                case BargeIn():
                    self._say("barge_in")
                case CallerEnded(last_voice_ms=last_voice_ms):
                    self._end(loop_ms() - (self._audio_ms - last_voice_ms))

    def _start(self) -> None:
        self.utterance_id += 1
        if self._stt is not None:
            options = ListenOptions(
                self._language, self._profile, self.listen_for, self._bias_words
            )
            number = self.utterance_id
            try:
                self._utterance = self._stt.listen(
                    options, lambda partial: self._say("partial", number, transcript=partial)
                )
            except EngineError as error:
                self._say("failed", error=error)
            for frame in self._run_up:
                self._feed(frame)
        self._run_up.clear()
        self._say("started")

    def _feed(self, frame: bytes) -> None:
        if self._utterance is None:
            return
        try:
            self._utterance.feed(frame)
        except EngineError as error:
            self._utterance.cancel()
            self._utterance = None
            self._say("failed", error=error)

    def _end(self, voice_ms: float) -> None:
        utterance, self._utterance = self._utterance, None
        self._say("ended", voice_ms=voice_ms)
        if utterance is not None:
            number = self.utterance_id
            self._tasks.create_task(
                self._finish(utterance, number, voice_ms), name=f"transcript {number}"
            )

    async def _finish(self, utterance: Utterance, number: int, voice_ms: float) -> None:
        try:
            async with asyncio.timeout(FINISH_S):
                transcript = await utterance.finish()
        except TimeoutError:
            utterance.cancel()
            late = EngineError("The recogniser did not answer in time.", code="stt_late")
            self._say("failed", number, error=late)
        except EngineError as error:
            self._say("failed", number, error=error)
        except asyncio.CancelledError:
            utterance.cancel()
            raise
        else:
            self._say("final", number, voice_ms=voice_ms, transcript=transcript)

    def _say(
        self,
        kind: str,
        utterance_id: int | None = None,
        *,
        voice_ms: float = 0.0,
        transcript: Transcript | None = None,
        error: EngineError | None = None,
    ) -> None:
        number = self.utterance_id if utterance_id is None else utterance_id
        self._tell(Heard(kind, loop_ms(), number, voice_ms, transcript, error))
