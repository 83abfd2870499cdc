"""`tom link`: an address of the call page that may be given away for a while."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from apps.cli.parts import errors_told
from apps.core import secrets
from apps.dispatcher.trust import Grant, TokenSigner
from apps.settings import load_settings


def link(
    url: Annotated[
        str, typer.Option(help="The page's address; TOM_PUBLIC_URL, or this machine's.")
    ] = "",
    observe: Annotated[
        bool, typer.Option("--observe", help="Show which variant speaks, why, and the reward.")
    ] = False,
    profile: Annotated[str, typer.Option(help="The only profile it may call.")] = "",
    minutes: Annotated[int, typer.Option(min=1, max=10_080, help="How long it is good for.")] = 60,
) -> None:
    """Print a signed link to the call page.

    The token stands behind the #, which browsers never send with the page's address, so it is in
    no server's log. Whoever has the link can call until it expires; a new TOM_OPERATOR_TOKEN ends
    all links at once.
    """
    with errors_told(Console(stderr=True)):
        settings = load_settings()
        keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
        grant = Grant(int(time.time()) + minutes * 60, profile, observe=observe)
        token = TokenSigner(keys.operator_token).sign(grant)
        page = (url or settings.public_url or _own_url(settings.http_port)).rstrip("/")
    wishes = "&".join([f"profile={profile}"] * bool(profile) + ["observe"] * observe)
    # Plain, so that it can be piped and is never wrapped.
    print(f"{page}/{'?' if wishes else ''}{wishes}#token={token}")


def _own_url(port: int) -> str:
    return f"http://localhost:{port}"
