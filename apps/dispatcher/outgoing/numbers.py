"""Whom a call goes to: numbers and addresses as they are written, and their time zones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_WRITTEN = re.compile(r"[ ()/.\-\u00a0]+")
_SIP = re.compile(
    r"sips?:[A-Za-z0-9_.!~*'()&=+$%-]{1,64}@(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::[0-9]{1,5})?(?:;transport=(?:udp|tcp|tls))?"
)


def read_target(text: str) -> str | None:
    """Return a number in E.164 or a SIP URI as it is dialled; None when it is neither.

    Args:
        text: As somebody wrote it: ``+49 89 123-456`` and ``sip:desk@example.org`` are understood;
            a number without its country is not.
    """
    text = text.strip()
    if _SIP.fullmatch(text):
        return text
    number = _WRITTEN.sub("", text)
    return number if _E164.fullmatch(number) else None


def zones_of(target: str, default: str) -> tuple[str, ...]:
    """Return the time zones in which a callee may be; empty where the country is not known.

    Args:
        target: From `read_target`.
        default: The zone of SIP addresses, of which none tells its country.
    """
    if not target.startswith("+"):
        return (default,)
    digits = target[1:]
    return next((_ZONES[digits[:n]] for n in (3, 2, 1) if digits[:n] in _ZONES), ())


def is_zone(name: str) -> bool:
    """Tell whether a time zone of this name exists."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def begins_with(target: str, prefixes: Iterable[str]) -> bool:
    """Tell whether a target begins with one of the prefixes; with none given, any does."""
    known = tuple(prefixes)
    return not known or target.startswith(known)


# By country code. Of a country with several zones its outer ones: a call is made where it is a
# decent hour in all of them. A country that is missing has to be given its zone with the call.
_ZONES: dict[str, tuple[str, ...]] = {
    "1": ("America/New_York", "America/Los_Angeles"),
    "30": ("Europe/Athens",),
    "31": ("Europe/Amsterdam",),
    "32": ("Europe/Brussels",),
    "33": ("Europe/Paris",),
    "34": ("Europe/Madrid", "Atlantic/Canary"),
    "351": ("Europe/Lisbon", "Atlantic/Azores"),
    "352": ("Europe/Luxembourg",),
    "353": ("Europe/Dublin",),
    "354": ("Atlantic/Reykjavik",),
    "356": ("Europe/Malta",),
    "357": ("Asia/Nicosia",),
    "358": ("Europe/Helsinki",),
    "359": ("Europe/Sofia",),
    "36": ("Europe/Budapest",),
    "370": ("Europe/Vilnius",),
    "371": ("Europe/Riga",),
    "372": ("Europe/Tallinn",),
    "380": ("Europe/Kyiv",),
    "385": ("Europe/Zagreb",),
    "386": ("Europe/Ljubljana",),
    "39": ("Europe/Rome",),
    "40": ("Europe/Bucharest",),
    "41": ("Europe/Zurich",),
    "420": ("Europe/Prague",),
    "421": ("Europe/Bratislava",),
    "423": ("Europe/Vaduz",),
    "43": ("Europe/Vienna",),
    "44": ("Europe/London",),
    "45": ("Europe/Copenhagen",),
    "46": ("Europe/Stockholm",),
    "47": ("Europe/Oslo",),
    "48": ("Europe/Warsaw",),
    "49": ("Europe/Berlin",),
    "61": ("Australia/Sydney", "Australia/Perth"),
    "64": ("Pacific/Auckland",),
    "90": ("Europe/Istanbul",),
}
