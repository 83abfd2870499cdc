"""How far a listener is behind what was sent, by marks that come back once it has been played."""

from __future__ import annotations

from apps.core.audio import FRAME_MS

MARK_FRAMES = 25
"""A mark follows so many frames: every 500 ms of speech."""
_MAX_MARKS = 100


class PlayoutMarks:
    """Counts the frames of one call that were sent, and learns from its marks how late they play.

    Pure: the time is passed in. A peer that returns no marks is taken to play at once.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._marks: dict[str, float] = {}
        self._played_until_ms = self._delay_ms = 0.0

    def sent(self, now_ms: float) -> str | None:
        """Count one 20 ms frame; returns the name of a mark to send after it, now and then."""
        self._played_until_ms = max(self._played_until_ms, now_ms) + FRAME_MS
        self._sent += 1
        if self._sent % MARK_FRAMES or len(self._marks) >= _MAX_MARKS:
            return None
        name = str(self._sent)
        self._marks[name] = self._played_until_ms
        return name

    def confirm(self, name: str, now_ms: float) -> None:
        """Learn how much later than at once the audio before a mark was played."""
        if (due_ms := self._marks.pop(name, None)) is not None:
            self._delay_ms = max(0.0, now_ms - due_ms)

    def clear(self) -> None:
        """Forget what the peer was told to drop; its marks may come back as if it had played."""
        self._marks.clear()
        self._played_until_ms = 0.0

    def unplayed_ms(self, now_ms: float) -> float:
        """Return how much of what was sent has not been heard, by the latest mark's delay."""
        return max(0.0, self._played_until_ms + self._delay_ms - now_ms)
