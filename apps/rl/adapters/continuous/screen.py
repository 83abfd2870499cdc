"""What stands before the pool: consent, redaction, the negative list, a sample for people. Pure.

Whatever enters the pool may be repeated by an adapter to every caller. So in doubt a turn stays
out, or waits until a person has looked at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from apps.core.errors import DetectorUnavailable, RedactionFailed
from apps.core.redaction import PLACEHOLDER
from apps.core.words import words
from apps.rl.adapters.examples import Message, TrainingExample

_ORDERS = re.compile(
    r"\b(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|vergiss|vergessen|missacht\w*)\b.{0,40}"
    r"(?:instruction|\brules?\b|prompt|anweisung|\bregeln?\b|vorgabe)"
    r"|(?:system|developer) ?prompt|<\|[a-z_]+\|>|\bjailbreak\b|\byou are now\b|\bdu bist jetzt\b",
    re.IGNORECASE | re.DOTALL,
)
"""Words that try to be instructions, which are never learned from."""
MAX_CHARS = 8000
_HARMLESS = "ok"


class State(StrEnum):
    """Where an example of the pool stands."""

    READY = "ready"
    """It may be trained on."""
    REVIEW = "review"
    """A person is to look at it first."""
    REJECTED = "rejected"
    """It is never trained on."""
    USED = "used"
    """A batch has it."""


@dataclass(frozen=True, slots=True)
class ScreenRules:
    """What may enter.

    Attributes:
        review_share: Share of sound examples that people look at, chosen by their hash.
        negative: Words or word groups; an example that has one stays out.
        min_words: A shorter answer teaches nothing.
    """

    review_share: float = 0.05
    negative: tuple[str, ...] = ()
    min_words: int = 3


@dataclass(frozen=True, slots=True)
class Screened:
    """What became of an example.

    Attributes:
        example: Without personal data; None where it stays out.
        state: ``READY``, ``REVIEW`` or ``REJECTED``.
        why: In a sentence, without a word of anybody.
    """

    example: TrainingExample | None
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """Decides what enters the pool.

    Attributes:
        rules: What may enter.
        redact: Takes a text and its language; returns it without its personal data, and whether
            it had any.
    """

    rules: ScreenRules = field(default_factory=ScreenRules)
    redact: Callable[[str, str], tuple[str, bool]] = lambda text, language: (text, False)

    def __call__(self, example: TrainingExample) -> Screened:
        """Screen an example.

        Raises:
            DetectorUnavailable: Nobody can look for personal data now; it may be tried again.
        """
        texts = [message.content for message in example.messages] + [example.completion]
        if sum(map(len, texts)) > MAX_CHARS:
            return Screened(None, State.REJECTED, "It is too long.")
        if len(words(example.completion)) < self.rules.min_words:
            return Screened(None, State.REJECTED, "Its answer is too short.")
        said = [m.content for m in example.messages if m.role == "user"]
        if any(_ORDERS.search(text) for text in said):
            return Screened(
                None, State.REJECTED, "The caller's words, or a passage, try to give orders."
            )
        if _has_any(texts, self.rules.negative):
            return Screened(None, State.REJECTED, "The negative list has words of it.")
        try:
            clean, found = self._looked_at(example)
        except DetectorUnavailable:
            raise
        except RedactionFailed:
            return Screened(None, State.REJECTED, "It could not be looked at for personal data.")
        if PLACEHOLDER.search(clean.completion):
            # Learned, it would be said to every caller: "call us on [phone]".
            return Screened(None, State.REJECTED, "Its answer has personal data in it.")
        if found:
            return Screened(clean, State.REVIEW, "Personal data was taken out of it.")
        if _share(clean) < self.rules.review_share:
            return Screened(clean, State.REVIEW, "It belongs to the sample that people look at.")
        return Screened(clean, State.READY)

    def _looked_at(self, example: TrainingExample) -> tuple[TrainingExample, bool]:
        """Redact, telling a detector that is not there from a text that ends it each time."""
        for _ in range(2):
            try:
                return self._redacted(example)
            except DetectorUnavailable:
                continue
        self.redact(_HARMLESS, example.language)  # raises where there is none for any text
        raise RedactionFailed("The detector ends on it.")

    def _redacted(self, example: TrainingExample) -> tuple[TrainingExample, bool]:
        completion, found = self.redact(example.completion, example.language)
        messages = []
        for message in example.messages:
            # The instructions and the passages are the house's own words; the caller's are not.
            content, had = (
                (message.content, False)
                if message.role == "system"
                else self.redact(message.content, example.language)
            )
            messages.append(Message(role=message.role, content=content))
            found = found or had
        changed = {"messages": tuple(messages), "completion": completion}
        return example.model_copy(update=changed), found


def _has_any(texts: Sequence[str], negative: Sequence[str]) -> bool:
    said = [f" {' '.join(words(text))} " for text in texts]
    groups = [f" {' '.join(words(group))} " for group in negative if words(group)]
    return any(group in text for group in groups for text in said)


def _share(example: TrainingExample) -> float:
    """Return a number in [0, 1) that is the same for the same example."""
    digest = sha256(example.model_dump_json(exclude={"calls"}).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
