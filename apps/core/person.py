"""Whether a caller can be put through to a person, which takes more than one fact."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(?:tel:)?(\+?[0-9(][0-9 ()./-]{1,30})", re.IGNORECASE)
_MIN_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Who could take a call over.

    Attributes:
        there: Somebody is there now.
        reachable: The caller's door can hand a call over.
        number: Where the caller can call that person; empty where it is no telephone number.
    """

    there: bool = True
    reachable: bool = True
    number: str = ""

    @property
    def can_take_over(self) -> bool:
        """Whether the caller can be put through now."""
        return self.there and self.reachable


ANYBODY = Person()
"""Somebody who is there and can be reached."""


def telephone_number(target: str) -> str:
    """Return the number of a hand-over target, digits with a leading + where it has one.

    Returns:
        Empty when the target is no telephone number.
    """
    match = _NUMBER.fullmatch(target.strip())
    digits = re.sub(r"[^0-9+]", "", match[1]) if match else ""
    return digits if len(digits.lstrip("+")) >= _MIN_DIGITS else ""
