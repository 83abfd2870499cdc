"""A worker without an engine that does whatever a test asks of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from apps.core.errors import EngineError, EngineUnavailable
from apps.voice.workers.serve import ReplyStream, serve


class Echo:
    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream
        self._heard = b""

    def message(self, header: Mapping[str, Any], payload: bytes) -> None:
        match header.get("do"):
            case "count":  # until cancelled
                for number in range(10_000):
                    if self._stream.cancelled:
                        return
                    self._stream.reply({"number": number}, bytes(int(header.get("size", 0))))
                    time.sleep(0.001)
            case "sleep":
                time.sleep(header["s"])
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise EngineError("It does not work.", hint="Try later.", code="broken")
            case "crash":
                raise RuntimeError("secret words")
            case "print":
                print("not a frame", flush=True)  # noqa: T201
                os.write(1, b"neither")
                self._stream.reply({"printed": True})
            case "close_output":
                os.closerange(3, 64)
            case "garbage":
                for fd in range(3, 16):
                    with contextlib.suppress(OSError):
                        os.write(fd, b"\xff" * 64)
            case "finish":
                self._stream.reply({"heard": len(self._heard)}, self._heard)
                self._stream.end()
            case _:
                self._heard += payload
                self._stream.reply({"got": len(payload)}, payload)

    def close(self) -> None:
        EchoWorker.closed += 1
        if self._heard == b"unclosable":
            raise RuntimeError("it does not close")


class EchoWorker:
    name = "echo"
    version = "1"
    closed = 0

    def load(self) -> Mapping[str, Any]:
        match sys.argv[1:]:
            case ["unavailable"]:
                raise EngineUnavailable("There is no model.", hint="Fetch one.")
            case ["crash"]:
                raise RuntimeError("it does not load")
            case ["exit"]:
                os.write(2, b"a library says goodbye\n")
                os._exit(3)
            case ["slow", marker]:
                with open(marker, "w") as file:
                    file.write(str(os.getpid()))
                time.sleep(60)
            case ["second", marker]:  # the second start fails, the third works
                with open(marker, "a") as file:
                    file.write("x")
                if os.path.getsize(marker) == 2:
                    raise EngineUnavailable("Not the second time.")
        return {"pid": os.getpid(), "nice": os.nice(0)}

    def open(self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes) -> Echo | None:
        match header.get("do"):
            case "closed":
                stream.reply({"closed": EchoWorker.closed})
                return None
            case "hello":
                stream.reply({"hello": header.get("name", "")}, payload)
                return None
        return Echo(stream)


if __name__ == "__main__":
    raise SystemExit(serve(EchoWorker()))
