"""`tom calls`: which calls are kept, what happened in one, and letting go of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.adapters_parts import registry_of
from apps.cli.event_logs import find_call, open_store
from apps.cli.parts import errors_told
from apps.core.clock import utc_now
from apps.core.event_lines import to_line
from apps.core.events import LogRecord
from apps.core.plural import plural
from apps.dispatcher.recordings import RECORDINGS, delete_recording, purge_recordings
from apps.settings import load_settings
from apps.store import calls, decisions, feedback
from apps.store.calls import CallRow
from apps.store.decisions import DecisionRow
from apps.store.feedback import FeedbackKind, FeedbackRow
from apps.store.llm_usage import UsageRow, usage_of_call

calls_app = typer.Typer(no_args_is_help=True, help="See the calls that are kept, or let them go.")

Call = Annotated[
    str,
    typer.Argument(help="The call's id, or the beginning of its reference in `tom calls list`."),
]


@calls_app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the latest calls."""
    console = Console()
    with errors_told(console), open_store().reading() as conn:
        found = calls.list_calls(conn, limit=limit)
    if as_json:
        for call in found:
            print(json.dumps(_call_dict(call)))
        return
    if not found:
        console.print("No calls are kept.")
        return
    table = Table("call", "hour (UTC)", "profile", "door", "from", "variant", "end", box=None)
    table.add_column("seconds", justify="right")
    for call in found:
        hour = "" if call.started_hour is None else f"{call.started_hour:%Y-%m-%d %H:00}"
        seconds = "" if call.duration_s is None else f"{call.duration_s:.0f}"
        table.add_row(
            call.call_ref[:12],
            hour,
            f"{call.profile} {call.language}",
            call.door,
            "outgoing" if call.direction == "outgoing" else call.origin.value,
            call.variant or "",
            call.reason or "(live)",
            seconds,
        )
    console.print(table)


@calls_app.command()
def show(
    call: Call,
    as_json: Annotated[bool, typer.Option("--json", help="The events, one per line.")] = False,
) -> None:
    """Show one call: its policy, its event log, its reward."""
    console = Console()
    with errors_told(console), open_store().reading() as conn:
        ref = find_call(conn, call)
        row = calls.load_call(conn, ref)
        events = calls.load_events(conn, ref)
        decision = decisions.load_decision(conn, ref)
        learned = feedback.feedback_of_call(conn, ref)
        used = usage_of_call(conn, ref)
    assert row is not None
    if as_json:
        for event in events:
            print(to_line(event))
        return
    for key, value in _call_dict(row).items():
        if value is not None:
            console.print(f"{key:14}{escape(str(value))}", soft_wrap=True)
    if decision is not None:
        console.print(f"{'policy':14}{escape(_decision_line(decision))}", soft_wrap=True)
    if used:
        console.print(f"{'answers':14}{escape(_usage_line(used))}", soft_wrap=True)
    console.print()
    for event in events:
        console.print(escape(_event_line(event)), soft_wrap=True, highlight=False)
    for reward in learned:
        console.print(f"\n{escape(_feedback_line(reward))}", soft_wrap=True)


def _usage_line(used: Sequence[UsageRow]) -> str:
    asked = ", ".join(dict.fromkeys(row.provider for row in used))
    read, written = sum(u.prompt_tokens for u in used), sum(u.completion_tokens for u in used)
    cost = sum(row.cost_micros for row in used) / 1e6
    currency = load_settings().llm_currency
    return (
        f"{plural(len(used), 'request')} to {asked}: {read} and {plural(written, 'token')}, "
        f"{cost:.6f} {currency}"
    )


@calls_app.command()
def delete(
    call: Call,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete one call, its transcript and recording; its reward stays as a nameless number."""
    console = Console()
    with errors_told(console):
        db = open_store()
        with db.reading() as conn:
            ref = find_call(conn, call)
        if not yes:
            typer.confirm(f"Delete call {ref[:12]} with its event log?", abort=True)
        with db.transaction() as conn:
            calls.delete_call(conn, ref)
        delete_recording(_recordings(), ref)
        learned = registry_of(load_settings()).known().learned_from([ref])
    console.print(f"Deleted {ref[:12]}.")
    for record in learned:
        console.print(
            f"[yellow]{record.id} ({record.state}) learned from it[/]: train it anew without, and "
            f"`tom adapters retire {record.id}`.",
            soft_wrap=True,
        )


@calls_app.command()
def purge(
    days: Annotated[
        int | None,
        typer.Option(
            min=0, help="Keep this many days (0: nothing); TOM_RETENTION_DAYS when not given."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all calls that are older than the retention time, with their recordings."""
    console = Console()
    with errors_told(console):
        keep = load_settings().retention_days if days is None else days
        if not yes:
            typer.confirm(f"Delete all calls older than {plural(keep, 'day')}?", abort=True)
        # Moments are kept to the hour: to keep nothing, this hour has to be over too.
        cutoff = utc_now() - timedelta(days=keep) if keep else utc_now() + timedelta(hours=1)
        with open_store().transaction() as conn:
            gone = calls.purge_before(conn, cutoff)
        purge_recordings(_recordings(), keep)
    console.print(
        f"Deleted {plural(gone.calls, 'call')}; "
        f"cut {plural(gone.feedback, 'feedback event')} loose from theirs."
    )


def _recordings() -> Path:
    return load_settings().data_dir / RECORDINGS


def _call_dict(call: CallRow) -> dict[str, object]:
    return {
        "call": call.call_ref,
        "profile": call.profile,
        "language": call.language,
        "door": call.door,
        "origin": call.origin.value,
        "direction": call.direction,
        "variant": call.variant,
        "started_hour": None if call.started_hour is None else call.started_hour.isoformat(),
        "ended_hour": None if call.ended_hour is None else call.ended_hour.isoformat(),
        "reason": call.reason,
        "duration_s": call.duration_s,
    }


def _event_line(event: LogRecord) -> str:
    turn = "" if event.turn_id is None else f"#{event.turn_id}"
    details = "  ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in event.data.items()
    )
    return f"{event.at_ms / 1000:9.2f} s  {turn:>4}  {event.kind:20} {details}".rstrip()


def _decision_line(decision: DecisionRow) -> str:
    learns = "" if decision.learns else " (teaches nothing)"
    return f"{decision.variant}{learns}: {decision.why}"


def _feedback_line(event: FeedbackRow) -> str:
    if event.reward is None:
        return "abandoned before the first answer: counted, not rewarded"
    terms = "  ".join(f"{name} {value:+.3f}" for name, value in event.components.items())
    missing = f"  not known: {', '.join(event.missing)}" if event.missing else ""
    held = f"  held: {event.held}" if event.held else ""
    late = "rated later: " if event.kind is FeedbackKind.REVISION else ""
    return f"{late}reward {event.reward:+.3f}  =  {terms}{missing}{held}"
