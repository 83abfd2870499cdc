"""Opens the adapters' own listener from the settings: router, audit log, and its server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
import uvicorn
from fastapi import FastAPI

from apps.core.errors import ConfigError
from apps.dispatcher.adapter_admin.app import create_adapter_app
from apps.dispatcher.adapter_admin.desk import AdminDesk, Answerer
from apps.knowledge.index.base import Embedder, Vectors
from apps.monitor.metrics import Metrics
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.server import LoraServer
from apps.rl.adapters.routing.audit import AuditLog, AuditRules, Shown
from apps.rl.adapters.routing.domains import load_routes
from apps.rl.adapters.routing.router import AdapterRouter
from apps.running_privacy import Redactor
from apps.settings import Settings

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 64
"""Further ones get 503, so that whoever opens many takes no file descriptors from calls."""


def open_router(
    settings: Settings,
    registry: AdapterRegistry,
    embedder: Embedder,
    secret: bytes,
    redactor: Redactor,
    metrics: Metrics | None = None,
) -> tuple[AdapterRouter, AuditLog]:
    """Return the adapter router of the settings, and its audit log.

    Raises:
        ConfigError: The file of routes cannot be used.
    """
    audit = AuditLog(
        settings.data_dir / "adapters" / "audit.jsonl",
        AuditRules(
            Shown(settings.adapter_audit_prompts),
            settings.adapter_audit_mb * 1_000_000,
            settings.adapter_audit_files,
        ),
        hash_key=secret,
        redact=lambda text: redactor(text, "").text,
    )
    redacts = Shown(settings.adapter_audit_prompts) is Shown.REDACTED

    async def embed(texts: Sequence[str]) -> Vectors:
        return await embedder.embed(texts)

    def active(domain: str) -> str:
        record = registry.known().active(domain)
        return record.served if record is not None else ""

    router = AdapterRouter(
        load_routes(settings.routes_file),
        registry.db,
        embed=embed,
        active=active,
        audit=audit,
        clock=time.monotonic,
        observer=metrics.adapters if metrics is not None else None,
        threads=redactor.threads if redacts else None,
    )
    return router, audit


@asynccontextmanager
async def serve_adapters(
    settings: Settings,
    registry: AdapterRegistry,
    server: LoraServer | None,
    embedder: Embedder,
    answer: Answerer,
    *,
    secret: bytes,
    redactor: Redactor,
    token: str,
    metrics: Metrics,
) -> AsyncGenerator[int, None]:
    """Serve the listener for as long as the block lasts; yields its port.

    Raises:
        ConfigError: The address cannot be listened on, or the file of routes cannot be used.
    """
    router, audit = open_router(settings, registry, embedder, secret, redactor, metrics)
    model = settings.llm_model or "embedded"
    desk = AdminDesk(
        registry, server, router, answer, audit, model, served_root=settings.adapter_served_dir
    )
    app = create_adapter_app(desk, token)
    async with _serving(app, settings.adapter_admin_host, settings.adapter_admin_port or 0) as port:
        log.info("adapters_served", host=settings.adapter_admin_host, port=port)
        yield port


@asynccontextmanager
async def _serving(app: FastAPI, host: str, port: int) -> AsyncGenerator[int, None]:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=MOST_CONNECTIONS,
    )
    server = uvicorn.Server(config)
    try:
        listener = config.bind_socket()
    except SystemExit:
        raise ConfigError(
            f"The adapters' listener cannot have {host}:{port}.",
            hint="Set TOM_ADAPTER_ADMIN_PORT to a free port, or leave it empty.",
        ) from None
    # Not `serve`, which would take SIGINT and SIGTERM: the calls' server has them.
    task = asyncio.create_task(server._serve([listener]))
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        listener.close()
