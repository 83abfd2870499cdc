"""How loud the assistant was and when, in few records of the call's log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.core.audio import FRAME_MS, levels_dbfs

BATCH_FRAMES = 50


class MouthLog:
    """Writes the levels of what one mouth plays.

    Args:
        note: Takes a record's kind and fields.
    """

    def __init__(self, note: Callable[..., Any]) -> None:
        self._note = note
        self._frames: list[bytes] = []
        self._from_ms = 0.0

    def frame(self, pcm: bytes, at_ms: float) -> None:
        """Keep one 20 ms frame, which is heard at `at_ms` of the call."""
        late_ms = at_ms - self._from_ms - len(self._frames) * FRAME_MS
        if self._frames and (len(self._frames) >= BATCH_FRAMES or abs(late_ms) > FRAME_MS):
            self.flush()
        if not self._frames:
            self._from_ms = at_ms
        self._frames.append(pcm)

    def flush(self) -> None:
        """Write the frames that are kept."""
        if self._frames:
            frames, self._frames = self._frames, []
            self._note("mouth.level", from_ms=round(self._from_ms, 1), dbfs=levels_dbfs(frames))
