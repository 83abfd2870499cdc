"""What adapters learn from: one rated turn, as it was prompted and answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from apps.rl.adapters.json_lines import read_rows


class Message(BaseModel):
    """One message of a chat prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class TrainingExample(BaseModel):
    """One rated turn, or one line of a JSONL file made by hand.

    Attributes:
        messages: The prompt.
        completion: The answer.
        feedback_score: How good it was, in [-1, 1]; 1 for text that is right by definition.
        importance: Weight above 0; 1 is ordinary.
        domain: The profile it belongs to.
        language: ``de`` or ``en``.
        calls: Keyed hashes of the calls it stems from, so that erasure can reach it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...] = Field(min_length=1)
    completion: str = Field(min_length=1)
    feedback_score: float = Field(1.0, ge=-1.0, le=1.0)
    importance: float = Field(1.0, gt=0.0)
    domain: str = ""
    language: str = "en"
    calls: tuple[str, ...] = ()


def read_examples(path: Path) -> Iterator[TrainingExample]:
    """Yield the examples of a JSONL file, one a line; blank lines are passed over.

    Raises:
        ConfigError: The file cannot be read, or a line is no example; it names the line.
    """
    return read_rows(path, TrainingExample, hint="docs/adapters.md has the form of an example.")


def write_examples(path: Path, examples: Iterable[TrainingExample]) -> int:
    """Write examples as JSONL; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as lines:
        for example in examples:
            lines.write(example.model_dump_json() + "\n")
            count += 1
    return count
