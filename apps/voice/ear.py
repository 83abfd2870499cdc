"""The ear of one call: caller audio in; voice starts, ends, interruptions and transcripts out.

Every frame goes through the VAD, with what other calls have just heard (`vad_pool.py`), and the
turn-taking decider in the event loop; no task and no executor hop per frame. The recogniser gets
only what is spoken, plus a short run-up. What goes into the decider also goes into the call's log
(`EarLog`), so that it can be replayed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from apps.core.audio import FRAME_MS, Framer
from apps.core.clock import loop_ms
from apps.core.errors import EngineError
from apps.voice import turn_events as turns
from apps.voice.completeness import Expecting
from apps.voice.ear_log import EarLog
from apps.voice.echo import EchoGate
from apps.voice.stt.base import ListenFor, ListenOptions, SpeechToText, Transcript, Utterance
from apps.voice.turn_options import TurnOptions
from apps.voice.turn_taking import Floor, step
from apps.voice.vad import WINDOW_MS, VoiceActivity

RUN_UP_MS = 320
FINISH_S = 15.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the ear tells the call; `at_ms` is loop time.

    Attributes:
        kind: ``started``, ``maybe_ended``, ``went_on``, ``ended``, ``hold``, ``resume``,
            ``barge_in``, ``partial``, ``final``, ``aside`` (final words over the assistant that
            are not meant for it: "mhm", or a cough taken for a word) or ``failed``.
        at_ms: When the ear noticed.
        utterance_id: Which utterance it is about.
        voice_ms: Loop time of the caller's last sound (``ended`` and ``final``).
        transcript: The words (``maybe_ended``, ``partial``, ``final``, ``aside``).
        error: What failed (``failed``).
        audio_ms: When in the caller's audio: where the voice began (``started``), or where its
            last sound ended (``ended``).
    """

    kind: str
    at_ms: float
    utterance_id: int
    voice_ms: float = 0.0
    transcript: Transcript | None = None
    error: EngineError | None = None
    audio_ms: float = 0.0


class Ear:
    """Listens to one caller.

    Args:
        vad: The call's voice activity detector.
        stt: The call's recogniser.
        profile: The profile whose words are likely.
        options: How turns are taken, and in which language.
        tell: Called in the event loop for everything heard.
        tasks: The call's task group; transcripts are awaited in it.
        bias_words: Terms that the recogniser should favour.
        log: Keeps what the decider was given.
    """

    def __init__(
        self,
        *,
        vad: VoiceActivity,
        stt: SpeechToText,
        profile: str,
        options: TurnOptions,
        tell: Callable[[Heard], None],
        tasks: asyncio.TaskGroup,
        bias_words: tuple[str, ...] = (),
        log: EarLog | None = None,
    ) -> None:
        self._vad, self._stt, self._options = vad, stt, options
        self._profile, self._bias_words = profile, bias_words
        self._tell, self._tasks = tell, tasks
        self._log = log or EarLog(lambda _kind, _data: None)
        self._floor = Floor()
        self._framer = Framer()
        self._echo = EchoGate()
        self._before = b""
        self._run_up: deque[bytes] = deque(maxlen=RUN_UP_MS // FRAME_MS)
        self._utterance: Utterance | None = None
        self._finishing: dict[asyncio.Task[None], Utterance] = {}
        self._began_ms = 0.0
        self._audio_ms = 0.0
        self._window_ms = 0.0
        self._playback = turns.Playback()
        self._question = turns.Question()
        self._closed = False
        self._unheard = 0
        self._ends: Callable[[], None] | None = None
        self.utterance_id = 0

    def hear(self, pcm: bytes) -> None:
        """Take caller audio of any length in."""
        for frame in self._framer.push(pcm):
            self._unheard += 1
            self._vad.hear(frame, self._take)

    def _take(self, frame: bytes, voice: list[float]) -> None:
        """Take a frame, and how likely each window that it completed holds voice."""
        self._unheard -= 1
        if self._closed:
            return
        try:
            self._listen(frame, voice)
            if not self._unheard and self._ends is not None:
                ends, self._ends = self._ends, None
                ends()
        except Exception as error:  # it was called by the detector; the call is what has failed
            self._tasks.create_task(_fail_with(error))

    def _listen(self, frame: bytes, voice: list[float]) -> None:
        self._audio_ms += FRAME_MS
        if self._utterance is None:
            self._run_up.append(frame)
        else:
            self._feed(frame)
        self._log.audio(frame)
        for probability in voice:
            self._window_ms += WINDOW_MS
            own = 0.0 if self._is_echo(probability, frame) else probability
            # The log's value decides, so that a replay sees what the call saw.
            logged = self._log.window(self._window_ms, own)
            self._step(turns.Window(self._window_ms, WINDOW_MS, logged))
        self._before = frame

    def _is_echo(self, probability: float, frame: bytes) -> bool:
        """Tell whether a window that seems to hold voice may be nothing but echo."""
        if probability < self._options.voice_off:
            return False
        now_ms = loop_ms()
        before_ms = now_ms - FRAME_MS
        return self._echo.covers(self._before, before_ms) and self._echo.covers(frame, now_ms)

    def played(self, pcm: bytes, at_ms: float) -> None:
        """Note a frame of the assistant that is heard from `at_ms` of loop time on."""
        self._echo.played(pcm, at_ms)

    def playback(self, *, interruptible: bool, asks: bool = False) -> None:
        """Note what the caller hears of the assistant from now on."""
        playback = turns.Playback(interruptible, asks)
        if playback != self._playback:
            self._playback = playback
            self._log.note("ear.playback", interruptible=interruptible, asks=asks)
            self._step(playback)

    def expect(self, expecting: Expecting, digits: int = 0) -> None:
        """Note what the assistant has asked for."""
        question = turns.Question(expecting, digits)
        if question != self._question:
            self._question = question
            self._log.note("ear.question", expecting=expecting.value, digits=digits)
            self._step(question)

    def by_hand(self, on: bool) -> None:
        """Note whether the caller's side says when turns end, by `end_turn`."""
        self._log.note("ear.by_hand", on=on)
        self._step(turns.ByHand(on))

    def end_turn(self, *, discard: bool) -> None:
        """End the present utterance now; without one nothing happens.

        Args:
            discard: Its words are not recognised, as if nothing had been understood.
        """
        if self._unheard:  # its last audio is still with the detector
            self._ends = partial(self.end_turn, discard=discard)
            return
        if not self._floor.speaking:
            return
        if discard and self._utterance is not None:
            self._utterance.cancel()
            self._utterance = None
        self._log.note("ear.yielded")
        self._step(turns.Yielded())
        if discard:
            self._say("final", voice_ms=loop_ms(), transcript=Transcript("", 0.0, is_final=True))

    @property
    def busy(self) -> bool:
        """Whether it is in an utterance, or holds the assistant: more audio must settle that."""
        return self._floor.speaking or self._floor.holding

    def close(self) -> None:
        """Give up whatever is being recognised."""
        self._closed = True
        self._log.flush()
        if self._utterance is not None:
            self._utterance.cancel()
            self._utterance = None
        for task, utterance in self._finishing.items():
            task.cancel()
            utterance.cancel()  # a task that has not begun would not do it

    # --- decisions

    def _step(self, heard: turns.Heard) -> list[turns.Signal]:
        self._floor, signals = step(self._floor, heard, self._options)
        for signal in signals:
            self._log.signal(signal)
            self._carry_out(signal)
        return signals

    def _carry_out(self, signal: turns.Signal) -> None:
        match signal:
            case turns.CallerStarted(at_ms=at_ms):
                self._start(at_ms)
            case turns.MaybeEnded(text=text):
                words = Transcript(text, 0.0, is_final=False)
                self._say("maybe_ended", transcript=words)
            case turns.WentOn():
                self._say("went_on")
            case turns.CallerEnded(last_voice_ms=last_voice_ms):
                self._end(last_voice_ms)
            case turns.Hold():
                self._say("hold")
            case turns.BargeIn():
                self._say("barge_in")
            case turns.FalseAlarm() | turns.Backchannel():
                self._say("resume")

    # --- the utterance

    def _start(self, audio_ms: float) -> None:
        self.utterance_id += 1
        self._began_ms = self._audio_ms - len(self._run_up) * FRAME_MS
        rating = self._question.expecting is Expecting.RATING
        options = ListenOptions(
            self._options.language,
            self._profile,
            ListenFor.RATING if rating else ListenFor.ANYTHING,
            self._bias_words,
        )
        number, began_ms = self.utterance_id, self._began_ms
        try:
            self._utterance = self._stt.listen(
                options, lambda partial: self._partial(partial, number, began_ms)
            )
        except EngineError as error:
            self._fail(error, number)
        for frame in self._run_up:
            self._feed(frame)
        self._run_up.clear()
        self._say("started", audio_ms=audio_ms)

    def _partial(self, partial: Transcript, number: int, began_ms: float) -> None:
        if number != self.utterance_id:
            return
        until_ms = None if partial.until_ms is None else began_ms + partial.until_ms
        news = partial.text != self._floor.words
        self._log.note("ear.words", text=partial.text, until_ms=until_ms)
        if news:
            self._say("partial", number, transcript=partial)
        self._step(turns.Words(partial.text, until_ms))

    def _feed(self, frame: bytes) -> None:
        if self._utterance is None:
            return
        try:
            self._utterance.feed(frame)
        except EngineError as error:
            self._utterance.cancel()
            self._utterance = None
            self._fail(error, self.utterance_id)

    def _end(self, audio_ms: float) -> None:
        voice_ms = loop_ms() - (self._audio_ms - audio_ms)
        utterance, self._utterance = self._utterance, None
        self._say("ended", voice_ms=voice_ms, audio_ms=audio_ms)
        if utterance is not None:
            number = self.utterance_id
            task = self._tasks.create_task(
                self._finish(utterance, number, voice_ms), name=f"transcript {number}"
            )
            self._finishing[task] = utterance
            task.add_done_callback(self._finishing.pop)
        else:
            self._settle("", 0.0)

    async def _finish(self, utterance: Utterance, number: int, voice_ms: float) -> None:
        try:
            async with asyncio.timeout(FINISH_S):
                transcript = await utterance.finish()
        except TimeoutError:
            utterance.cancel()
            late = EngineError("The recogniser did not answer in time.", code="stt_late")
            self._fail(late, number)
        except EngineError as error:
            utterance.cancel()
            self._fail(error, number)
        except asyncio.CancelledError:
            utterance.cancel()
            raise
        else:
            signals = self._settle(transcript.text, transcript.confidence)
            aside = any(isinstance(s, turns.FalseAlarm | turns.Backchannel) for s in signals)
            kind = "aside" if aside else "final"
            self._say(kind, number, voice_ms=voice_ms, transcript=transcript)

    def _settle(self, text: str, confidence: float | None) -> list[turns.Signal]:
        self._log.note("ear.all_words", text=text, confidence=confidence)
        return self._step(turns.AllWords(text, confidence))

    def _fail(self, error: EngineError, number: int) -> None:
        self._say("failed", number, error=error)
        self._settle("", 0.0)

    def _say(
        self,
        kind: str,
        utterance_id: int | None = None,
        *,
        voice_ms: float = 0.0,
        transcript: Transcript | None = None,
        error: EngineError | None = None,
        audio_ms: float = 0.0,
    ) -> None:
        number = self.utterance_id if utterance_id is None else utterance_id
        self._tell(Heard(kind, loop_ms(), number, voice_ms, transcript, error, audio_ms))


async def _fail_with(error: Exception) -> None:
    raise error
