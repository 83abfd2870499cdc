"""Both voices of one call, as they sound: for the ear, the caller, the log and the recording."""

from __future__ import annotations

from apps.dispatcher.call_ear import CallEar
from apps.dispatcher.call_log import CallLog
from apps.voice.doors.base import Door
from apps.voice.mouth import Mouth
from apps.voice.mouth_log import MouthLog
from apps.voice.recording import CallRecorder


class CallSound:
    """The sound of one call.

    Args:
        door: Where the caller is.
        ear: Hears the caller, and what may echo.
        log: The call's event log.
        recorder: Records both voices, the caller's once the greeting has told them; or None.

    Attributes:
        mouth: Plays what the assistant says.
        told: The caller knows of the recording.
    """

    def __init__(
        self, door: Door, ear: CallEar, log: CallLog, recorder: CallRecorder | None
    ) -> None:
        self._ear, self._log, self._recorder = ear, log, recorder
        self._mouth_log = MouthLog(log.note)
        self.mouth = Mouth(door.play, self._played, lambda: door.unplayed_ms, drop=door.flush)
        self.told = False

    @property
    def recorded(self) -> bool:
        """Whether the call is recorded."""
        return self._recorder is not None

    def caller(self, pcm: bytes) -> None:
        """Take what came from the caller."""
        if self._recorder is not None and self.told:
            self._recorder.caller(pcm)
        self._ear.hear(pcm)

    def _played(self, pcm: bytes, at_ms: float) -> None:
        """Note a frame of the assistant's that was sent, to be heard at `at_ms` of loop time."""
        self._ear.played(pcm, at_ms)
        self._mouth_log.frame(pcm, self._log.call_ms(at_ms))
        if self._recorder is not None:
            self._recorder.assistant(pcm, at_ms)

    def close(self) -> None:
        """Give up whatever is being recognised, and log what was played last."""
        self._ear.close()
        self._mouth_log.flush()
