"""The frozen questions, by half: one to tune on, one to look at when all tuning is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

Half = Literal["tuning", "held-out"]
HALVES: tuple[Half, ...] = ("tuning", "held-out")
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
    """Return the half that a question belongs to, by its id alone.

    The id is the same in both languages, so a held-out question's translation is held out too.
    """
    return HALVES[sha256(question_id.encode()).digest()[0] % 2]


def load(language: str, half: Half | None = None) -> tuple[Question, ...]:
    """Return the questions of a language, of one half or of both."""
    path = Path(__file__).with_name(f"{language}.jsonl")
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    questions = (Question(row["id"], row["text"], row["entry"]) for row in rows)
    return tuple(q for q in questions if half is None or half_of(q.id) == half)
