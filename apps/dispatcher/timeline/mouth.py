"""The assistant's side of a timeline: its level, its sentences, and where it held its tongue."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby

from apps.core.audio import FRAME_MS
from apps.core.events import LogRecord
from apps.dispatcher.timeline.ear import level_points, plain
from apps.dispatcher.timeline.fields import number, numbers, text
from apps.dispatcher.timeline.story import Curve, Span

SPEECH_ENDS = ("fsm.speech_finished", "fsm.barge_in", "fsm.call_ended", "call.ended")
_LETTER_MS = 65.0
"""A letter's length in speech, where a call has no sentence that was said to its end."""


def level(records: Sequence[LogRecord]) -> Curve:
    """Return the assistant's level; it is 0 where nothing was sent."""
    points: list[tuple[float, float]] = []
    for record in records:
        if record.kind == "mouth.level":
            dbfs, from_ms = numbers(record.data, "dbfs"), number(record.data, "from_ms")
            if points and from_ms - points[-1][0] > FRAME_MS:
                points += [(points[-1][0] + 1, 0.0), (from_ms - 1, 0.0)]
            points += level_points(from_ms + len(dbfs) * FRAME_MS, dbfs)
    return plain([(0.0, 0.0), *points, (points[-1][0] + 1, 0.0)]) if points else ()


def sentences(records: Sequence[LogRecord], length_ms: float) -> Iterator[Span]:
    """Yield what the assistant said, and about when.

    The log says when a sentence was handed to the mouth, which may be seconds before it is heard.
    A turn that was said to its end is shared out among its sentences by their letters; so is one
    that was not, at the pace of the others.
    """
    said = [r for r in records if r.kind == "assistant"]
    turns = [list(group) for _, group in groupby(said, key=lambda r: r.turn_id)]
    ends = [_end(records, turn[-1]) for turn in turns]
    paces = [
        (end.at_ms - turn[0].at_ms) / _letters(turn)
        for turn, end in zip(turns, ends, strict=True)
        if end is not None and end.kind == "fsm.speech_finished"
    ]
    usual_ms = statistics.median(paces) if paces else _LETTER_MS
    for turn, end in zip(turns, ends, strict=True):
        end_ms = length_ms if end is None else end.at_ms
        finished = end is not None and end.kind == "fsm.speech_finished"
        letter_ms = (end_ms - turn[0].at_ms) / _letters(turn) if finished else usual_ms
        yield from _share_out(turn, letter_ms, end_ms)


def holds(records: Sequence[LogRecord], length_ms: float) -> Iterator[Span]:
    """Yield where it was silent for now: by the mouth's records, or by what was decided."""
    names = {"mouth.hold": "hold", "mouth.resume": "over"}
    by_mouth = any(r.kind in names for r in records)
    since_ms: float | None = None
    for record in records:
        kind = names.get(record.kind, "") if by_mouth else _held(record)
        if record.kind in ("fsm.barge_in", "call.ended"):
            kind = "over"
        if kind == "hold" and since_ms is None:
            since_ms = record.at_ms
        elif kind == "over" and since_ms is not None:
            about = f"silent for {record.at_ms - since_ms:.0f} ms to find out what it was"
            yield Span(since_ms, record.at_ms, "hold", about=about)
            since_ms = None
    if since_ms is not None:
        yield Span(since_ms, length_ms, "hold", about="silent to find out what it was")


def _share_out(turn: Sequence[LogRecord], letter_ms: float, end_ms: float) -> Iterator[Span]:
    from_ms = turn[0].at_ms
    for record in turn:
        words, sources = text(record.data, "text"), _cited(record)
        from_ms = min(max(from_ms, record.at_ms), end_ms)
        to_ms = min(from_ms + len(words) * letter_ms, end_ms)
        about = f"turn {record.turn_id}: “{words}”"
        if sources:
            about += f" ({', '.join(sources)})"
        yield Span(from_ms, to_ms, "sentence", words, about)
        from_ms = to_ms


def _cited(record: LogRecord) -> list[str]:
    """Return what a sentence was made from, as a person looks it up."""
    citations = record.data.get("citations")
    if isinstance(citations, list):
        return [_named(c) for c in citations if isinstance(c, dict)]
    sources = record.data.get("sources")
    return [str(source) for source in sources] if isinstance(sources, list) else []


def _named(citation: dict[str, object]) -> str:
    page = f", page {citation['page']}" if citation.get("page") else ""
    return f"{citation.get('title', '')}{page}: {citation.get('source', '')}"


def _letters(turn: Sequence[LogRecord]) -> int:
    return max(1, sum(len(text(record.data, "text")) for record in turn))


def _end(records: Sequence[LogRecord], last: LogRecord) -> LogRecord | None:
    """Return the record that ended a turn's speech, given that of its last sentence."""
    return next((r for r in records if r.seq > last.seq and r.kind in SPEECH_ENDS), None)


def _held(record: LogRecord) -> str:
    if record.kind != "ear.decided":
        return ""
    signal = text(record.data, "signal")
    if signal == "hold":
        return "hold"
    return "over" if signal in ("false_alarm", "backchannel", "barge_in") else ""
