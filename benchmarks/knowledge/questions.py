"""The frozen questions: to tune on, looked at since, and two parts for the end of tuning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

Half = Literal["tuning", "held-out", "fresh", "blind"]
HALVES: tuple[Half, ...] = ("tuning", "held-out")
LATER: tuple[Half, ...] = ("fresh", "blind")
PARTS: tuple[Half, ...] = (*HALVES, *LATER)
LANGUAGES = ("en", "de")


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks.

    Attributes:
        id: Its name, the same for a question and its counterpart in the other language.
        text: What is said: lower case, no punctuation.
        entry: The entry that answers it; None when the knowledge base does not cover it.
    """

    id: str
    text: str
    entry: str | None


def half_of(question_id: str) -> Half:
    """Return the half that a question of the first set belongs to, by its id alone.

    The id is the same in both languages, so a held-out question's translation is held out too.
    """
    return HALVES[sha256(question_id.encode()).digest()[0] % 2]


def load(language: str, half: Half | None = None) -> tuple[Question, ...]:
    """Return the questions of a language, of one part or of all."""
    parts = PARTS if half is None else (half,)
    first = _read(f"{language}.jsonl")
    by_part = {part: tuple(q for q in first if half_of(q.id) == part) for part in HALVES}
    by_part |= {part: _read(f"{part}.{language}.jsonl") for part in LATER}
    return tuple(question for part in parts for question in by_part[part])


def _read(name: str) -> tuple[Question, ...]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    rows = (json.loads(line) for line in text.splitlines())
    return tuple(Question(row["id"], row["text"], row["entry"]) for row in rows)
