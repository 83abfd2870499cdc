"""`tom adapters routes`: where prompts go, and whether the golden ones still go where they must."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.adapters_parts import registry_of
from apps.cli.parts import errors_told
from apps.core import secrets
from apps.rl.adapters.routing.decide import Route
from apps.rl.adapters.routing.domains import load_routes
from apps.rl.adapters.routing.router import GoldenResult, check_golden
from apps.running_admin import open_router
from apps.running_knowledge import embedder_of
from apps.running_privacy import open_redactor
from apps.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    """Add the command to `tom adapters`."""
    app.command()(routes)


def routes(
    prompt: Annotated[
        str, typer.Argument(help="A prompt; without one, the golden prompts are checked.")
    ] = "",
) -> None:
    """Show where a prompt would go and why, or check the golden prompts; exit with 1 if one fails.

    Nothing is kept of it. The file is docs/policies/adapter_routes.yaml, or TOM_ADAPTER_ROUTES.
    """
    console = Console()
    with errors_told(console):
        one, golden = asyncio.run(_decided(load_settings(), prompt))
    if one is not None:
        _show(console, one)
        return
    wrong = _check(console, golden)
    if wrong:
        raise typer.Exit(1)


async def _decided(settings: Settings, prompt: str) -> tuple[Route | None, list[GoldenResult]]:
    keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    async with AsyncExitStack() as stack:
        registry = registry_of(settings)
        stack.push_async_callback(registry.db.aclose)
        router, _ = open_router(
            settings,
            registry,
            embedder_of(settings, stack),
            keys.hash_key,
            open_redactor(settings, stack),
        )
        if prompt:
            return await router.decide(prompt), []
        return None, await check_golden(router, load_routes(settings.routes_file).golden)


def _show(console: Console, route: Route) -> None:
    console.print(
        f"{route.domain}, by {route.phase} ({route.confidence:.0%} sure"
        + (f", chosen with probability {route.propensity:.2f})" if route.propensity < 1 else ")")
    )
    for name, score in sorted(route.scores.items(), key=lambda item: -item[1]):
        console.print(f"  {name}  {score:.2f}")


def _check(console: Console, golden: list[GoldenResult]) -> int:
    """Print how the golden prompts are routed; returns how many go elsewhere than they must."""
    table = Table("prompt", "must go to", "goes to", "by", "sure")
    for each in golden:
        wanted = each.golden.domain or "base"
        colour = "green" if each.right else "yellow" if each.open else "red"
        table.add_row(
            escape(each.golden.prompt),
            wanted,
            f"[{colour}]{each.route.domain}[/]",
            each.route.phase.value,
            f"{each.route.confidence:.0%}",
        )
    console.print(table)
    wrong = sum(not each.right and not each.open for each in golden)
    open_ = sum(each.open for each in golden)
    told = f"{len(golden)} golden prompts: {wrong} go elsewhere than they must"
    console.print(f"{told}, {open_} are left to the bandit." if open_ else f"{told}.")
    return wrong
