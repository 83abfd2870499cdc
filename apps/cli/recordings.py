"""`tom recordings`: which recordings are kept, hearing one, and letting go of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.event_logs import find_call, open_store
from apps.cli.parts import errors_told
from apps.core import secrets
from apps.core.errors import SealError, TomError, UnknownCall
from apps.core.ids import keyed_hash
from apps.core.plural import plural
from apps.dispatcher.recordings import (
    RECORDINGS,
    delete_recording,
    recording_of,
    recordings_in,
)
from apps.settings import load_settings
from apps.store import calls
from apps.voice.recording import export_wav
from apps.voice.sealed import SealingKey, key_id_of

recordings_app = typer.Typer(
    no_args_is_help=True, help="See the recordings that are kept, hear one, or let them go."
)

Call = Annotated[
    str, typer.Argument(help="The call's id, or the beginning of its reference, as in the list.")
]


@recordings_app.command("list")
def list_() -> None:
    """List the recordings, the newest first, with the key that each was sealed with."""
    console = Console()
    with errors_told(console):
        found = sorted(recordings_in(_folder()), key=_finished_s, reverse=True)
        present = _key().id.hex() if found else ""
    if not found:
        console.print("No recordings are kept.")
        return
    table = Table("call", "written (UTC)", "key", box=None)
    table.add_column("MB", justify="right")
    for path in found:
        key = key_id_of(path)
        written = datetime.fromtimestamp(_finished_s(path), UTC)
        shown = "not sealed" if key is None else key if key == present else f"{key} (another)"
        size = path.stat().st_size / 1e6
        table.add_row(path.stem[:12], f"{written:%Y-%m-%d %H:%M}", shown, f"{size:.1f}")
    console.print(table)


@recordings_app.command()
def export(
    call: Call,
    out: Annotated[Path, typer.Option(help="The WAV file to write; it must not exist yet.")],
) -> None:
    """Write a call's recording as a stereo WAV: the caller left, the assistant right."""
    console = Console()
    with errors_told(console):
        path = recording_of(_folder(), _reference(call))
        if not path.exists():
            raise UnknownCall("There is no recording of this call.", hint="See the list.")
        whole = _export(path, out)
    console.print(f"Wrote {escape(str(out))}.", soft_wrap=True)
    if not whole:
        console.print("It lacks its end: the server stopped while it was written, or it goes on.")


@recordings_app.command()
def delete(
    call: Annotated[
        str | None, typer.Argument(help="The call, as above; or give --subject or --caller.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Every recording of a caller, by their pseudonymous key.")
    ] = None,
    caller: Annotated[
        str | None,
        typer.Option(help="The same by the number or address that they called from."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete the recording of a call, or all of one caller; what else is kept of calls stays."""
    console = Console()
    with errors_told(console):
        refs = _meant(call, subject, caller)
        if not yes:
            typer.confirm(f"Delete the recordings of {plural(len(refs), 'call')}?", abort=True)
        gone = sum(delete_recording(_folder(), ref) for ref in refs)
    console.print(f"Deleted {plural(gone, 'recording')}.")


def _meant(call: str | None, subject: str | None, caller: str | None) -> list[str]:
    """Return the calls that one of the three stands for."""
    if sum(part is not None for part in (call, subject, caller)) != 1:
        raise TomError("Give a call, --subject or --caller: one of them.", code="usage")
    if call is not None:
        return [_reference(call)]
    if caller is not None:
        subject = keyed_hash(caller, _hash_key(), purpose="caller")
    with open_store().reading() as conn:
        found = calls.calls_of_subject(conn, subject or "")
    if not found:
        raise UnknownCall("No call of this caller is kept.", hint="Anonymous calls have no caller.")
    return found


def _reference(call: str) -> str:
    """Return the reference of a call; of one that the store forgot, the recording's own name."""
    try:
        with open_store().reading() as conn:
            return find_call(conn, call)
    except UnknownCall:
        found = {path.stem for path in recordings_in(_folder()) if path.stem.startswith(call)}
        if not call or len(found) != 1:
            raise
        return found.pop()


def _export(path: Path, out: Path) -> bool:
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TomError(f"{out} cannot be written: {error.strerror}.", code="output") from None
    with os.fdopen(descriptor, "wb") as file:
        try:
            return export_wav(path, _key(), file)
        except SealError as error:
            if error.code == "other_key":
                out.unlink()
            raise


def _key() -> SealingKey:
    settings = load_settings()
    return SealingKey.of(secrets.recording_key(settings.data_dir, settings.recording_key))


def _hash_key() -> bytes:
    settings = load_settings()
    return secrets.load_or_create(
        settings.data_dir, settings.hash_key, settings.operator_token
    ).hash_key


def _folder() -> Path:
    return load_settings().data_dir / RECORDINGS


def _finished_s(path: Path) -> float:
    return path.stat().st_mtime
