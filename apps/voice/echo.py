"""Which of the caller's sounds may be the assistant's own voice, come back from their loudspeaker.

A voice activity detector takes even a faint echo for a voice: the assistant would interrupt itself
at every word. An echo is quieter than what was played by at least the return loss, which clients
that cancel echoes keep above 30 dB; who speaks into their microphone is louder than that.
"""

from __future__ import annotations

from collections import deque

from apps.core.audio import FRAME_MS, level_dbfs, levels_dbfs

RETURN_LOSS_DB = 26.0
"""What is quieter than what was played by more than this may be its echo."""
REACH_MS = 400.0
"""An echo comes back within this time: through the network twice, and across a room."""


class EchoGate:
    """Knows how loud the assistant's echo can be at a moment.

    Args:
        return_loss_db: See `RETURN_LOSS_DB`.
        reach_ms: See `REACH_MS`.
    """

    def __init__(self, return_loss_db: float = RETURN_LOSS_DB, reach_ms: float = REACH_MS) -> None:
        self._return_loss_db, self._reach_ms = return_loss_db, reach_ms
        self._played: deque[tuple[float, bytes]] = deque(maxlen=2 * round(reach_ms / FRAME_MS))

    def played(self, frame: bytes, at_ms: float) -> None:
        """Note a frame that is heard from `at_ms` on."""
        self._played.append((at_ms, frame))

    def covers(self, pcm: bytes, at_ms: float) -> bool:
        """Tell whether sound of the caller that came at `at_ms` may be nothing but echo."""
        while self._played and self._played[0][0] < at_ms - self._reach_ms:
            self._played.popleft()
        # Levels are taken only now: most frames are played while the caller is silent.
        heard = [frame for begun, frame in self._played if begun <= at_ms]
        return bool(heard) and level_dbfs(pcm) < max(levels_dbfs(heard)) - self._return_loss_db
