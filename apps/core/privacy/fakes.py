"""A detector without a model: for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.core.privacy.names import names_in
from apps.core.redaction import Finding


class FakeDetector:
    """Finds the names that it was told, and fails where it is told to.

    Attributes:
        languages: In which language each text was looked at.
        fails_on: A word of the texts that it fails on; empty for none.
    """

    def __init__(self, *names: str, fails_on: str = "") -> None:
        self._names = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self.languages: list[str] = []
        self.fails_on = fails_on

    def find(self, text: str, language: str) -> Iterator[Finding]:
        """Yield the names."""
        self.languages.append(language)
        if self.fails_on and self.fails_on in text:
            raise ValueError(f"told to fail on {text}")
        for match in self._names.finditer(text):
            yield from names_in(text, *match.span())
