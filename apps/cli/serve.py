"""`tom serve`: answers calls until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvicorn
from rich.console import Console

from apps.cli.fair_protocols import FairHttp, FairWebSocket
from apps.cli.network import (
    NO_TLS,
    NO_TLS_HINT,
    Certificate,
    read_certificate,
    read_proxies,
)
from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.core.loop import new_event_loop
from apps.dispatcher.trust import is_local_name
from apps.main import Tom, run_tom
from apps.monitor.endpoint import serve_metrics
from apps.monitor.logs import configure_logging
from apps.settings import Settings, read_settings

log = structlog.get_logger(__name__)

CLOSING_S = 22.0
"""So long before the deadline calls are closed: a line that says why, and the rating question."""
THANKS_S = 5.0
"""So long before the deadline no rating is waited for any more: thanks, and goodbye."""
SETTLE_S = 5.0
"""So long calls that were cut off may take to be stored and hung up."""
FORCED_S = 1.0
"""The same where a second signal cut them off."""
MAX_MESSAGE_BYTES = 65_536


def serve(
    host: Annotated[str | None, typer.Option(help="Address; TOM_HTTP_HOST by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 0 for a free one; TOM_HTTP_PORT.")] = None,
    sip: Annotated[
        bool, typer.Option("--sip", help="Take calls of telephones by SIP, too; TOM_SIP.")
    ] = False,
    tls: Annotated[
        bool, typer.Option("--tls/--no-tls", help="Serve HTTPS, where TOM_TLS_CERT is set.")
    ] = True,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the server's address here once it takes calls.")
    ] = None,
) -> None:
    """Serve calls: the call page at /, the WebSocket door at /v1/call, /metrics and /readyz.

    Ctrl-C or SIGTERM takes no more calls, lets the live ones finish for TOM_DRAIN_S at most, and
    stops; a second one stops at once.
    """
    console = Console(stderr=True)
    with errors_told(console):
        given = {"http_host": host, "http_port": port, "sip": sip or None}
        settings = read_settings(**{k: v for k, v in given.items() if v is not None})
        configure_logging(settings.log_level, settings.log_format)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(settings, ready_file, tls=tls))


async def _serve(settings: Settings, ready_file: Path | None, *, tls: bool = True) -> None:
    certificate = read_certificate(settings.tls_cert, settings.tls_key) if tls else None
    proxies = read_proxies(settings.trusted_proxies)
    listener = _listen(settings.http_host, settings.http_port)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        tom = await stack.enter_async_context(run_tom(settings))
        if settings.prometheus_enabled and settings.prometheus_port is not None:
            await stack.enter_async_context(
                serve_metrics(
                    tom.metrics,
                    settings.http_host,
                    settings.prometheus_port,
                    tom.operator_token,
                )
            )
        server = _Server(tom, settings.drain_s, certificate, proxies)
        address = _address(
            settings.http_host, listener.getsockname()[1], tls=certificate is not None
        )
        if certificate is None and not proxies and not is_local_name(settings.http_host):
            log.warning("no_tls", why=NO_TLS, hint=NO_TLS_HINT)
        listener.listen()  # whoever reads the address may call at once

        def ready() -> None:
            if ready_file is not None:
                ready_file.write_text(address, encoding="utf-8")
            log.info("serving", url=address)

        await server.run(listener, ready)


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is loaded, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio lets small frames leave at once over those sockets alone that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Port {port} of {host} cannot be used: {error.strerror}.",
            hint="Another TOM may be running; set TOM_HTTP_PORT or --port.",
        ) from None
    return listener


def _address(host: str, port: int, *, tls: bool = False) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{port}"


class _Server(uvicorn.Server):
    """uvicorn with our own signals: calls are closed politely before the sockets are."""

    def __init__(
        self,
        tom: Tom,
        drain_s: float = 30.0,
        certificate: Certificate | None = None,
        proxies: Sequence[str] = (),
    ) -> None:
        config = uvicorn.Config(
            tom.app,
            http=FairHttp,
            ws=FairWebSocket,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            server_header=False,
            ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        )
        super().__init__(config)
        self._tom, self._drain_s, self._certificate = tom, drain_s, certificate

    async def run(  # type: ignore[override]
        self, listener: socket.socket, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until a signal; then drain, and stop. It is ready once it takes signals, too."""
        loop = asyncio.get_running_loop()
        asked, forced = asyncio.Event(), asyncio.Event()

        def on_signal() -> None:
            (forced if asked.is_set() else asked).set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        if self._certificate is not None:
            loop.add_signal_handler(signal.SIGHUP, self._certificate.reload)
        ready()
        serving = asyncio.create_task(self._serve([listener]))
        try:
            await _first_of(asked.wait(), serving)
            await _first_of(self._drain(), forced.wait(), serving)
            if forced.is_set():
                await self._step(self._tom.switchboard.cut, FORCED_S)
        finally:
            self.should_exit = True
            self.force_exit = forced.is_set()
            await serving
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def _drain(self) -> None:
        """Take no more calls, let the live ones finish, close them, and cut off what is left."""
        switchboard = self._tom.switchboard
        log.info("draining", live_calls=switchboard.live_calls, seconds=self._drain_s)
        closing_s, thanks_s = min(CLOSING_S, self._drain_s), min(THANKS_S, self._drain_s)
        for step, seconds in (
            (switchboard.drain, self._drain_s - closing_s),
            (switchboard.say_goodbye, closing_s - thanks_s),
            (switchboard.hurry, thanks_s),
            (switchboard.cut, SETTLE_S),
        ):
            if await self._step(step, seconds):
                return

    async def _step(self, step: Callable[[], None], seconds: float) -> bool:
        """Do something about the live calls; returns whether none is left within a time."""
        step()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._tom.switchboard.idle()
                return True
        return False


async def _first_of(*works: Awaitable[object]) -> None:
    """Wait for the first of several things; those that were made for it are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, work in zip(tasks, works, strict=True):
        if task is not work:
            task.cancel()
