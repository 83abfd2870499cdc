"""What a scripted caller says when, and what it hears: no sockets, the time is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.pipecat.measure import Heard, Playout, Said
from benchmarks.pipecat.recipe import Line

FRAME_MS = 20.0
QUIET_MS = 800.0
BARGE_IN_MS = 1500.0
PATIENCE_MS = 8000.0


@dataclass(slots=True)
class Script:
    """The lines of one call, said when the assistant has fallen silent, or into its answer.

    Args:
        lines: The script, cycles included.
    """

    lines: Sequence[Line]
    playout: Playout = field(default_factory=Playout)
    said: list[Said] = field(default_factory=list)
    sent_late_ms: list[float] = field(default_factory=list)
    complete: bool = False
    _next: int = 0
    _answer: int = 0
    _speaking: bool = False
    _since_ms: float = 0.0
    _voice_ms: float | None = None

    @property
    def over(self) -> bool:
        """Whether every line has been begun."""
        return self._next == len(self.lines)

    def begin(self, now: float) -> None:
        """Begin to listen."""
        self._since_ms = now

    def begin_line(self, now: float) -> Line:
        """Return the line that is said from now on; its times are those at which it is sent."""
        line = self.lines[self._next]
        last_ms = now + line.end_ms - FRAME_MS
        self.said.append(Said(line.name, line.barge_in, now, last_ms))
        self._next, self._speaking = self._next + 1, True
        self._answer += 1
        return line

    def end_line(self, now: float) -> None:
        """Note that nothing is left to say of a line, if one was being said."""
        if self._speaking:
            self._speaking, self._since_ms, self._voice_ms = False, now, None
            self._answer += 1

    def may_speak(self, now: float) -> bool:
        """Tell whether it is the next line's turn."""
        if self.over:
            return False
        if self.lines[self._next].barge_in and self._voice_ms is not None:
            return now - self._voice_ms >= BARGE_IN_MS
        return self.has_been_answered(now)

    def has_been_answered(self, now: float) -> bool:
        """Tell whether there was an answer and it is over, or none came for too long."""
        if self._voice_ms is None:
            return now - self._since_ms > PATIENCE_MS
        return now - self.playout.audible_until_ms > QUIET_MS

    def hear(self, now: float, length_ms: float, audible: bool) -> None:
        """Take a piece of the assistant's audio."""
        self.playout.push(now, length_ms, audible, self._answer)
        if audible and self._voice_ms is None:
            self._voice_ms = now

    def clear(self, now: float) -> None:
        """Drop what has not been played."""
        self.playout.clear(now)
        self._answer += 1

    def answers(self) -> list[Heard]:
        """Return what was heard since the first line, for its lateness."""
        return [message for message in self.playout.heard if message.answer > 0]
