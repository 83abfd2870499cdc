"""Workers that are always there: hosts restart a process that died, pools share several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import EngineDied
from apps.voice.workers.process import WorkerProcess
from apps.voice.workers.spec import WorkerInfo, WorkerSpec
from apps.voice.workers.stream import OnReply, WorkerStream

log = structlog.get_logger(__name__)

FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 10.0
HEALTHY_AFTER_S = 10.0

OnRestart = Callable[[str], None]


def backoff_s(deaths: int) -> float:
    """Return how long to wait before a restart.

    Args:
        deaths: How often the process has died lately, this time included. The first restart is
            immediate, since a call is waiting; then the wait doubles up to a cap.
    """
    return 0.0 if deaths <= 1 else min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (deaths - 2))


class WorkerHost:
    """One worker process that is started again whenever it dies.

    Args:
        spec: How it is started and looked after.
        on_restart: Called with the spec's name at each restart, for the metrics.
    """

    def __init__(self, spec: WorkerSpec, *, on_restart: OnRestart | None = None) -> None:
        self._spec = spec
        self._on_restart = on_restart
        self._process: WorkerProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether a stream can be opened now."""
        return self._process is not None and self._process.alive

    @property
    def info(self) -> WorkerInfo | None:
        """What the running worker said about itself; None while there is none."""
        return self._process.info if self._process is not None and self._process.alive else None

    @property
    def load(self) -> int:
        """How many streams are open."""
        return self._process.load if self._process is not None else 0

    async def start(self) -> WorkerInfo:
        """Start the process and wait until it is warm.

        Raises:
            EngineUnavailable: The engine cannot serve.
            EngineDied: The process ended before it was ready.
        """
        self._process = await WorkerProcess.spawn(self._spec)
        self._announce(self._process)
        self._supervisor = asyncio.create_task(
            self._supervise(self._process), name=f"{self._spec.name}-supervisor"
        )
        return self._process.info

    def open(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        on_reply: OnReply | None = None,
    ) -> WorkerStream:
        """Open a stream; see `WorkerStream` for what can be done with it.

        Raises:
            EngineDied: There is no process now; it is being restarted.
            EngineOverloaded: It does not read what it was sent.
        """
        if self._process is None:
            raise EngineDied(f"The {self._spec.name} worker does not run.")
        return self._process.open(header, payload, on_reply)

    async def wait_ready(self) -> None:
        """Wait until a stream can be opened; bound it with a timeout."""
        while not self.ready:
            self._ready.clear()
            await self._ready.wait()

    async def close(self) -> None:
        """Stop the process for good; nothing of it is left afterwards."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        if self._process is not None:
            process, self._process = self._process, None
            await process.stop()

    async def _supervise(self, process: WorkerProcess) -> None:
        """Start a successor whenever the process dies, until cancelled."""
        deaths = 0
        while True:
            born_ms = loop_ms()
            status = await process.ended()
            deaths = 1 if loop_ms() - born_ms >= HEALTHY_AFTER_S * 1000.0 else deaths + 1
            log.warning("worker_died", worker=self._spec.name, status=status, deaths=deaths)
            process, deaths = await self._successor(deaths)
            self._process = process
            self._announce(process)

    async def _successor(self, deaths: int) -> tuple[WorkerProcess, int]:
        """Return a fresh process, however many attempts it takes, and the deaths so far."""
        while True:
            await asyncio.sleep(backoff_s(deaths))
            if self._on_restart is not None:
                self._on_restart(self._spec.name)
            try:
                return await WorkerProcess.spawn(self._spec), deaths
            except Exception as error:  # whatever it is: without a successor calls have no voice
                deaths += 1
                log.error("worker_restart_failed", worker=self._spec.name, reason=str(error))

    def _announce(self, process: WorkerProcess) -> None:
        self._ready.set()
        info = process.info
        log.info(
            "worker_ready",
            worker=self._spec.name,
            version=info.version,
            pid=info.pid,
            warm_up_ms=info.warm_up_ms,
        )


class WorkerPool:
    """Several processes of one worker; a new stream goes to the least loaded one.

    Args:
        spec: How each is started and looked after.
        size: How many there are.
        on_restart: Called with the spec's name at each restart, for the metrics.
    """

    def __init__(
        self, spec: WorkerSpec, size: int = 1, *, on_restart: OnRestart | None = None
    ) -> None:
        if size < 1:
            raise ValueError("a pool has at least one worker")
        self._spec = spec
        self._hosts = [WorkerHost(spec, on_restart=on_restart) for _ in range(size)]

    @property
    def ready(self) -> bool:
        """Whether some worker takes streams now."""
        return any(host.ready for host in self._hosts)

    @property
    def infos(self) -> list[WorkerInfo]:
        """What the running workers said about themselves."""
        return [host.info for host in self._hosts if host.info is not None]

    async def start(self) -> None:
        """Start all workers at once; when one cannot serve, none is left running.

        Raises:
            EngineUnavailable: The engine cannot serve.
            EngineDied: A process ended before it was ready.
        """
        starts = asyncio.gather(*(host.start() for host in self._hosts), return_exceptions=True)
        try:
            for outcome in await starts:
                if isinstance(outcome, BaseException):
                    raise outcome
        except BaseException:
            await self.close()
            raise

    def open(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        on_reply: OnReply | None = None,
    ) -> WorkerStream:
        """Open a stream on the least loaded worker.

        Raises:
            EngineDied: No worker runs now; they are being restarted.
            EngineOverloaded: The worker does not read what it was sent.
        """
        ready = [host for host in self._hosts if host.ready]
        if not ready:
            raise EngineDied(
                f"No {self._spec.name} worker runs now.", hint="It is being restarted."
            )
        return min(ready, key=lambda host: host.load).open(header, payload, on_reply=on_reply)

    async def wait_ready(self) -> None:
        """Wait until some worker takes streams; bound it with a timeout."""
        waits = [asyncio.create_task(host.wait_ready()) for host in self._hosts]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def close(self) -> None:
        """Stop all workers for good."""
        await asyncio.gather(*(host.close() for host in self._hosts))
