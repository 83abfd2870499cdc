"""The one tree of errors: each has a code, a sentence for a person, and a hint at what to do.

Nothing here carries personal data: a message may name a setting, a file or an engine, never what
a caller said or a number they called from.
"""

from __future__ import annotations

from typing import Literal

DialResult = Literal["busy", "no_answer", "declined", "unreachable", "failed"]


class TomError(Exception):
    """Base of every error that TOM raises on purpose.

    Args:
        message: One sentence for a person.
        hint: What that person can do about it; may be empty.
        code: Overrides the class's code where one class serves several cases.
    """

    code = "internal"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, str]:
        """Return the error as it goes over the wire."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class ConfigError(TomError):
    """A setting, a policy or a profile that cannot be used."""

    code = "config"


class ProtocolError(TomError):
    """A message from a peer that breaks the door's protocol."""

    code = "protocol"


class IllegalEvent(TomError):
    """An event that the call's state does not allow; nothing has changed."""

    code = "illegal_event"


class UnknownCall(TomError):
    """A call id that names no call here."""

    code = "unknown_call"


class AtCapacity(TomError):
    """No room for another call; not a failure.

    Args:
        message: One sentence for a person.
        hint: What that person can do about it.
        code: Instead of ``busy``.
        retry_after_s: When it is worth trying again.
    """

    code = "busy"

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, retry_after_s: int = 5
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after_s = retry_after_s


class TransferFailed(TomError):
    """A caller who was to be handed over to a person and is still here."""

    code = "transfer"


class DialFailed(TomError):
    """A number that was dialled and did not answer.

    Args:
        message: One sentence for a person, without the number.
        code: ``busy``; ``no_answer`` when it rang in vain; ``declined`` by the callee;
            ``unreachable`` for a number that cannot be, or is switched off; ``failed`` when the
            way there was broken.
    """

    code: DialResult = "failed"

    def __init__(self, message: str, *, code: DialResult, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class EngineError(TomError):
    """A speech or language engine that failed."""

    code = "engine"


class EngineUnavailable(EngineError):
    """An engine that cannot serve at all: no weights, no such language, not installed."""

    code = "engine_unavailable"


class EngineDied(EngineError):
    """An engine's process ended while it was at work; it is being restarted."""

    code = "engine_died"


class EngineOverloaded(EngineError):
    """An engine that does not keep up with what it is sent."""

    code = "engine_overloaded"


class AdapterError(TomError):
    """An adapter, or its entry in the registry, that cannot be used."""

    code = "adapter"


class StoreError(TomError):
    """The database cannot be used."""

    code = "store"


class DocumentError(TomError):
    """A document that cannot be read, or is not what it says; docs/ingestion.md lists its codes."""

    code = "document"


class RedactionFailed(TomError):
    """A text that could not be looked at for personal data; it goes nowhere."""

    code = "redaction"


class DetectorUnavailable(RedactionFailed):
    """There is no detector of personal data now; the same text may be looked at later."""

    code = "detector_unavailable"


class AudioError(TomError):
    """Audio that cannot be read or does not fit what was declared."""

    code = "audio"


class SealError(TomError):
    """A sealed file that does not open: another key's, damaged, or changed."""

    code = "sealed"


class InvalidFeedback(TomError, ValueError):
    """Feedback, a signal or a reward that cannot be."""

    code = "feedback"


class TrainingFailed(TomError):
    """A training that ended without an adapter."""

    code = "training"
