"""What makes training examples of knowledge: named functions, or one of your own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import Message, TrainingExample
from apps.rl.adapters.json_lines import read_rows


class Source(BaseModel):
    """A piece of knowledge: an entry with its questions, or a passage of a document.

    Attributes:
        text: The answer, or the passage.
        questions: How callers ask for it; none for a passage.
        title: Its heading.
        domain: The profile it belongs to.
        language: ``de`` or ``en``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    questions: tuple[str, ...] = ()
    title: str = ""
    domain: str = ""
    language: str = "en"


Processor = Callable[[Iterable[Source]], Iterator[TrainingExample]]


def questions(sources: Iterable[Source]) -> Iterator[TrainingExample]:
    """Each question of an entry, answered by its text; what has no questions is passed over."""
    for source in sources:
        for question in source.questions:
            yield _example(source, question, source.text)


def passages(sources: Iterable[Source]) -> Iterator[TrainingExample]:
    """Each passage, asked for by its title; what has no title is passed over."""
    for source in sources:
        if source.title:
            yield _example(source, source.title, source.text)


PROCESSORS: dict[str, Processor] = {"questions": questions, "passages": passages}


def processor(name: str) -> Processor:
    """Return a processor by its name here, or by ``package.module:function``.

    Raises:
        ConfigError: There is none of that name.
    """
    if name in PROCESSORS:
        return PROCESSORS[name]
    module, sign, function = name.partition(":")
    hint = f"There are {', '.join(PROCESSORS)}; your own is named package.module:function."
    if not sign:
        raise ConfigError(f"There is no processor called {name}.", hint=hint)
    try:
        found: Processor = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The processor {name} cannot be loaded: {error}.", hint=hint) from None
    return found


def read_sources(path: Path) -> Iterator[Source]:
    """Yield the sources of a JSONL file, one a line; blank lines are passed over.

    Raises:
        ConfigError: It cannot be read, or a line is no source.
    """
    return read_rows(path, Source)


def _example(source: Source, question: str, answer: str) -> TrainingExample:
    return TrainingExample(
        messages=(Message(role="user", content=question),),
        completion=answer,
        domain=source.domain,
        language=source.language,
    )
