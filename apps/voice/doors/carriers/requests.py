"""What a call asks for, as the parameters that a carrier passes on from TOM's answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.errors import ProtocolError
from apps.core.person import telephone_number
from apps.voice.doors.base import CallRequest

_LANGUAGES = ("", "de", "en")
_FIELDS = ("profile", "language", "caller", "answers")
MAX_PARAMETER_CHARS = 1000
_INTERNATIONAL_DIGITS = 8
"""Carriers write a number of so many digits in full, whether they begin it with + or not."""
_WITHHELD = ("+266696687", "+7378742833", "+2562533", "+8566696", "+86282452253")
"""ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE on a keypad: Twilio writes them so."""


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


def caller_of(told: object) -> str:
    """Return who calls, as their carrier tells it: the same caller the same way by every carrier.

    Args:
        told: A number, with or without its ``+``, a SIP address, or a word for that it is withheld.

    Returns:
        Empty where it is withheld: two callers who hide are not the same one.
    """
    if not isinstance(told, str) or len(told) > 100:
        return ""
    if told.lower().startswith(("sip:", "sips:")):
        return told
    number = telephone_number(told)
    if len(number) >= _INTERNATIONAL_DIGITS and not number.startswith(("+", "0")):
        number = f"+{number}"
    return "" if number in _WITHHELD else number


def read_token(given: Mapping[Any, Any]) -> str:
    """Return a stream's ticket, or nothing."""
    token = given.get("token", "")
    return token if isinstance(token, str) and len(token) <= MAX_PARAMETER_CHARS else ""
