"""What redaction finds, and what stands in its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """Kinds of personal data; the value is what its placeholder says."""

    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    CARD = "card"
    PLATE = "plate"
    ID = "id"
    BIRTH_DATE = "birth date"
    NAME = "name"


PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(Kind)})\]")
"""Finds placeholders; a sentence that holds one is not fit to be spoken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data in a text.

    Attributes:
        kind: What it is.
        start: Where it begins, in characters.
        end: Behind its last character.
        value: What it is, however it was written or spoken: digits of a phone number with ``0``
            for Germany's ``+49``, a mail address in lower case, the words of a name in lower case
            without "Frau" and the like. Never logged.
    """

    kind: Kind
    start: int
    end: int
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without the personal data that was found, and what that was."""

    text: str
    findings: tuple[Finding, ...]


class Detector(Protocol):
    """Finds personal data that patterns do not, such as names: another library's door."""

    def find(self, text: str, language: str) -> Iterable[Finding]:
        """Return what is personal in a text; findings may overlap others'.

        Args:
            text: Of any length.
            language: ``de`` or ``en``; empty where it is not known.

        Raises:
            Exception: Of any kind: nobody knows what is in the text, and it goes nowhere.
        """
        ...
