"""`tom rl held` and `tom rl release`: feedback that does not count, and letting it count."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.parts import errors_told
from apps.rl import defaults
from apps.rl.abuse.release import Held, list_held
from apps.rl.abuse.release import release as release_event
from apps.rl.abuse.sieve import QUALITY
from apps.rl.policy_bandit import PolicyBandit
from apps.store.database import Database


def register(app: typer.Typer) -> None:
    """Add the commands to `tom rl`."""
    app.command()(held)
    app.command()(release)


def held(
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    everything: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
) -> None:
    """List the feedback that does not count, with the reason and the parts of its quality."""
    console = Console()
    with errors_told(console), defaults.default_database().reading() as conn:
        found = [one for one in list_held(conn) if everything or not one.released]
    if not found:
        console.print("No feedback is held.")
        return
    table = Table("event", "hour", "variant", "reason", box=None)
    for column in ("reward", "quality"):
        table.add_column(column, justify="right")
    table.add_column("what lowers it")
    for one in found[:limit]:
        table.add_row(*_row(one))
    console.print(table)
    reasons = Counter(one.event.held for one in found)
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    console.print(f"\n{len(found)} held: {told}. `tom rl release EVENT` lets one count.")


def release(
    event: Annotated[int, typer.Argument(help="Its number, as in `tom rl held`.")],
) -> None:
    """Let held feedback count: it is appended anew, once, and the policies learn from it."""
    console = Console()
    with errors_told(console):
        with defaults.default_database().transaction() as conn:
            free = release_event(conn, event)
        PolicyBandit().catch_up()
    if free is None:
        console.print(f"Event {event} was released before: nothing has changed.")
    else:
        said = "abandoned" if free.reward is None else f"reward {free.reward:+.2f}"
        console.print(escape(f"Event {event} counts from now on: {free.variant}, {said}."))


def held_by_reason(db: Database) -> dict[str, int]:
    """Return how much feedback is held and not released, the commonest reason first."""
    with db.reading() as conn:
        reasons = Counter(str(one.event.held) for one in list_held(conn) if not one.released)
    return dict(reasons.most_common())


def _row(one: Held) -> tuple[str, ...]:
    event = one.event
    quality = event.context.get(QUALITY)
    parts = dict(quality) if isinstance(quality, dict) else {}
    score = parts.pop("score", None)
    low = "  ".join(f"{name} {part:.2f}" for name, part in parts.items() if part < 1.0)
    return (
        str(event.seq) + (" (released)" if one.released else ""),
        f"{event.at_hour:%Y-%m-%d %H}h" if event.at_hour else "",
        escape(event.variant),
        str(event.held),
        "" if event.reward is None else f"{event.reward:+.2f}",
        "" if score is None else f"{score:.2f}",
        low,
    )
