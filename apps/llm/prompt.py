"""Assembles what a generator needs to answer one question: the policy, passages and history.

What a caller says is never an instruction: it reaches a language model as delimited data, in which
no character can be part of a delimiter, of a passage's name, or of a model's own control words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from apps.core.passages import COVERED_SCORE, Passage
from apps.core.person import ANYBODY, Person
from apps.core.policy import PolicySlots
from apps.llm.style import Line, wording
from apps.llm.usage import Account

_HISTORY_LENGTH = 4
_INERT = {"<": "\u2039", ">": "\u203a", "[": "(", "]": ")"}
"""What stands for the characters that delimit something: quotation marks, and round brackets."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question of the dialogue and what was answered.

    Attributes:
        question: The caller's question, rewritten in full.
        answer: What the caller heard of the answer.
        entry_id: The entry it was answered from, or None.
        entry_question: That entry's canonical question; empty when there is none.
        offer: The question that the assistant offered to answer next; empty when it did not.
    """

    question: str
    answer: str
    entry_id: str | None = None
    entry_question: str = ""
    offer: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything that goes into one answer.

    Attributes:
        slots: The policy.
        language: ``de`` or ``en``.
        office: The name of the profile's office.
        question: The question in full, a follow-up already rewritten.
        passages: What retrieval found, best first.
        history: What was said before, oldest first.
        covered_score: The best passage's score from which on the question counts as covered.
        person: Who could take the call over now.
        adapter: The adapter's served name; empty asks for the base model.
        account: Takes what the answer costs; None where nobody counts.
    """

    slots: PolicySlots
    language: str
    office: str
    question: str
    passages: tuple[Passage, ...]
    history: tuple[Exchange, ...] = ()
    covered_score: float = COVERED_SCORE
    person: Person = ANYBODY
    adapter: str = ""
    account: Account | None = field(default=None, compare=False, repr=False)

    @property
    def grounding(self) -> Passage | None:
        """The passage that covers the question, or None when nothing does."""
        if self.passages and self.passages[0].score >= self.covered_score:
            return self.passages[0]
        return None

    @property
    def facts(self) -> tuple[Passage, ...]:
        """The passages that the answer may rest on: those that cover the question, best first."""
        return tuple(p for p in self.passages if p.score >= self.covered_score)

    def dont_know(self) -> str:
        """Return what a question gets that nothing covers: it offers a person where one is."""
        return self._refusal("dont_know")

    def no_detail(self) -> str:
        """Return what stands in the place of a figure that no source has; offers one, too."""
        return self._refusal("no_detail")

    def _refusal(self, name: str) -> str:
        """Return a line by its name and by whether a person can take the call over."""
        if self.person.can_take_over:
            line = Line(name)
        elif not self.person.there:
            line = Line(f"{name}_alone")
        else:
            line = Line(f"{name}_call" if self.person.number else f"{name}_not_from_here")
        return wording(self.language).line(line, self.slots, number=self.person.number)

    def messages(self) -> list[dict[str, str]]:
        """Return the prompt as messages for an OpenAI-compatible chat."""
        messages = [{"role": "system", "content": self.instructions()}]
        for exchange in self.history:
            messages.append({"role": "user", "content": _delimited("caller", exchange.question)})
            messages.append({"role": "assistant", "content": exchange.answer})
        passages = "\n".join(
            f"[{number}] {_as_data(_with_title(passage))}"
            for number, passage in enumerate(self.facts, start=1)
        )
        content = f"<passages>\n{passages}\n</passages>\n{_delimited('caller', self.question)}"
        messages.append({"role": "user", "content": content})
        return messages

    def instructions(self) -> str:
        """Return what the model is told to do: the role, the rules, and the policy's manner."""
        words = wording(self.language)
        return "\n".join(
            (
                words.instruction("role").format(office=self.office),
                words.instruction("grounding").format(dont_know=self.dont_know()),
                words.instruction("data"),
                words.instruction("tone", self.slots.tone.value),
                words.instruction("length", self.slots.length.value),
                words.instruction("inquiry_mode", self.slots.inquiry_mode.value),
            )
        )


def assemble(
    slots: PolicySlots,
    passages: Sequence[Passage],
    history: Sequence[Exchange],
    question: str,
    *,
    language: str,
    office: str,
    covered_score: float = COVERED_SCORE,
    person: Person = ANYBODY,
    adapter: str = "",
) -> Prompt:
    """Return the prompt for one question; of the history only the last few exchanges count."""
    return Prompt(
        slots=slots,
        language=language,
        office=office,
        question=question.strip(),
        passages=tuple(passages),
        history=tuple(history[-_HISTORY_LENGTH:]),
        covered_score=covered_score,
        person=person,
        adapter=adapter,
    )


def _with_title(passage: Passage) -> str:
    """Return a passage with what stands above it; of a document, its title first."""
    if not passage.of_document:
        return f"{passage.question} {passage.text}"
    above = dict.fromkeys((passage.cited.title, passage.question))
    return f"{', '.join(above)}: {passage.text}"


def _as_data(text: str) -> str:
    """Return text on one line, without any character that delimits something."""
    return " ".join("".join(map(_inert, text)).split())


@lru_cache(maxsize=4096)
def _inert(character: str) -> str:
    """Return a character, or what stands for it if it, or what it looks like, has a meaning."""
    kind = unicodedata.category(character)
    if kind == "Cf":  # invisible: it would hide the characters on both sides from each other
        return ""
    if kind.startswith("C"):
        return " "
    plain = unicodedata.normalize("NFKC", character)
    if _INERT.keys().isdisjoint(plain):
        return character
    return "".join(_INERT.get(part, part) for part in plain)


def _delimited(tag: str, text: str) -> str:
    return f"<{tag}>{_as_data(text)}</{tag}>"
