"""What an ear's decider was given and what it decided, in few records of the call's log.

Thirty-one VAD windows come each second, so they are kept in batches: probabilities in whole
percents, beside the level of the caller's audio. Every other record first writes the batch, so the
records' order is the order in which the decider saw things. `read_ear` turns them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from apps.core.audio import levels_dbfs
from apps.voice import turn_events as turns
from apps.voice.completeness import Expecting
from apps.voice.vad import WINDOW_MS

BATCH_WINDOWS = 25

Note = Callable[[str, Mapping[str, Any]], None]

_NAMES: Mapping[type[Any], str] = {
    turns.CallerStarted: "started",
    turns.MaybeEnded: "maybe_ended",
    turns.WentOn: "went_on",
    turns.CallerEnded: "ended",
    turns.Hold: "hold",
    turns.BargeIn: "barge_in",
    turns.FalseAlarm: "false_alarm",
    turns.Backchannel: "backchannel",
}


class EarLog:
    """Writes one ear's records.

    Args:
        note: Takes a record's kind and fields.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._percents: list[int] = []
        self._frames: list[bytes] = []
        self._until_ms = 0.0

    def audio(self, frame: bytes) -> None:
        """Keep one frame of the caller until its level is written."""
        self._frames.append(frame)

    def window(self, end_ms: float, probability: float) -> float:
        """Keep one VAD window; returns the probability as it will be read back."""
        percent = round(probability * 100)
        self._percents.append(percent)
        self._until_ms = end_ms
        if len(self._percents) >= BATCH_WINDOWS:
            self.flush()
        return percent / 100

    def note(self, kind: str, **data: Any) -> None:
        """Write one record behind the windows before it."""
        self.flush()
        self._note(kind, data)

    def signal(self, signal: turns.Signal) -> None:
        """Write what was decided."""
        self.note("ear.decided", signal=signal_name(signal), **asdict(signal))

    def flush(self) -> None:
        """Write the windows that are kept."""
        if self._percents:
            data = {
                "until_ms": self._until_ms,
                "voice": self._percents,
                "dbfs": levels_dbfs(self._frames),
            }
            self._percents, self._frames = [], []
            self._note("ear.windows", data)


def signal_name(signal: turns.Signal) -> str:
    """Return the name by which a log knows a decision."""
    return _NAMES[type(signal)]


def read_ear(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[turns.Heard]:
    """Yield what the decider was given, from the kinds and fields of a call's records."""
    for kind, data in records:
        match kind:
            case "ear.windows":
                first_ms = data["until_ms"] - (len(data["voice"]) - 1) * WINDOW_MS
                for index, percent in enumerate(data["voice"]):
                    yield turns.Window(first_ms + index * WINDOW_MS, WINDOW_MS, percent / 100)
            case "ear.words":
                yield turns.Words(data["text"], data["until_ms"])
            case "ear.all_words":
                yield turns.AllWords(data["text"], data["confidence"])
            case "ear.playback":
                yield turns.Playback(data["interruptible"], data["asks"])
            case "ear.question":
                yield turns.Question(Expecting(data["expecting"]), data["digits"])
            case "ear.by_hand":
                yield turns.ByHand(data["on"])
            case "ear.yielded":
                yield turns.Yielded()
