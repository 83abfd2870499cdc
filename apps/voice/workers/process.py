"""One life of a worker process: from its start over its handshake to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from apps.core.errors import (
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
)
from apps.voice.workers.spec import WorkerInfo, WorkerSpec, launch
from apps.voice.workers.stream import OnReply, WorkerStream
from apps.voice.workers.wire import MAX_STREAM, Frame, FrameParser, Kind, WireError, encode

__all__ = ["WorkerInfo", "WorkerProcess", "WorkerSpec"]

log = structlog.get_logger(__name__)

_READ_BYTES = 1 << 16
_UNWRITTEN_LIMIT_BYTES = 1 << 23
_STDERR_LINES_KEPT = 5


class WorkerProcess:
    """A running worker. Made by `spawn`; afterwards `ended` waits for its death.

    Attributes:
        info: What the worker said when it was ready.
    """

    info: WorkerInfo

    def __init__(self, spec: WorkerSpec, process: asyncio.subprocess.Process) -> None:
        self._spec = spec
        self._process = process
        self._streams: dict[int, WorkerStream] = {}
        self._last_stream = 0
        self._ready: asyncio.Future[WorkerInfo] = asyncio.get_running_loop().create_future()
        self._stderr_tail: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
        self._pong = asyncio.Event()
        self._dead = False
        self._tasks = [
            asyncio.create_task(self._read(), name=f"{spec.name}-read"),
            asyncio.create_task(self._keep_stderr(), name=f"{spec.name}-stderr"),
        ]

    @classmethod
    async def spawn(cls, spec: WorkerSpec) -> WorkerProcess:
        """Start the program and wait until its engine is warm.

        Raises:
            EngineUnavailable: It cannot be started, says that it cannot serve, or takes too long.
            EngineError: Its engine failed while it was loaded.
            EngineDied: It ended before it was ready.
        """
        self = cls(spec, await launch(spec))
        try:
            async with asyncio.timeout(spec.ready_timeout_s):
                self.info = await self._ready
        except TimeoutError:
            await self.stop(grace_s=0.0)
            raise EngineUnavailable(
                f"The {spec.name} worker was not ready within {spec.ready_timeout_s:g} s.",
                hint="The machine may be overloaded, or the model too large for it.",
            ) from None
        except BaseException as error:
            await self.stop(grace_s=0.0)
            if isinstance(error, EngineError):
                log.warning("worker_not_ready", worker=spec.name, stderr=list(self._stderr_tail))
            raise
        if spec.stall_s is not None:
            self._tasks.append(asyncio.create_task(self._watch(spec.stall_s)))
        return self

    @property
    def load(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def alive(self) -> bool:
        """Whether the process still takes streams."""
        return not self._dead

    def open(
        self, header: Mapping[str, Any], payload: bytes = b"", on_reply: OnReply | None = None
    ) -> WorkerStream:
        """Open a stream.

        Raises:
            EngineDied: The process has ended.
            EngineOverloaded: It does not read what it was sent.
        """
        if self._dead:
            raise self._died()
        assert self._process.stdin is not None
        if self._process.stdin.transport.get_write_buffer_size() > _UNWRITTEN_LIMIT_BYTES:
            raise EngineOverloaded(f"The {self._spec.name} worker does not read its input.")
        self._last_stream = self._last_stream % MAX_STREAM + 1
        stream = WorkerStream(
            self._last_stream,
            self._write,
            self._forget,
            on_reply=on_reply,
            backlog_bytes=self._spec.backlog_bytes,
        )
        self._write(Frame(Kind.OPEN, stream.id, header, payload))
        self._streams[stream.id] = stream
        return stream

    async def ended(self) -> int:
        """Wait for the process's end and return its status (negative: the signal)."""
        await asyncio.wait([self._tasks[0]])
        await self.stop()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, grace_s: float | None = None) -> None:
        """End the process: end of input, then SIGTERM, then SIGKILL, each after the grace."""
        grace_s = self._spec.grace_s if grace_s is None else grace_s
        self._die()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            for end_it in (self._process.terminate, self._process.kill):
                if await self._exited_within(grace_s):
                    break
                with contextlib.suppress(ProcessLookupError):
                    end_it()
            await self._process.wait()
            await asyncio.wait(self._tasks[:2], timeout=grace_s)  # what it said last
        finally:
            if self._process.returncode is None:  # cancelled: no more patience
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await self._stop_tasks()

    async def _exited_within(self, grace_s: float) -> bool:
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _write(self, frame: Frame) -> None:
        assert self._process.stdin is not None
        if not self._dead:
            self._process.stdin.write(encode(frame))

    def _forget(self, stream: WorkerStream) -> None:
        self._streams.pop(stream.id, None)

    async def _read(self) -> None:
        """Hand the worker's frames out until its output ends."""
        assert self._process.stdout is not None
        parser = FrameParser()
        try:
            while data := await self._process.stdout.read(_READ_BYTES):
                for frame in parser.feed(data):
                    self._take(frame)
        except WireError as error:
            log.error("worker_broke_protocol", worker=self._spec.name, reason=error.message)
            self._process.kill()
        finally:
            self._die()

    def _take(self, frame: Frame) -> None:
        self._pong.set()
        if frame.stream:
            stream = self._streams.get(frame.stream)
            if stream is None:
                return  # cancelled meanwhile
            if frame.kind is Kind.ERROR:
                stream.fail(_error(frame.header))
            else:
                stream.take(frame)
        elif frame.kind is Kind.READY and not self._ready.done():
            self._ready.set_result(WorkerInfo.from_header(frame.header, self._process.pid))
        elif frame.kind is Kind.ERROR and not self._ready.done():
            self._ready.set_exception(_error(frame.header))

    def _die(self) -> None:
        """Fail everything that still waits for this process."""
        self._dead = True
        if not self._ready.done():
            self._ready.set_exception(self._died())
            self._ready.exception()  # seen: nobody may be waiting any more
        for stream in list(self._streams.values()):
            stream.fail(self._died())

    def _died(self) -> EngineDied:
        return EngineDied(
            f"The {self._spec.name} worker has ended.", hint="It is restarted; say it again."
        )

    async def _keep_stderr(self) -> None:
        """Log the worker's standard error at debug: engines print what they hear."""
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_READ_BYTES:]
            for raw in lines:
                line = raw.decode(errors="replace").rstrip()
                self._stderr_tail.append(line)
                log.debug("worker_stderr", worker=self._spec.name, line=line)

    async def _watch(self, stall_s: float) -> None:
        """Kill the process when it no longer answers."""
        while True:
            self._pong.clear()
            self._write(Frame(Kind.PING))
            try:
                async with asyncio.timeout(stall_s):
                    await self._pong.wait()
            except TimeoutError:
                log.error("worker_stalled", worker=self._spec.name, stall_s=stall_s)
                self._process.kill()
                return
            await asyncio.sleep(stall_s)


def _error(header: Mapping[str, Any]) -> EngineError:
    code = str(header.get("code", EngineError.code))
    kind = EngineUnavailable if code == EngineUnavailable.code else EngineError
    return kind(
        str(header.get("message", "The engine failed.")),
        hint=str(header.get("hint", "")),
        code=code,
    )
