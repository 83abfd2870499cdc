"""Golden prompts: questions whose answer is known, and what an adapter made of them; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.rl.yaml_file import mistake, read_yaml

Language = Literal["de", "en"]


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """One question.

    Attributes:
        question: As a caller asks it.
        language: ``de`` or ``en``.
        entry: The entry that it must be answered from; empty where it must be refused.
    """

    question: str
    language: Language
    entry: str = ""


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What became of one question.

    Attributes:
        asked: The question.
        passed: The answer did what must be done, and nothing that must not.
        failed: The names of the checks that it failed.
    """

    asked: GoldenQuestion
    passed: bool
    failed: tuple[str, ...] = ()


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, max_length=400)
    language: Language
    entry: str = ""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    uncovered: dict[Language, tuple[str, ...]] = {}
    asked: tuple[_Asked, ...] = ()


def read_golden(path: Path) -> list[GoldenQuestion]:
    """Return the questions of a file.

    Raises:
        ConfigError: It cannot be read or used; the line is named.
    """
    data, lines = read_yaml(path, what="file of golden prompts")
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise mistake(path, lines, first["loc"], first["msg"]) from None
    refused = [
        GoldenQuestion(question, language)
        for language, questions in file.uncovered.items()
        for question in questions
    ]
    return refused + [GoldenQuestion(a.question, a.language, a.entry) for a in file.asked]


def chosen(questions: Mapping[tuple[Language, str], str], most: int) -> list[GoldenQuestion]:
    """Return so many of the knowledge base's own questions, the same ones each time.

    Args:
        questions: Each entry's question, by language and the entry's id.
        most: How many; they are spread evenly, by the hash of their ids.
    """

    def spread(key: tuple[Language, str]) -> str:
        return hashlib.sha256("\0".join(key).encode()).hexdigest()

    kept = sorted(questions, key=spread)[:most]
    return [GoldenQuestion(questions[key], key[0], key[1]) for key in sorted(kept)]


def share_passed(results: Sequence[GoldenResult]) -> float:
    """Return the share of questions that passed; 0 without any."""
    return sum(result.passed for result in results) / len(results) if results else 0.0


def counted(results: Iterable[GoldenResult]) -> dict[str, int]:
    """Return how many answers failed each check, the most frequent first."""
    found: dict[str, int] = {}
    for result in results:
        for name in result.failed:
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
