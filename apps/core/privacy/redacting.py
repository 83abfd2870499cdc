"""Redaction with a detector beside the patterns: what is found goes, or nobody gets the text."""

from __future__ import annotations

from apps.core import redaction
from apps.core.errors import RedactionFailed
from apps.core.redaction import NOTHING_PUBLIC, Detector, PublicFacts, Redacted


def redact(
    text: str,
    detector: Detector | None,
    language: str = "",
    public: PublicFacts = NOTHING_PUBLIC,
) -> Redacted:
    """Put placeholders in the place of a text's personal data.

    Args:
        text: Written text, or what a recogniser heard.
        detector: Finds what has no pattern; None for patterns alone.
        language: ``de`` or ``en``; empty where it is not known.
        public: What may stay.

    Raises:
        RedactionFailed: The detector failed, so that nobody knows what is in the text.
    """
    if detector is None:
        return redaction.redact(text, public)
    try:
        found = tuple(detector.find(text, language))
    except (MemoryError, RecursionError, RedactionFailed):
        raise  # the first two are whose process it is to judge
    except Exception as error:  # another library's, whose words may be the text's
        raise RedactionFailed(
            f"The detector of personal data failed on a text ({type(error).__name__})."
        ) from None
    return redaction.redact(text, public, found)
