"""The worker's side of the pipe: a program that hosts an engine is a `load` and an `open`.

One thread reads frames, so that a cancel is noticed while the engine computes; the main thread
handles them, each stream's in order, and is the only one that touches the engine and writes. The
worker ends when its standard input does, so it never outlives the host, however that ended.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from apps.core.errors import EngineError, TomError
from apps.voice.workers.fair import FairInbox
from apps.voice.workers.wire import Frame, FrameParser, Kind, WireError, encode

NICE_VARIABLE = "TOM_WORKER_NICE"
ACK_BYTES = 8192
_STUCK_S = 1.0
_READ_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1

_T = TypeVar("_T")


class Session(Protocol):
    """The engine's state of one stream that takes more than its opening message."""

    def message(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Handle one message; reply through the stream, and end it after the last reply."""
        ...

    def close(self) -> None:
        """Free what the stream holds; called once, after its end, failure or cancel."""
        ...


@runtime_checkable
class PatientSession(Session, Protocol):
    """A session with work that may wait until no message does, such as a hypothesis so far."""

    def idle(self) -> bool:
        """Do one piece of that work; False when there is none now."""
        ...


class Worker(Protocol):
    """An engine as a program: what `serve` needs of it."""

    name: str
    version: str  # read after load()

    def load(self) -> Mapping[str, Any]:
        """Load and warm the engine; return what was loaded, for /readyz.

        Raises:
            EngineUnavailable: It cannot serve; the host passes the sentence and the hint on.
        """
        ...

    def open(
        self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes
    ) -> Session | None:
        """Begin a stream; None when everything has been replied and the stream is complete."""
        ...


class ReplyStream:
    """Where a worker answers one stream."""

    def __init__(self, stream_id: int, out: _Out) -> None:
        self.id = stream_id
        self._out = out
        self._cancelled = threading.Event()
        self._ended = False
        self._unacknowledged = 0

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the answer any more; ask between chunks, and stop."""
        return self._cancelled.is_set()

    @property
    def ended(self) -> bool:
        """Whether the last reply, or an error, has been sent."""
        return self._ended

    def reply(self, header: Mapping[str, Any] | None = None, payload: bytes = b"") -> None:
        """Send something to the stream's owner; nothing once it is cancelled or ended."""
        self._send(Frame(Kind.REPLY, self.id, header or {}, payload))

    def end(self) -> None:
        """Say that the stream is complete."""
        self._send(Frame(Kind.END, self.id))
        self._ended = True

    def fail(self, error: TomError) -> None:
        """Say that the stream failed; the owner gets the error's code, sentence and hint."""
        self._send(Frame(Kind.ERROR, self.id, error.as_dict()))
        self._ended = True

    def cancel(self) -> None:
        """Mark the stream as unwanted; called by the reading thread."""
        self._cancelled.set()

    def acknowledge(self, size: int) -> None:
        """Tell the host, now and then, how much of what it sent has been handled."""
        self._unacknowledged += size
        if self._unacknowledged >= ACK_BYTES:
            self._send(Frame(Kind.ACK, self.id, {"bytes": self._unacknowledged}))
            self._unacknowledged = 0

    def _send(self, frame: Frame) -> None:
        if not self._ended and not self.cancelled:
            self._out.send(frame)


class _Out:
    """The pipe to the host."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, frame: Frame) -> None:
        """Write one frame; blocks until the host has taken it."""
        view = memoryview(encode(frame))
        while view:
            view = view[os.write(self._fd, view) :]


class Server:
    """Serves one worker over a pair of file descriptors."""

    def __init__(self, worker: Worker, in_fd: int, out_fd: int) -> None:
        self._worker = worker
        self._in_fd = in_fd
        self._out = _Out(out_fd)
        self._inbox = FairInbox()
        self._streams: dict[int, ReplyStream] = {}
        self._sessions: dict[int, Session] = {}
        self._finished = threading.Event()

    def run(self) -> int:
        """Load, say so, and serve until the host closes the pipe; return the exit status."""
        threading.Thread(target=self._read, name="worker-reader", daemon=True).start()
        try:
            return self._serve()
        except BrokenPipeError:
            return 0
        finally:
            for stream_id in list(self._streams):
                self._close(stream_id)
            self._finished.set()

    def _serve(self) -> int:
        if not self._load():
            return 1
        while (frame := self._next()) is not None:
            if frame.kind is Kind.PING:
                self._out.send(Frame(Kind.PONG))
            elif frame.stream in self._streams:
                self._handle(self._streams[frame.stream], frame)
        return 0

    def _load(self) -> bool:
        started = time.perf_counter()
        try:
            loaded = self._worker.load()
        except Exception as error:
            self._out.send(Frame(Kind.ERROR, 0, _told(error, "could not be loaded").as_dict()))
            return False
        header = {
            "name": self._worker.name,
            "version": self._worker.version,
            "loaded": dict(loaded),
            "warm_up_ms": round((time.perf_counter() - started) * 1000.0, 1),
        }
        self._out.send(Frame(Kind.READY, 0, header))
        return True

    def _next(self) -> Frame | None:
        """Return the next frame; while none waits, sessions do what may wait, turn by turn."""
        while self._inbox.empty() and self._idle():
            pass
        return self._inbox.get()

    def _idle(self) -> bool:
        for stream_id, session in list(self._sessions.items()):
            if isinstance(session, PatientSession):
                worked = self._guarded(self._streams[stream_id], session.idle)
                if worked:
                    if stream_id in self._sessions:  # behind the others the next time
                        self._sessions[stream_id] = self._sessions.pop(stream_id)
                    return True
        return False

    def _handle(self, stream: ReplyStream, frame: Frame) -> None:
        """Let the engine handle one frame of one stream."""
        self._guarded(stream, lambda: self._pass_on(stream, frame))

    def _guarded(self, stream: ReplyStream, work: Callable[[], _T]) -> _T | None:
        """Work for one stream, unless nobody wants it; its failure is that stream's alone."""
        result = None
        if not stream.cancelled:
            started = time.perf_counter()
            try:
                result = work()
            except BrokenPipeError:
                raise
            except Exception as error:
                stream.fail(_told(error, "failed"))
            self._inbox.charge(stream.id, time.perf_counter() - started)
        if stream.ended or stream.cancelled:
            self._close(stream.id)
        return result

    def _pass_on(self, stream: ReplyStream, frame: Frame) -> None:
        if frame.kind is Kind.OPEN:
            session = self._worker.open(stream, frame.header, frame.payload)
            if session is not None:
                self._sessions[stream.id] = session
            elif not stream.ended:
                stream.end()
        elif stream.id in self._sessions:
            self._sessions[stream.id].message(frame.header, frame.payload)
        stream.acknowledge(len(frame.payload))

    def _close(self, stream_id: int) -> None:
        del self._streams[stream_id]
        self._inbox.forget(stream_id)
        session = self._sessions.pop(stream_id, None)
        if session is not None:
            try:
                session.close()
            except Exception:
                traceback.print_exc()

    def _read(self) -> None:
        """Read frames until the host is gone; then see to it that this process ends as well."""
        parser = FrameParser()
        try:
            while data := os.read(self._in_fd, _READ_BYTES):
                for frame in parser.feed(data):
                    self._accept(frame)
        except (OSError, WireError):
            traceback.print_exc()
        for stream in list(self._streams.values()):
            stream.cancel()
        self._inbox.close()
        if not self._finished.wait(_STUCK_S):
            os._exit(0)  # the engine does not come back, and nobody is waiting for it

    def _accept(self, frame: Frame) -> None:
        if frame.kind is Kind.OPEN:
            self._streams[frame.stream] = ReplyStream(frame.stream, self._out)
        elif frame.kind is Kind.CANCEL and (stream := self._streams.get(frame.stream)):
            stream.cancel()
        self._inbox.put(frame)


def _told(error: Exception, what: str) -> TomError:
    """Return what the host is told; the rest goes to standard error, which stays at debug."""
    if isinstance(error, TomError):
        return error
    traceback.print_exc()
    return EngineError(f"The engine {what} ({type(error).__name__}).")


def serve(worker: Worker) -> int:
    """Serve a worker over standard input and output; return the process's exit status."""
    _die_with_the_host()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, which drains first
    nice = int(os.environ.get(NICE_VARIABLE, "0"))
    if nice:
        os.nice(nice)
    # Libraries print where they like: only our own descriptors reach the host.
    in_fd, out_fd = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return Server(worker, in_fd, out_fd).run()


def _die_with_the_host() -> None:
    """Ask Linux to kill this process with its parent, even while an engine holds the GIL."""
    if not sys.platform.startswith("linux"):
        return  # elsewhere the end of standard input has to do
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
