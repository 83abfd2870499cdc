"""`tom rl train`: the offline trainer, by hand or from cron."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.parts import errors_told, write_page
from apps.cli.rl_notebook import run_notebook
from apps.core.clock import utc_now
from apps.core.errors import ConfigError, StoreError
from apps.core.plural import plural
from apps.rl import defaults
from apps.rl.guard.candidates import with_candidates
from apps.rl.pages.drawing import REACH
from apps.rl.trainer import Known, Rules, TooLittle, Training, export, file_name, read, to_yaml
from apps.rl.trainer import train as train_on
from apps.rl.trainer.plots import plots
from apps.rl.trainer.report import report as page
from apps.settings import load_settings
from apps.store.database import Database, open_database
from apps.store.purpose import is_sandbox

DatabaseOption = Annotated[
    str | None, typer.Option("--db", help="The store to learn from; the settings' if left out.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the candidates; RL_CANDIDATES_PATH if left out.")
]
Report = Annotated[
    Path | None, typer.Option(help="Write an HTML report here, in place of an older one.")
]
Notebook = Annotated[
    Path | None, typer.Option(help="Run the notebook instead; keep it and its results here.")
]
Seed = Annotated[int, typer.Option(help="Of what is drawn at random.")]
Top = Annotated[int, typer.Option(min=1, help="So many candidates may wait to be tried.")]
Last = Annotated[int, typer.Option(min=1, help="Learn from so many newest calls.")]


@dataclass(frozen=True, slots=True)
class _Job:
    """Where a training reads from and writes to."""

    db: str | None
    folder: Path
    known: Known
    rules: Rules
    seed: int


def train(
    db: DatabaseOption = None,
    out: Out = None,
    report: Report = None,
    seed: Seed = 0,
    top: Top = 3,
    last: Last = 20_000,
    notebook: Notebook = None,
) -> None:
    """Learn from all calls which combinations of slots are worth trying, and offer them.

    With too little to learn from it says so, exports nothing, and exits with 0.
    """
    console = Console()
    with errors_told(console):
        if out is None:
            _refuse_sandbox(db)
        folder = out or load_settings().candidates_folder
        if notebook is not None:
            told = {"db": db, "out": str(folder), "seed": seed, "top": top, "last": last}
            told["report"] = None if report is None else str(report)
            with console.status("Running the notebook"):
                run_notebook(notebook, told)
            console.print(f"Notebook: {escape(str(notebook))}", soft_wrap=True)
            return
        job = _Job(db, folder, _known(folder), Rules(top=top, newest=last), seed)
        _train(console, job, report)


def _train(console: Console, job: _Job, report: Path | None) -> None:
    with console.status("Reading the calls") as status:
        slots = job.known.everything
        with _database(job.db).reading() as conn:
            gathered = read(conn, slots, newest=job.rules.newest)
        training = train_on(
            gathered, job.known, rules=job.rules, seed=job.seed, progress=status.update
        )
        exported = _export(training, job)
        if report is not None:
            status.update("Writing the report")
            _write(report, training, console)
    console.print(escape(training.sentence), soft_wrap=True)
    for reason, count in sorted(gathered.left_out.items()):
        console.print(
            f"[dim]left out: {plural(count, 'call')}, {escape(reason)}[/]", soft_wrap=True
        )
    if isinstance(training, Training) and training.candidates:
        console.print(_table(training))
    for what, path in (("Candidates", exported), ("Report", report)):
        if path is not None:
            console.print(f"{what}: {escape(str(path))}", soft_wrap=True)


def _known(folder: Path) -> Known:
    catalog = with_candidates(defaults.settings_catalog(load_settings()), folder)
    return Known.of(catalog)


def _database(where: str | None) -> Database:
    if where is None:
        return defaults.default_database()
    if "://" not in where and not Path(where).is_file():
        raise StoreError(
            f"There is no database {where}.", hint="Leave --db out to learn from the settings'."
        )
    return open_database(where, pooled=False)


def _refuse_sandbox(db: str | None) -> None:
    with _database(db).reading() as conn:
        if is_sandbox(conn):
            raise ConfigError(
                "What simulated callers like is no reason to offer callers a variant.",
                hint="Give the sandbox's candidates a folder of their own: --out FOLDER.",
            )


def _export(training: Training | TooLittle, job: _Job) -> Path | None:
    if isinstance(training, TooLittle) or not training.candidates:
        return None
    source, now = training.gathered.source, utc_now()
    text = to_yaml(
        training.candidates, source, base=job.known.base, level=job.rules.level, made=now
    )
    return export(job.folder, file_name(source, now), text)


def _write(path: Path, training: Training | TooLittle, console: Console) -> None:
    drawn = []
    if isinstance(training, Training):
        try:
            drawn = plots(training)
        except ConfigError as error:  # without matplotlib the tables stand alone
            console.print(f"{escape(error.message)} {escape(error.hint)}", soft_wrap=True)
    write_page(path, page(training, made=utc_now(), drawn=drawn), "--report")


def _table(training: Training) -> Table:
    table = Table("candidate", "slots", box=None)
    for column in ("gain", "95 % of the truth", "better than base", "the log says"):
        table.add_column(column, justify="right")
    for candidate in training.candidates:
        score, seen = candidate.score, candidate.score.off_policy
        reach = REACH * score.gain_error
        told = "nothing" if seen is None or seen.value is None else f"{seen.value:+.3f}"
        table.add_row(
            candidate.variant.id,
            " ".join(score.slots.as_dict().values()),
            f"{score.gain:+.3f}",
            f"{score.gain - reach:+.3f} to {score.gain + reach:+.3f}",
            f"{score.better:.0%}",
            told,
        )
    return table
