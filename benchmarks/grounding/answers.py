"""The two sets: answers with an invented figure, and honest ones, each with its passage."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from apps.core.passages import Passage
from apps.core.policy import InquiryMode, Length, PolicySlots, Tone
from apps.core.resources import resource
from apps.knowledge.entries import Entry, load_entries
from apps.llm.answer import plan_answer
from apps.llm.numerals import cardinal
from apps.llm.prompt import Prompt
from benchmarks.grounding.values import CLASSES, Fact, draw, forms

HALVES = ("tuning", "test")
FRESH = "fresh"
"""Drawn anew from the templates and entries of the test half, after that had been looked at."""
PER_HALF = 250
_EMBEDDED = 100
_MOVED = {"money": "time", "time": "duration", "duration": "percent", "percent": "money"}
_QUESTIONS = {"de": "Können Sie mir dazu etwas sagen?", "en": "Can you tell me about it?"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a set.

    Attributes:
        label: Its class, and the way in which it was invented.
        prompt: What it answers, with its passage.
        sentences: What is said.
        invented: Which of the sentences holds the invented figure; None in an honest answer.
    """

    label: str
    prompt: Prompt
    sentences: tuple[str, ...]
    invented: int | None = None


@cache
def _templates() -> dict[str, Any]:
    path = Path(__file__).with_name("templates.yaml")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@cache
def _entries(half: str, language: str) -> tuple[Entry, ...]:
    def of(entry: Entry) -> str:
        return HALVES[sha256(entry.id.encode()).digest()[0] % 2]

    loaded = load_entries(resource("knowledge"))
    return tuple(e for e in loaded if e.language == language and of(e) == half)


def _prompt(language: str, question: str, text: str, slots: PolicySlots | None = None) -> Prompt:
    passage = Passage("entry", question, text, 0.9, language, "entry")
    office = {"de": "der Kfz-Stelle", "en": "the vehicle office"}[language]
    return Prompt(slots or PolicySlots(), language, office, question, (passage,))


class Half:
    """One half of both sets.

    Args:
        name: One of `HALVES`, or `FRESH`.
    """

    def __init__(self, name: str) -> None:
        self.name = "test" if name == FRESH else name
        self._rng = random.Random(f"grounding {name}{' 2' if name == FRESH else ''}")

    def invented(self) -> Iterator[Answer]:
        """Yield the answers with an invented figure."""
        ways = (self._changed, self._added, self._moved, self._digit)
        for number in range(PER_HALF):
            language = ("de", "en")[number % 2]
            kind = CLASSES[number // 2 % len(CLASSES)]
            yield ways[number // 2 // len(CLASSES) % len(ways)](kind, language)

    def honest(self) -> Iterator[Answer]:
        """Yield the honest answers."""
        for number in range(PER_HALF):
            language = ("de", "en")[number % 2]
            if number < _EMBEDDED:
                yield self._embedded(language)
            else:
                yield self._reworded(CLASSES[number // 2 % len(CLASSES)], language)

    # --- passages and sentences

    def _passage(
        self, kind: str, language: str, without: str = ""
    ) -> tuple[Fact, Prompt, set[str]]:
        """Return a fact, a prompt with it among others, and the classes in it."""
        others = [other for other in CLASSES if other not in (kind, without)]
        # What is told in the class of another one would be known after all.
        others = [o for o in others if {o, without} != {"email", "web"}]
        kinds = [kind, *self._rng.sample(others, 3)]
        told = [draw(each, language, self._rng) for each in kinds]
        lines = [self._sentence(fact, language, "passage") for fact in told]
        self._rng.shuffle(lines)
        return told[0], _prompt(language, _QUESTIONS[language], " ".join(lines)), set(kinds)

    def _sentence(self, fact: Fact, language: str, of: str) -> str:
        template = self._rng.choice(_templates()[fact.kind][language][of])
        said = str(template).format(x=self._rng.choice(forms(fact, language)))
        # A short form ends in a full stop of its own.
        return re.sub(r"\.\.$", ".", said)

    # --- the ways to invent

    def _changed(self, kind: str, language: str) -> Answer:
        fact, prompt, _ = self._passage(kind, language)
        other = fact
        while _same(other, fact):
            other = draw(kind, language, self._rng)
        return Answer(f"{kind} changed", prompt, (self._sentence(other, language, self.name),), 0)

    def _added(self, kind: str, language: str) -> Answer:
        honest_kind = self._rng.choice([k for k in CLASSES if {k, kind} != {"email", "web"}])
        while honest_kind == kind:
            honest_kind = self._rng.choice(("money", "plate", "section"))
        fact, prompt, _ = self._passage(honest_kind, language, without=kind)
        added = self._sentence(draw(kind, language, self._rng), language, self.name)
        return Answer(
            f"{kind} added", prompt, (self._sentence(fact, language, self.name), added), 1
        )

    def _moved(self, kind: str, language: str) -> Answer:
        if kind not in _MOVED:
            return self._changed(kind, language)
        fact, prompt, kinds = self._passage(kind, language)
        while _MOVED[kind] in kinds:
            fact, prompt, kinds = self._passage(kind, language)
        number = int(fact.value[0])
        values: dict[str, tuple[int | str, ...]] = {
            "time": (number % 24, 0), "duration": (number, "minute"), "percent": (number,),
            "money": (number, 0),
        }  # fmt: skip
        moved = Fact(_MOVED[kind], values[_MOVED[kind]])
        return Answer(f"{kind} moved", prompt, (self._sentence(moved, language, self.name),), 0)

    def _digit(self, _: str, language: str) -> Answer:
        while True:
            answer = self._embedded(language)
            text = answer.prompt.passages[0].text + answer.prompt.question
            places = [
                (at, match)
                for at, sentence in enumerate(answer.sentences)
                for match in re.finditer(r"\d+", sentence)
            ]
            if not places:
                continue
            at, match = self._rng.choice(places)
            number = self._rng.randint(2, 99)
            if re.search(rf"\b{number}\b", text) or cardinal(number, language) in text.lower():
                continue
            sentence = answer.sentences[at]
            wrong = f"{sentence[: match.start()]}{number}{sentence[match.end() :]}"
            told = (*answer.sentences[:at], wrong, *answer.sentences[at + 1 :])
            return replace(answer, label="number digit", sentences=told, invented=at)

    # --- honest answers

    def _embedded(self, language: str) -> Answer:
        entry = self._rng.choice(_entries(self.name, language))
        slots = PolicySlots(
            tone=self._rng.choice(list(Tone)),
            length=self._rng.choice(list(Length)),
            inquiry_mode=self._rng.choice(list(InquiryMode)),
        )
        prompt = _prompt(language, entry.question, entry.answer, slots)
        return Answer("embedded", prompt, plan_answer(prompt).sentences)

    def _reworded(self, kind: str, language: str) -> Answer:
        fact, prompt, _ = self._passage(kind, language)
        return Answer(f"{kind} reworded", prompt, (self._sentence(fact, language, self.name),))


def _same(one: Fact, other: Fact) -> bool:
    """Tell whether two facts mean the same, or one of them leaves out what would tell."""
    if one.kind == "date":
        return one.value[1:] == other.value[1:]
    if one.kind == "section":
        return one.value[0] == other.value[0]
    return one.value == other.value
