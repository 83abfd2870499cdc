"""`tom rl report`: one page with all that is known of the deployment, with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.parts import errors_told, write_page
from apps.cli.rl_evaluate import now_of
from apps.core.clock import utc_now
from apps.rl import defaults
from apps.rl.abuse.release import list_held
from apps.rl.deploy_guard import DeployGuard
from apps.rl.pages.drawing import need_matplotlib
from apps.rl.report.document import document
from apps.rl.report.findings import Material, work_out
from apps.rl.report.history import read
from apps.rl.report.plots import plots
from apps.settings import load_settings
from apps.store.purpose import is_sandbox

Out = Annotated[
    Path | None, typer.Option(help="Where to; rl/report.html in TOM_DATA_DIR if left out.")
]
Last = Annotated[int, typer.Option(min=1, help="Of so many newest rewarded calls.")]


def register(app: typer.Typer) -> None:
    """Add the command to `tom rl`."""
    app.command()(report)


def report(out: Out = None, last: Last = 20_000) -> None:
    """Write a page on what was learned: posteriors, traffic, the guard's acts, regret, ratings."""
    console = Console()
    with errors_told(console), console.status("Reading the store") as status:
        need_matplotlib()
        path = out or load_settings().data_dir / "rl" / "report.html"
        found = work_out(material(DeployGuard(), last), progress=status.update)
        status.update("Drawing")
        html = document(found, plots(found), made=utc_now())
        write_page(path, html, "--out")
    for sentence in found.unknown:
        console.print(escape(sentence), soft_wrap=True)
    console.print(f"Report: {escape(str(path))}", soft_wrap=True)


def material(guard: DeployGuard, newest: int) -> Material:
    """Return what the report is made of, as of now.

    Args:
        guard: Of the settings, with its store.
        newest: Of the rewarded calls, only so many of the newest count.

    Raises:
        StoreError: The store cannot be read.
    """
    bandit = guard.bandit
    acts = guard.acts()
    with bandit.db.reading() as conn:
        history = read(conn, newest=newest)
        held = list_held(conn)
        sandbox = is_sandbox(conn)
    slots = {name: variant.slots.as_dict() for name, variant in bandit.variants.items()}
    return Material(
        history=history,
        acts=acts,
        held=held,
        status=guard.status(),
        health=guard.health(),
        base=guard.rules.base_variant,
        policy=defaults.default_policy(bandit.prior).knowing(slots),
        now=now_of(guard),
        newest=newest,
        sandbox=sandbox,
    )
