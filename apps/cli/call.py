"""`tom call` and `tom chat`: call TOM with audio files, or typed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from apps.cli.caller import Caller, Line, OnEvent
from apps.cli.chat import Chat
from apps.cli.own_server import own_server
from apps.cli.parts import errors_told
from apps.cli.printing import CallPrinter
from apps.core.audio import Samples
from apps.core.errors import AudioError, TomError
from apps.settings import read_settings
from apps.voice.audiofile import read_audio

Url = Annotated[
    str | None, typer.Option(help="The server, ws://HOST:PORT; without it one is started.")
]
ProfileName = Annotated[str, typer.Option(help="Whom to call; TOM_PROFILE by default.")]
Language = Annotated[str, typer.Option("--lang", help="en or de.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


def call(
    audio: Annotated[list[Path], typer.Argument(help="What the caller says, a file a turn.")],
    url: Url = None,
    profile: ProfileName = "",
    lang: Language = "en",
    rating: Annotated[
        str | None, typer.Option(help="The rating: 1 to 5, or a file with the spoken one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Call TOM with audio files (WAV, FLAC, OGG, ... of any rate), a turn each.

    The caller waits until the assistant has finished before the next file. With --rating the call
    is closed with a goodbye and the rating question is answered; without, the caller hangs up
    after the last answer.
    """
    with errors_told(Console(stderr=True)):
        lines = [Line(read_audio(path)) for path in audio]
        start = _start(profile, lang)
        asyncio.run(_call(url, lines, _rating(rating), start, _printer(as_json)))


def chat(url: Url = None, profile: ProfileName = "", lang: Language = "en") -> None:
    """Call TOM typed: a line a turn; an empty line or Ctrl-D hangs up, "bye" asks for a rating."""
    with errors_told(Console(stderr=True)):
        asyncio.run(_chat(url, _start(profile, lang)))


def _start(profile: str, language: str) -> dict[str, str]:
    """Return the start message's fields; a token that is set opens another machine's details."""
    start = {"profile": profile, "language": language}
    token = read_settings().operator_token
    return start | {"token": token} if token else start


async def _call(
    url: str | None,
    lines: list[Line],
    rating: int | Samples | None,
    start: dict[str, str],
    on_event: OnEvent,
) -> None:
    async with _server(url) as address:
        caller = Caller(address, lines, rating, start, on_event)
        await caller.call()
        if caller.refused is not None:
            raise caller.refused


async def _chat(url: str | None, start: dict[str, str]) -> None:
    async with _server(url) as address:
        await Chat(address, start, Console()).run(sys.stdin)


@asynccontextmanager
async def _server(url: str | None) -> AsyncGenerator[str, None]:
    """Yield the address of the given server, or of one that is started for this call."""
    if url is not None:
        yield url
        return
    console = Console(stderr=True)
    with console.status("Starting a server (no --url was given) ..."):
        server = own_server({"TOM_ORIGIN": "test"}, read_settings().data_dir / "log" / "call.log")
        address = await server.__aenter__()
    try:
        yield address
    finally:
        await server.__aexit__(None, None, None)


def _rating(text: str | None) -> int | Samples | None:
    if text is None:
        return None
    if text.isdigit():
        if int(text) not in range(1, 6):
            raise TomError(
                f"A rating of {text} cannot be given.", hint="Ratings are 1 to 5.", code="rating"
            )
        return int(text)
    path = Path(text)
    if not path.exists():
        raise AudioError(
            f"The rating {text!r} is neither 1 to 5 nor a file.", hint="Give --rating 4, say."
        )
    return read_audio(path)


def _printer(as_json: bool) -> Callable[[dict[str, Any]], None]:
    if not as_json:
        return CallPrinter(Console()).show

    def as_line(event: dict[str, Any]) -> None:
        print(json.dumps(event, ensure_ascii=False), flush=True)

    return as_line
