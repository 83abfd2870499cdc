"""The caller's side of a timeline: levels, voice, words, and what was decided of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from apps.core.audio import FRAME_MS
from apps.core.events import LogRecord
from apps.dispatcher.timeline.fields import number, numbers, text
from apps.dispatcher.timeline.story import Curve, Mark, Span
from apps.voice.vad import WINDOW_MS

SILENT_DBFS = -60.0
_NEIGHBOURS = 8
_SHOWN_MS = 6000.0


@dataclass(frozen=True, slots=True)
class EarClock:
    """Where caller audio lies on the call's clock.

    Audio counts its own milliseconds; a door that delivers late or pauses shifts them. Each batch
    of windows says both times. Batches can be late and never early, so the least difference among
    neighbours is the one to go by.
    """

    heard_ms: tuple[float, ...]
    shifts_ms: tuple[float, ...]

    def at(self, heard_ms: float) -> float:
        """Return the call's time of a moment of caller audio."""
        return heard_ms + self.shift(heard_ms)

    def shift(self, heard_ms: float) -> float:
        """Return by how much the call's time is ahead of the audio's."""
        if not self.shifts_ms:
            return 0.0
        return self.shifts_ms[min(bisect_left(self.heard_ms, heard_ms), len(self.shifts_ms) - 1)]


def ear_clock(records: Sequence[LogRecord]) -> EarClock:
    """Return the clock of a call's caller audio; it runs with the call's where nothing is known."""
    batches = [
        (number(r.data, "until_ms"), r.at_ms - number(r.data, "until_ms"))
        for r in records
        if r.kind == "ear.windows"
    ]
    shifts = [shift for _, shift in batches]
    least = (min(shifts[max(0, i - _NEIGHBOURS) : i + _NEIGHBOURS + 1]) for i in range(len(shifts)))
    return EarClock(tuple(until for until, _ in batches), tuple(least))


def curves(records: Sequence[LogRecord], clock: EarClock) -> tuple[Curve, Curve]:
    """Return the caller's level and the probability of voice."""
    level: list[tuple[float, float]] = []
    voice: list[tuple[float, float]] = []
    for index, record in enumerate(r for r in records if r.kind == "ear.windows"):
        until_ms, shift_ms = number(record.data, "until_ms"), clock.shifts_ms[index]
        percents = numbers(record.data, "voice")
        first_ms = until_ms + shift_ms - len(percents) * WINDOW_MS
        for i, percent in enumerate(percents, start=1):
            voice.append((first_ms + i * WINDOW_MS, _between(percent / 100)))
        level += level_points(until_ms + shift_ms, numbers(record.data, "dbfs"))
    return plain(level), plain(voice)


def level_points(until_ms: float, dbfs: Sequence[float]) -> list[tuple[float, float]]:
    """Return points of a level, one for each 20 ms frame; the last frame ended at `until_ms`."""
    first_ms = until_ms - len(dbfs) * FRAME_MS
    return [
        (first_ms + i * FRAME_MS, _between(1.0 - value / SILENT_DBFS))
        for i, value in enumerate(dbfs, start=1)
    ]


def plain(points: Sequence[tuple[float, float]]) -> Curve:
    """Leave out the points in the middle of a level stretch."""
    kept = [
        point
        for i, point in enumerate(points)
        if not 0 < i < len(points) - 1 or not points[i - 1][1] == point[1] == points[i + 1][1]
    ]
    return tuple(kept)


def utterances(records: Sequence[LogRecord], clock: EarClock) -> Iterator[Span]:
    """Yield when the caller spoke, and how long it took to decide that that was all."""
    began_ms: float | None = None
    by_ear = any(r.kind == "ear.decided" for r in records)
    for record in records:
        signal = _signal(record) if by_ear else _OLD.get(record.kind, "")
        if signal == "started":
            heard_ms = record.data.get("at_ms")
            began_ms = record.at_ms if heard_ms is None else clock.at(number(record.data, "at_ms"))
        elif signal == "ended" and began_ms is not None:
            last_ms = record.at_ms
            if "last_voice_ms" in record.data:
                last_ms = clock.at(number(record.data, "last_voice_ms"))
            yield Span(began_ms, last_ms, "voice", about=f"spoke for {last_ms - began_ms:.0f} ms")
            wait_ms = record.at_ms - last_ms
            if wait_ms > 0:
                about = f"waited {wait_ms:.0f} ms to see whether the caller goes on"
                yield Span(last_ms, record.at_ms, "wait", about=about)
            began_ms = None


def decisions(records: Sequence[LogRecord], clock: EarClock) -> Iterator[Mark]:
    """Yield what turn-taking decided."""
    for record in records:
        if not (signal := _signal(record)):
            continue
        name, about = signal.replace("_", " "), _ABOUT.get(signal, signal)
        label = name if signal in _LABELLED else ""
        if signal == "ended":
            delay_ms = record.at_ms - clock.at(number(record.data, "last_voice_ms"))
            words = text(record.data, "completeness")
            label = f"ended after {delay_ms:.0f} ms"
            about += f", {delay_ms:.0f} ms after the last voice"
            about += f"; the words were {words}" if words else "; the words did not tell"
        elif signal == "maybe_ended":
            about += f": “{text(record.data, 'text')}”"
        yield Mark(record.at_ms, signal, label, about)


def partials(records: Sequence[LogRecord]) -> Iterator[Mark]:
    """Yield what each partial transcript added; one that changed its mind is told whole."""
    before: list[str] = []
    for record in records:
        if record.kind == "partial":
            words = text(record.data, "text").split()
            if words == before or not words:
                continue
            added = words[len(before) :] if words[: len(before)] == before else []
            kind = "added" if added else "changed"
            label, about = " ".join(added or words), " ".join(words)
            yield Mark(record.at_ms, kind, label, f"so far: “{about}”")
            before = words
        elif record.kind == "transcript":
            before = []


def finals(records: Sequence[LogRecord], spoken: Sequence[Span]) -> list[Span]:
    """Return the final transcripts, each up to the next; one without words is left out."""
    found: list[Span] = []
    for record in records:
        words = text(record.data, "text")
        if record.kind != "transcript" or not words:
            continue
        began = [s.from_ms for s in spoken if s.kind == "voice" and s.from_ms <= record.at_ms]
        told = record.data.get("confidence") is not None
        sure = f"confidence {number(record.data, 'confidence'):.2f}, " if told else ""
        about = f"“{words}” ({sure}{text(record.data, 'model')})"
        from_ms = began[-1] if began else record.at_ms
        found.append(Span(from_ms, record.at_ms + _SHOWN_MS, "final", words, about))
    return [
        replace(span, to_ms=min([span.to_ms, *(later.from_ms for later in found[i + 1 : i + 2])]))
        for i, span in enumerate(found)
    ]


def _signal(record: LogRecord) -> str:
    return text(record.data, "signal") if record.kind == "ear.decided" else ""


def _between(value: float) -> float:
    return min(1.0, max(0.0, value))


_OLD = {"fsm.caller_started": "started", "fsm.caller_ended": "ended"}
_LABELLED = ("hold", "false_alarm", "backchannel", "barge_in")
_ABOUT = {
    "started": "the caller started",
    "maybe_ended": "the caller may have finished",
    "went_on": "the caller went on",
    "ended": "the caller has finished",
    "hold": "voice over the assistant: it falls silent for now",
    "false_alarm": "it was no speech: the assistant goes on",
    "backchannel": "the caller only agrees: the assistant goes on",
    "barge_in": "the caller interrupts",
}
