"""What a worker does while no message waits: sessions take turns, and messages come first."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from apps.voice.workers.serve import ReplyStream, Server
from apps.voice.workers.wire import Frame, FrameParser, Kind, encode


class Patient:
    """Replies once for each message, and a number of times when idle."""

    def __init__(self, stream: ReplyStream, times: int) -> None:
        self.stream = stream
        self.times = times

    def message(self, header: Mapping[str, Any], payload: bytes) -> None:
        self.stream.reply({"message": True})

    def idle(self) -> bool:
        if self.times == 0:
            return False
        if self.times < 0:
            raise RuntimeError("a broken session")
        self.times -= 1
        self.stream.reply({"left": self.times})
        return True

    def close(self) -> None:
        pass


class PatientWorker:
    name = "patient"
    version = "1"

    def __init__(self) -> None:
        self.messages_are_there = threading.Event()

    def load(self) -> Mapping[str, Any]:
        self.messages_are_there.wait(10)
        return {}

    def open(self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes) -> Patient:
        return Patient(stream, header["times"])


def replies(*frames: Frame, expected: int) -> list[tuple[int, Kind, dict[str, Any]]]:
    """Send frames at once, and return what the worker sends once it is ready."""
    (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()
    os.write(in_write, b"".join(encode(frame) for frame in frames))
    worker = PatientWorker()
    server = Server(worker, in_read, out_write)
    thread = threading.Thread(target=server.run)
    thread.start()
    while server._inbox.qsize() < len(frames):
        time.sleep(0.001)
    worker.messages_are_there.set()
    parser, got = FrameParser(), []
    while len(got) < expected + 1:
        got += parser.feed(os.read(out_read, 65536))
    os.close(in_write)
    thread.join(10)
    for fd in (in_read, out_read, out_write):
        os.close(fd)
    return [(frame.stream, frame.kind, dict(frame.header)) for frame in got[1:]]


def test_idle_sessions_take_turns_after_all_messages_are_handled() -> None:
    got = replies(
        Frame(Kind.OPEN, 1, {"times": 2}),
        Frame(Kind.OPEN, 2, {"times": 2}),
        Frame(Kind.DATA, 2, {"any": 1}),
        expected=5,
    )

    assert got[0] == (2, Kind.REPLY, {"message": True})
    assert [(stream, header["left"]) for stream, _, header in got[1:]] == [
        (1, 1),
        (2, 1),
        (1, 0),
        (2, 0),
    ]


def test_a_session_that_fails_when_idle_fails_alone() -> None:
    got = replies(Frame(Kind.OPEN, 1, {"times": -1}), Frame(Kind.OPEN, 2, {"times": 1}), expected=2)

    assert got[0][:2] == (1, Kind.ERROR)
    assert got[1] == (2, Kind.REPLY, {"left": 0})
