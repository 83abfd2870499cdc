"""``tom models``: which weights and voices are here, and fetching more of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from apps.cli.parts import errors_told
from apps.core.errors import ConfigError, TomError
from apps.settings import Settings, load_settings
from apps.voice.models import PiperVoice, find_piper, find_whisper, present
from apps.voice.pull import Progress, pull_piper, pull_whisper

models_app = typer.Typer(
    no_args_is_help=True, help="Weights and voices: which there are, and fetching more."
)
console = Console(highlight=False)


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show the weights and voices that are ready to be loaded."""
    with errors_told(console):
        settings = load_settings()
    found = present(settings.models_dir)
    if as_json:
        for weights in found:
            print(json.dumps(asdict(weights) | {"path": str(weights.path)}))
        return
    table = Table("engine", "name", "size", "path")
    for weights in found:
        table.add_row(
            weights.kind,
            escape(weights.name),
            f"{weights.size_bytes / 1e6:.0f} MB",
            escape(str(weights.path)),
        )
    if found:
        console.print(table)
    for name in _wanted(settings):
        if not _is_here(settings.models_dir, name):
            console.print(
                f"missing: {escape(name)}  (tom models pull {escape(name)})", soft_wrap=True
            )


@models_app.command("pull")
def pull_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Whisper models (small, large-v3-turbo, owner/repository) and Piper voices "
            "(de_DE-thorsten-medium); those of the settings when none is named.",
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            envvar="HF_ENDPOINT", help="Another hub, such as a mirror.", show_default=False
        ),
    ] = None,
) -> None:
    """Fetch weights and voices from the Hugging Face Hub."""
    with errors_told(console):
        settings = load_settings()
    failed = False
    for name in names or _wanted(settings):
        try:
            path = _pull(settings.models_dir, name, endpoint)
        except TomError as error:
            failed = True
            console.print(f"[red]{escape(name)}:[/red] {escape(error.message)}", soft_wrap=True)
            console.print(f"  {escape(error.hint)}", soft_wrap=True)
        else:
            console.print(
                f"[green]{escape(name)}[/green] is in {escape(str(path))}", soft_wrap=True
            )
    if failed:
        raise typer.Exit(1)


def _pull(models_dir: Path, name: str, endpoint: str | None) -> Path:
    """Fetch one model or voice, with a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def show(progress: Progress) -> None:
            bar.update(
                task,
                description=f"{escape(name)} {escape(Path(progress.file).name)}",
                completed=progress.done_bytes,
                total=progress.total_bytes,
            )

        pull = pull_piper if _is_voice(name) else pull_whisper
        return pull(name, models_dir, show, endpoint=endpoint)


def _wanted(settings: Settings) -> list[str]:
    """Return the models and voices that the settings name."""
    return [settings.whisper_model, settings.piper_voice_de, settings.piper_voice_en]


def _is_here(models_dir: Path, name: str) -> bool:
    find = find_piper if _is_voice(name) else find_whisper
    return find(models_dir, name) is not None


def _is_voice(name: str) -> bool:
    try:
        PiperVoice.parse(name)
    except ConfigError:
        return False
    return True
