"""What became of a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.core.errors import DocumentError


class Result(StrEnum):
    """What became of a document."""

    NEW = "new"
    CHANGED = "changed"
    TOUCHED = "touched"  # another date, the same bytes
    GONE = "gone"
    DUPLICATE = "duplicate"
    POOR = "poor"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a document.

    Attributes:
        id: The document's.
        result: What was done.
        passages: How many it has in the index now.
        quality: In [0, 1], where it was read.
        redacted: How often each kind of personal data was taken out.
        error: Why it failed.
        same_as: Whose duplicate it is.
    """

    id: str
    result: Result
    passages: int = 0
    quality: float | None = None
    redacted: Mapping[str, int] = field(default_factory=dict)
    error: DocumentError | None = None
    same_as: str = ""
