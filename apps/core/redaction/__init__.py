"""Takes personal data out of texts by its patterns, written and spoken. Pure.

Found are mail addresses, phone numbers, IBANs, payment cards, German plates, numbers of identity
papers, taxes, insurance and customers, and dates of birth. Names and street addresses have no
pattern: a ``Detector`` may add them. An office's own numbers stay (``PublicFacts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from apps.core.redaction.base import PLACEHOLDER, Detector, Finding, Kind, Redacted
from apps.core.redaction.matching import apart, apply
from apps.core.redaction.patterns import PATTERNS
from apps.core.redaction.public import NOTHING_PUBLIC, PublicFacts
from apps.core.redaction.spoken import SPOKEN

__all__ = [
    "NOTHING_PUBLIC",
    "PLACEHOLDER",
    "Detector",
    "Finding",
    "Kind",
    "PublicFacts",
    "Redacted",
    "counts",
    "find",
    "redact",
]

VERSION = 1
"""Raised when other things are found than before, so that documents are read again."""


def find(text: str, public: PublicFacts = NOTHING_PUBLIC) -> tuple[Finding, ...]:
    """Return the personal data of a text, in its order, without overlaps.

    Args:
        text: Written text, or what a recogniser heard.
        public: What may stay.
    """
    return apart(one for one in apply((*PATTERNS, *SPOKEN), text) if not public.covers(one))


def redact(
    text: str, public: PublicFacts = NOTHING_PUBLIC, more: Iterable[Finding] = ()
) -> Redacted:
    """Put ``[phone]`` and the like in the place of a text's personal data.

    Args:
        text: Written text, or what a recogniser heard.
        public: What may stay.
        more: What a ``Detector`` found besides.
    """
    findings = find(text, public)
    if more:
        findings = apart([*findings, *(one for one in more if not public.covers(one))])
    pieces, at = [], 0
    for finding in findings:
        pieces += [text[at : finding.start], f"[{finding.kind}]"]
        at = finding.end
    return Redacted("".join([*pieces, text[at:]]), findings)


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how often each kind was found: what may be told of them."""
    return dict(Counter(finding.kind.value for finding in findings))
