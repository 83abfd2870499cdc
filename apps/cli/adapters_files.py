"""`tom adapters sources|export`: knowledge to learn from, and adapters for other servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from apps.cli.adapters_parts import AdapterId, registry_of
from apps.cli.adapters_training import run
from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.core.files import write_whole
from apps.core.plural import plural
from apps.knowledge.entries import Entry, load_entries
from apps.rl.adapters.gate import check_files
from apps.rl.adapters.training.events import Exported
from apps.rl.adapters.training.process import require_train_extra
from apps.rl.adapters.training.processors import Source
from apps.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the commands to `tom adapters`."""
    app.command()(sources)
    app.command()(export)


def sources(
    out: Annotated[Path, typer.Argument(dir_okay=False, help="The JSONL file to write.")],
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", "-d", help="Of this profile alone; may be repeated."),
    ] = None,
    language: Annotated[str, typer.Option(help="de or en; both if left out.")] = "",
) -> None:
    """Write the knowledge base's questions and answers as data to train on.

    Then: tom adapters train lora --set data.sources=FILE
    """
    console = Console()
    with errors_told(console):
        entries = [
            entry
            for entry in load_entries(load_settings().entries_folder)
            if (not domain or entry.profile in domain) and language in ("", entry.language)
        ]
        if not entries:
            raise ConfigError("No entry of the knowledge base is left.", hint="Ask for less.")
        write_whole(out, "".join(f"{_source(entry).model_dump_json()}\n" for entry in entries))
    asked = sum(1 + len(entry.variants) for entry in entries)
    told = f"{plural(len(entries), 'answer')} to {plural(asked, 'question')} in {out}."
    console.print(told, soft_wrap=True)


def export(
    adapter: AdapterId,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    ollama_base: Annotated[
        str, typer.Option(help="The same base as Ollama calls it, such as llama3.2:1b.")
    ] = "",
    merged: Annotated[bool, typer.Option("--merged", help="Merge it into its base.")] = False,
    name: Annotated[str, typer.Option(help="The model's name in Ollama.")] = "tom",
    python: Annotated[
        Path | None,
        typer.Option("--python", exists=True, dir_okay=False, help="One with the extra `train`."),
    ] = None,
) -> None:
    """Write an adapter for Ollama, or merged into its base, as DoRA needs it."""
    console = Console()
    with errors_told(console):
        if merged == bool(ollama_base):
            raise ConfigError("Say one of the two.", hint="--ollama-base NAME, or --merged.")
        if python is None:
            require_train_extra()
        registry = registry_of(load_settings())
        folder = check_files(registry.record(adapter), registry.root)
        kind = ["--merged"] if merged else ["--ollama-base", ollama_base]
        arguments = ["export", str(folder), "--out", str(out), "--name", name, *kind]
        results = run(arguments, console, python=python, what="Exporting")
    for result in results:
        if isinstance(result, Exported):
            console.print(f"In {result.folder}; there: {result.command}", soft_wrap=True)


def _source(entry: Entry) -> Source:
    return Source(
        text=entry.answer,
        questions=(entry.question, *entry.variants),
        title=entry.question,
        domain=entry.profile,
        language=entry.language,
    )
