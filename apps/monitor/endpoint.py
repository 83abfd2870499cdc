"""Metrics on a port of their own, for networks in which the calls' port is not to be scraped.

It runs in a thread: when the event loop hangs, the metrics that say so can still be read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from urllib.parse import urlsplit

import structlog

from apps.core.errors import ConfigError
from apps.monitor.metrics import Metrics

log = structlog.get_logger(__name__)

_SLOW_CLIENT_S = 5.0
_POLL_S = 0.05


@asynccontextmanager
async def serve_metrics(
    metrics: Metrics, host: str, port: int, token: str
) -> AsyncGenerator[int, None]:
    """Serve ``GET /metrics`` for as long as the block lasts.

    Args:
        metrics: What is served.
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        token: Other machines have to send it as ``Authorization: Bearer ...``.

    Yields:
        The port.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    server_class = _Server6 if ":" in host else _Server
    try:
        server = server_class((host, port), _handler(metrics, token))
    except OSError as error:
        raise ConfigError(
            f"Metrics cannot be served on {host}:{port}: {error.strerror}.",
            hint="Set PROMETHEUS_PORT to a free port, or leave it empty.",
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True
    )
    thread.start()
    bound_port = int(server.server_address[1])
    log.info("metrics_served", host=host, port=bound_port)
    try:
        yield bound_port
    finally:
        await asyncio.to_thread(_shut_down, server, thread)


class _Server(ThreadingHTTPServer):
    address_family = AF_INET
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what a scraper that hung up left behind; the inherited one prints its address."""
        log.debug("metrics_not_sent", exc_info=True)


class _Server6(_Server):
    address_family = AF_INET6


def _shut_down(server: ThreadingHTTPServer, thread: threading.Thread) -> None:
    server.shutdown()
    thread.join()
    server.server_close()


def _is_own(host: str) -> bool:
    """Tell whether a Host header means this machine: pages can make other names point here."""
    try:
        name = urlsplit(f"//{host}").hostname
        return name == "localhost" or ip_address(name or "").is_loopback
    except ValueError:
        return False


def _handler(metrics: Metrics, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SLOW_CLIENT_S
        server_version = "tom"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            if not self._may():
                self.send_error(403)
                return
            body, content_type = metrics.exposition()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _may(self) -> bool:
            """Tell whether the scraper is on this machine, or has the token."""
            if ip_address(self.client_address[0]).is_loopback and _is_own(
                self.headers.get("Host", "localhost")
            ):
                return True
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            return scheme.lower() == "bearer" and compare_digest(
                given.strip().encode(), token.encode()
            )

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a scrape every few seconds is no news, and clients have addresses."""

    return Handler
