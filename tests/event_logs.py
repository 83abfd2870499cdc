"""Event logs for tests: what an ear heard, decided and written down, without a call around it."""

from typing import Any

from apps.core.audio import FRAME_BYTES
from apps.core.events import LogRecord
from apps.voice import turn_events as turns
from apps.voice.ear_log import EarLog
from apps.voice.turn_options import TurnOptions
from apps.voice.turn_taking import Floor, step
from apps.voice.vad import WINDOW_MS
from tests.calls import QUIET, VOICE

QUESTION = "what documents do i need"


class Log:
    """A log in the making; with an ear that writes down what its decider is given and decides."""

    def __init__(self, **options: Any) -> None:
        self.records: list[LogRecord] = []
        self.options = TurnOptions(**options)
        self._ear, self._floor, self._heard_ms = EarLog(self._write), Floor(), 0.0

    def note(self, kind: str, turn_id: int | None = None, **data: Any) -> "Log":
        """Write one record at the present time."""
        self._write(kind, data, turn_id)
        return self

    def ear(self) -> "Log":
        """Write the options that the ear has."""
        names = TurnOptions.__dataclass_fields__
        return self.note("ear.options", **{n: getattr(self.options, n) for n in names})

    def hear(self, ms: float, probability: float) -> "Log":
        """Let so much of the caller's audio pass, with this probability of voice."""
        frame = VOICE if probability > 0.5 else QUIET
        assert len(frame) == FRAME_BYTES
        for _ in range(round(ms / WINDOW_MS)):
            self._heard_ms += WINDOW_MS
            self._ear.audio(frame)
            logged = self._ear.window(self._heard_ms, probability)
            self._step(turns.Window(self._heard_ms, WINDOW_MS, logged))
        self._ear.flush()
        return self

    def words(self, text: str) -> "Log":
        """Let the recogniser tell what it has made of the utterance so far."""
        self._ear.note("ear.words", text=text, until_ms=self._heard_ms)
        self._write("partial", {"text": text})
        self._step(turns.Words(text, self._heard_ms))
        return self

    def all_words(self, text: str) -> "Log":
        """Let the recogniser tell its final transcript."""
        self._ear.note("ear.all_words", text=text, confidence=0.9)
        said = {"utterance": 1, "role": "caller", "text": text, "confidence": 0.9, "model": "fake"}
        self._write("transcript", said)
        self._step(turns.AllWords(text, 0.9))
        return self

    def playback(self, *, interruptible: bool) -> "Log":
        """Let the assistant speak, or be silent."""
        self._ear.note("ear.playback", interruptible=interruptible, asks=False)
        self._step(turns.Playback(interruptible))
        return self

    def decided(self) -> list[str]:
        """Return what the log says was decided."""
        return [r.data["signal"] for r in self.records if r.kind == "ear.decided"]

    def _step(self, heard: turns.Heard) -> None:
        self._floor, signals = step(self._floor, heard, self.options)
        for signal in signals:
            self._ear.signal(signal)

    def _write(self, kind: str, data: Any, turn_id: int | None = None) -> None:
        self.records.append(LogRecord(len(self.records), self._heard_ms, kind, turn_id, dict(data)))


def question_and_cough(**options: Any) -> Log:
    """Return the log of a caller who asks, pauses in between, and coughs into the answer."""
    log = Log(**options).ear()
    log.note("fsm.incoming_call").note("fsm.call_answered").note("fsm.speech_finished", 1)
    log.hear(500, 0).hear(900, 1).words("what documents").hear(300, 0)
    log.hear(600, 1).words(QUESTION).hear(1600, 0)
    log.note("fsm.caller_started").note("fsm.caller_ended").all_words(QUESTION)
    log.note("fsm.transcript", text=QUESTION).playback(interruptible=True)
    log.note("assistant", 2, text="Your identity card.", sources=["kfz#a"])
    log.note("fsm.answer_ready", 2)
    stages = {"endpoint": 520.0, "stt": 30.0, "retrieve": 2.0, "generate": 10.0, "speak": 50.0}
    log.note("turn.latency", 2, ms=612.0, stages=stages)
    log.hear(1000, 0).hear(130, 1).hear(500, 0).all_words("").hear(1000, 0)
    log.note("fsm.speech_finished", 2).note("fsm.call_ended", reason="caller_hung_up")
    return log
