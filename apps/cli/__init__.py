"""The `tom` command: one module a command, mounted here."""

from __future__ import annotations

import typer

from apps.cli.adapters import adapters_app
from apps.cli.call import call, chat
from apps.cli.calls import calls_app
from apps.cli.config import config_app
from apps.cli.consents import consents_app
from apps.cli.demo import demo
from apps.cli.dial import dial
from apps.cli.doctor import doctor
from apps.cli.kb import kb_app
from apps.cli.link import link
from apps.cli.llm import llm_app
from apps.cli.models import models_app
from apps.cli.prompt import prompt
from apps.cli.recordings import recordings_app
from apps.cli.replay import replay
from apps.cli.rl import rl_app
from apps.cli.serve import serve
from apps.cli.timeline import timeline

app = typer.Typer(
    name="tom",
    help="TOM, a realtime voice assistant that gets better with every call.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(serve)
app.command()(call)
app.command()(chat)
app.command()(dial)
app.command()(prompt)
app.command()(replay)
app.command()(timeline)
app.command()(link)
app.command()(doctor)
app.add_typer(config_app, name="config")
app.add_typer(calls_app, name="calls")
app.add_typer(consents_app, name="consents")
app.add_typer(recordings_app, name="recordings")
app.add_typer(rl_app, name="rl")
app.add_typer(adapters_app, name="adapters")
app.add_typer(models_app, name="models")
app.add_typer(kb_app, name="kb")
app.add_typer(llm_app, name="llm")


def main() -> None:
    """Run the command line."""
    app()
