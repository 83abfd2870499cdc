"""What a call asks for, as the parameters that a carrier passes on from TOM's answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallRequest

_LANGUAGES = ("", "de", "en")
_FIELDS = ("profile", "language", "caller", "answers")
MAX_PARAMETER_CHARS = 1000


def read_request(given: object) -> CallRequest:
    """Read a stream's own parameters; what TOM has no use for is ignored.

    Raises:
        ProtocolError: One of them is not right; code ``bad_message``.
    """
    fields = given if isinstance(given, Mapping) else {}
    match {name: fields.get(name, "") for name in _FIELDS}:
        case {
            "profile": str(profile),
            "language": str(language),
            "caller": str(caller),
            "answers": str(answers),
        } if (
            len(profile) <= 40
            and language in _LANGUAGES
            and len(caller) <= 100
            and len(answers) <= 100
        ):
            return CallRequest(profile, language, caller, answers=answers)
    raise ProtocolError(
        "A stream's parameters are not right.",
        hint="profile, language (de or en) and caller are the parameters that TOM reads.",
        code="bad_message",
    )


def read_token(given: Mapping[Any, Any]) -> str:
    """Return a stream's ticket, or nothing."""
    token = given.get("token", "")
    return token if isinstance(token, str) and len(token) <= MAX_PARAMETER_CHARS else ""
