"""`tom llm`: the language servers, what they are doing, and what their answers cost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.event_logs import open_store
from apps.cli.llm_trial import Trial, try_providers
from apps.cli.operator import NO_SERVER, ask, running_server
from apps.cli.parts import errors_told
from apps.core.clock import utc_now
from apps.core.errors import ConfigError, TomError
from apps.core.plural import plural
from apps.language_servers import make_gateway, settings_providers
from apps.llm.gateway.choice import ProviderChoice, check_choice, read_choice
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import Kind
from apps.llm.gateway.status import describe
from apps.settings import load_settings
from apps.store.llm_choice import load_choice, save_choice
from apps.store.llm_usage import By, UsageSum, usage_by

llm_app = typer.Typer(
    no_args_is_help=True,
    help="The language servers: how they are, which are asked, and what they cost.",
)

Status = dict[str, Any]
Url = Annotated[str, typer.Option(help="The server; the one on this machine by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
_PATH = "/v1/llm/providers"
_WHY_NOT = {
    "down": "down: {trouble}",
    "breaker": "it kept failing; tried again in {opens_in_s} s",
    "at_capacity": "it has no room",
    "full": "answers under way: {in_flight}",
}


@llm_app.command()
def providers(url: Url = "", as_json: AsJson = False) -> None:
    """Show the providers in the order in which they are asked, and how each one is.

    Of the running server; where none runs, of the settings, each server asked once.
    """
    console = Console()
    with errors_told(Console(stderr=True)):
        status = _status(url)
    if as_json:
        print(json.dumps(status, ensure_ascii=False))
        return
    if not status["live"]:
        console.print("No TOM is running here; this is what the settings say.")
    console.print(_table(status))


@llm_app.command()
def use(
    names: Annotated[
        list[str] | None, typer.Argument(help="Asked before all others, in this order.")
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="Switch all others off.")] = False,
    off: Annotated[list[str] | None, typer.Option(help="Switch one off.")] = None,
    on: Annotated[list[str] | None, typer.Option(help="Switch one on again.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="As the list says, all on.")] = False,
    url: Url = "",
) -> None:
    """Ask other providers from the next answer on, without a restart; kept until changed again.

    `tom llm use gpu --only` asks one server alone, `tom llm use --off cloud` leaves one out. The
    embedded answerer always stays the last.
    """
    with errors_told(Console(stderr=True)):
        now = _status(url)
        choice = _changed(now, names or [], only=only, off=off or [], on=on or [], reset=reset)
        if now["live"]:
            with running_server(url) as server:
                after: Status = {**ask(server, "PATCH", _PATH, choice.as_dict()), "live": True}
        else:
            check_choice(settings_providers(load_settings()), choice)
            with open_store().transaction() as conn:
                save_choice(conn, choice.as_dict())
            after = _status(url)
            Console().print("No TOM is running here; kept for its next start.")
    Console().print(_table(after))


@llm_app.command()
def usage(
    by: Annotated[By, typer.Option(help="What it is summed up by.")] = By.PROVIDER,
    days: Annotated[int, typer.Option(min=1, help="Of the last days.")] = 30,
    tenant: Annotated[str, typer.Option(help="Of one tenant alone.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show tokens and cost by tenant, provider, model, adapter, outcome or day."""
    since = utc_now() - timedelta(days=days)
    with errors_told(Console(stderr=True)), open_store().reading() as conn:
        sums = usage_by(conn, by, since=since, tenant=tenant or None)
    if as_json:
        for found in sums:
            print(json.dumps(asdict(found), ensure_ascii=False))
        return
    Console().print(_sums(sums, by) if sums else "No language server was asked.")


@llm_app.command("test")
def try_out(
    name: Annotated[str, typer.Argument(help="Of one provider; of all when not given.")] = "",
    language: Annotated[str, typer.Option("--language", "--lang", help="en or de.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a provider.")] = False,
) -> None:
    """Ask each provider of the settings a question, and show what came back, when and for what.

    Exits with 1 when one did not answer.
    """
    console = Console()
    with errors_told(Console(stderr=True)):
        asked = [p for p in settings_providers(load_settings()) if p.kind is not Kind.EMBEDDED]
        chosen = [p for p in asked if not name or p.name == name]
        if not chosen:
            names = ", ".join(p.name for p in asked)
            raise ConfigError(f"There is no provider {name!r}.", hint=f"There are {names}.")
        failed = False
        for trial in try_providers(chosen, language):
            failed = failed or not trial.ok
            print(json.dumps(asdict(trial), ensure_ascii=False)) if as_json else console.print(
                _told(trial), soft_wrap=True
            )
    raise typer.Exit(1 if failed else 0)


def _status(url: str) -> Status:
    """Return what the running server says, or what the settings do where none runs.

    Raises:
        TomError: A server was named and does not answer, or no provider is set up.
    """
    try:
        with running_server(url) as server:
            return {**ask(server, "GET", _PATH), "live": True}
    except TomError as error:
        if error.code != NO_SERVER or url:
            raise
    settings = load_settings()
    with open_store().reading() as conn:
        choice = read_choice(load_choice(conn))
    gateway = make_gateway(settings)
    gateway.use(choice)
    told = asyncio.run(_looked_at(gateway))
    return {
        "providers": told,
        "choice": choice.as_dict(),
        "currency": settings.llm_currency,
        "live": False,
    }


async def _looked_at(gateway: Gateway) -> list[dict[str, object]]:
    servers = [p.name for p in gateway.providers if p.kind is not Kind.EMBEDDED]
    try:
        await asyncio.gather(*(gateway.probe(name) for name in servers))
        return describe(gateway, asyncio.get_running_loop().time())
    finally:
        await gateway.close()


def _changed(
    now: Status, names: list[str], *, only: bool, off: list[str], on: list[str], reset: bool
) -> ProviderChoice:
    """Return the choice that the options make of what is chosen now; pure.

    Raises:
        ConfigError: The options say nothing.
    """
    if not (names or off or on or reset):
        raise ConfigError(
            "Nothing is to be changed.", hint="Name a provider, or see `tom llm use --help`."
        )
    before = ProviderChoice() if reset else read_choice(now["choice"])
    servers = {told["name"] for told in now["providers"] if told["kind"] != Kind.EMBEDDED.value}
    names = [name for name in names if name != Kind.EMBEDDED.value]
    away = servers - set(names) if only else before.off
    return ProviderChoice(
        tuple(names) if names or reset else before.first,
        frozenset((away | set(off)) - set(on) - (set(names) - set(off))),
    )


def _table(status: Status) -> Table:
    table = Table("", "provider", "kind", "where", "model", "breaker", "now", box=None)
    for place, told in enumerate(status["providers"], start=1):
        asked = told["asked"]
        why = told["why_not"]
        state = _WHY_NOT[why].format(**told) if why else "ready" if asked else "switched off"
        cells = (told.get("host", ""), told.get("model", ""), told.get("breaker", ""), state)
        number = str(place) if asked else "-"
        table.add_row(number, told["name"], told["kind"], *(escape(str(cell)) for cell in cells))
    return table


def _sums(sums: list[UsageSum], by: By) -> Table:
    currency = load_settings().llm_currency
    names = ("requests", "answered", "prompt tokens", "completion tokens", "estimated")
    table = Table(by.value, *names, "first token", f"cost ({currency})", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for found in sums:
        first = "" if found.first_token_ms is None else f"{found.first_token_ms:.0f} ms"
        counts = (
            found.requests,
            found.answered,
            found.prompt_tokens,
            found.completion_tokens,
            found.estimated,
        )
        cost = f"{found.cost_micros / 1e6:.4f}"
        table.add_row(escape(found.key or "none"), *(f"{n:,}" for n in counts), first, cost)
    return table


def _told(trial: Trial) -> str:
    if not trial.ok:
        return f"[red]{trial.provider}[/]: {escape(trial.message)} {escape(trial.hint)}"
    about = "about " if trial.estimated else ""
    return (
        f"[green]{trial.provider}[/] ({escape(trial.model)}): first token after "
        f"{trial.first_token_ms:.0f} ms, done after {trial.total_ms:.0f} ms; {about}"
        f"{trial.prompt_tokens} and {plural(trial.completion_tokens, 'token')}, "
        f"{trial.cost_micros / 1e6:.6f} {load_settings().llm_currency}\n  {escape(trial.answer)}"
    )
