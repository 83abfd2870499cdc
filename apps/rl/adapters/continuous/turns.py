"""What can be learned of a call: its turns that were answered to the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.core.events import LogRecord

UNRATED = 0.5
"""Importance of a turn whose call got its reward from signals alone, beside one with a rating."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with its answer.

    Attributes:
        turn_id: Of its call.
        asked: The caller's words.
        answer: What was said, sentence by sentence joined.
        sources: The addresses of the passages that it was made from.
        before: What was asked and answered before, oldest first.
    """

    turn_id: int
    asked: str
    answer: str
    sources: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()


def answered_turns(records: Iterable[LogRecord]) -> tuple[Turn, ...]:
    """Return the turns of a call's log that are worth learning from, in order.

    Left out is what the caller talked over or did not hear to the end, what was partly blocked,
    what an engine failed in, and what came from no passage: fillers, greetings and questions back
    say nothing about how to answer.
    """
    asked: str | None = None
    turns: dict[int, Turn] = {}
    done: list[Turn] = []
    spoilt: set[int] = set()
    for record in records:
        turn_id, data = record.turn_id, record.data
        if record.kind == "fsm.transcript":
            asked = _text(data)
        elif record.kind == "assistant" and turn_id is not None and asked:
            sources = data.get("sources")
            if turn_id in turns or (sources and isinstance(sources, list | tuple)):
                history = tuple((t.asked, t.answer) for t in done)
                turn = turns.get(turn_id) or Turn(turn_id, asked, "", (), history)
                turns[turn_id] = _with(turn, _text(data), sources)
        elif record.kind in ("answer.blocked", "heard", "fsm.barge_in", "fsm.failure"):
            if turn_id is not None:
                spoilt.add(turn_id)
        elif record.kind == "fsm.speech_finished" and turn_id in turns:
            finished = turns.pop(turn_id)
            if turn_id not in spoilt:
                done.append(finished)
            asked = None
    return tuple(done)


def importance_of(turns: int, *, rated: bool) -> float:
    """Return how much one turn of a call counts.

    A call has one reward, so its turns share its weight, less than evenly: that many of them went
    well says more than that one did.

    Args:
        turns: How many the call has; at least 1.
        rated: Whether the caller gave a rating.
    """
    weight: float = (1.0 if rated else UNRATED) / turns**0.5
    return round(weight, 6)


def _text(data: Mapping[str, object]) -> str:
    return str(data.get("text") or "").strip()


def _with(turn: Turn, sentence: str, sources: object) -> Turn:
    named = tuple(str(s) for s in sources) if isinstance(sources, list | tuple) else ()
    every = tuple(dict.fromkeys((*turn.sources, *named)))
    answer = f"{turn.answer} {sentence}".strip()
    return Turn(turn.turn_id, turn.asked, answer, every, turn.before)
