"""Worker processes: streams over one pipe, and everything that can happen to a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apps.core.errors import (
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
)
from apps.voice.workers.host import MAX_BACKOFF_S, WorkerHost, WorkerPool, backoff_s
from apps.voice.workers.spec import WorkerSpec
from apps.voice.workers.stream import WorkerStream
from apps.voice.workers.wire import Frame, Kind
from tests.waiting import until

PROGRAMS = Path(__file__).parent.parent / "worker_programs"


def spec(*args: str, **changes: object) -> WorkerSpec:
    options: dict[str, object] = {
        "ready_timeout_s": 20.0,
        "grace_s": 5.0,
        "env": {"PYTHONPATH": str(PROGRAMS)},
    } | changes
    return WorkerSpec("echo", "echo_worker", args, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def running(host: WorkerHost | WorkerPool) -> AsyncIterator[None]:
    await host.start()
    try:
        yield
    finally:
        await host.close()


def gone(pid: int) -> bool:
    """Whether no process has this id, not even a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ended(pid: int) -> bool:
    """Whether a process that is no child of ours has ended, reaped by its new parent or not."""
    stat = Path(f"/proc/{pid}/stat")
    return gone(pid) or (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


async def say_hello(host: WorkerHost | WorkerPool) -> str:
    frame = await host.open({"do": "hello", "name": "you"}).receive()
    assert frame is not None
    return str(frame.header["hello"])


async def test_a_worker_says_what_it_loaded_and_how_long_that_took() -> None:
    host = WorkerHost(spec(nice=3))
    async with running(host):
        info = host.info
        assert info is not None
        assert (info.name, info.version) == ("echo", "1")
        assert info.loaded == {"pid": info.pid, "nice": os.nice(0) + 3}
        assert info.warm_up_ms >= 0.0


async def test_two_streams_interleave_and_each_gets_its_own_replies() -> None:
    host = WorkerHost(spec())
    async with running(host):
        one, two = host.open({}), host.open({})
        for number in range(5):
            one.send({}, bytes([1, number]))
            two.send({}, bytes([2, number]))
        one.send({"do": "finish"})
        two.send({"do": "finish"})
        for stream, tag in ((two, 2), (one, 1)):
            for number in range(5):
                frame = await stream.receive()
                assert frame is not None
                assert frame.payload == bytes([tag, number])
            last = await stream.receive()
            assert last is not None
            assert last.payload == b"".join(bytes([tag, number]) for number in range(5))
            assert await stream.receive() is None
            stream.send({}, b"after the end")  # does nothing
            stream.cancel()
        assert host.load == 0


async def test_replies_can_be_taken_by_a_callback_and_the_end_awaited() -> None:
    host = WorkerHost(spec())
    async with running(host):
        got: list[Frame] = []
        stream = host.open({}, on_reply=got.append)
        stream.send({}, b"abc")
        stream.send({"do": "finish"})
        assert await stream.receive() is None
        assert [frame.payload for frame in got] == [b"abc", b"abc"]


async def test_a_callback_that_fails_costs_its_own_stream_alone() -> None:
    def broken(frame: Frame) -> None:
        raise ValueError("no")

    host = WorkerHost(spec())
    async with running(host):
        stream = host.open({}, on_reply=broken)
        stream.send({}, b"abc")
        with pytest.raises(EngineError):
            await stream.receive()
        assert await say_hello(host) == "you"


async def test_killing_the_worker_fails_its_streams_and_the_next_stream_works() -> None:
    restarts: list[str] = []
    host = WorkerHost(spec(), on_restart=restarts.append)
    async with running(host):
        assert host.info is not None
        first_pid = host.info.pid
        stream = host.open({})
        stream.send({}, b"abc")
        assert (await stream.receive()) is not None
        os.kill(first_pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            await stream.receive()
        with pytest.raises(EngineDied):
            stream.send({}, b"more")
        with pytest.raises(EngineDied):
            host.open({})
        await asyncio.wait_for(host.wait_ready(), 20)
        assert await say_hello(host) == "you"
        assert restarts == ["echo"]
        assert host.info.pid != first_pid
        assert gone(first_pid)


async def test_a_pool_goes_on_with_the_others_while_one_is_restarted() -> None:
    pool = WorkerPool(spec(), 2)
    async with running(pool):
        assert len(pool.infos) == 2
        streams = [pool.open({}) for _ in range(4)]
        streams[0].send({"do": "die"})
        with pytest.raises(EngineDied):
            await streams[0].receive()
        assert len(pool.infos) == 1
        assert await say_hello(pool) == "you"
        # The least loaded worker got each stream in turn: one other died with the first.
        streams[1].send({}, b"1")
        streams[3].send({}, b"3")
        assert (await streams[1].receive()) is not None
        assert (await streams[3].receive()) is not None
        with pytest.raises(EngineDied):
            await streams[2].receive()


async def test_a_pool_without_a_living_worker_says_so_until_one_is_back() -> None:
    pool = WorkerPool(spec())
    with pytest.raises(EngineDied):
        pool.open({})
    async with running(pool):
        pool.open({}).send({"do": "die"})
        await until(lambda: not pool.infos)
        with pytest.raises(EngineDied, match="No echo worker"):
            pool.open({})
        await asyncio.wait_for(pool.wait_ready(), 20)
        assert await say_hello(pool) == "you"


async def test_a_restart_that_fails_is_tried_again(tmp_path: Path) -> None:
    restarts: list[str] = []
    host = WorkerHost(spec("second", str(tmp_path / "starts")), on_restart=restarts.append)
    async with running(host):
        host.open({}).send({"do": "die"})
        await until(lambda: len(restarts) == 2)
        await asyncio.wait_for(host.wait_ready(), 20)
        assert await say_hello(host) == "you"


async def test_a_cancelled_stream_frees_the_worker_at_once() -> None:
    host = WorkerHost(spec())
    async with running(host):
        stream = host.open({})
        stream.send({"do": "count"})  # ten seconds of work
        assert (await stream.receive()) is not None
        started = time.perf_counter()
        stream.cancel()
        assert await stream.receive() is None
        frame = await host.open({"do": "closed"}).receive()
        assert frame is not None
        assert frame.header == {"closed": 1}
        assert time.perf_counter() - started < 2.0


async def test_a_worker_that_falls_behind_is_reported_before_memory_fills() -> None:
    host = WorkerHost(spec(backlog_bytes=32_000))
    async with running(host):
        stream = host.open({})
        stream.send({"do": "sleep", "s": 0.2})
        for _ in range(10):
            stream.send({}, bytes(3200))
        with pytest.raises(EngineOverloaded):
            stream.send({}, bytes(3200))
        for _ in range(10):
            assert (await stream.receive()) is not None
        await until(lambda: stream.backlog_bytes <= 16_000)
        stream.send({}, bytes(3200))  # it has caught up
        assert (await stream.receive()) is not None


async def test_a_failure_ends_its_stream_with_the_workers_own_words() -> None:
    host = WorkerHost(spec())
    async with running(host):
        stream = host.open({})
        stream.send({"do": "fail"})
        with pytest.raises(EngineError, match="It does not work") as caught:
            await stream.receive()
        assert (caught.value.code, caught.value.hint) == ("broken", "Try later.")
        crashed = host.open({})
        crashed.send({"do": "crash"})
        with pytest.raises(EngineError, match="RuntimeError") as caught:
            await crashed.receive()
        assert "secret" not in str(caught.value)
        assert await say_hello(host) == "you"


async def test_what_a_library_prints_never_reaches_the_wire() -> None:
    host = WorkerHost(spec())
    async with running(host):
        stream = host.open({})
        stream.send({"do": "print"})
        frame = await stream.receive()
        assert frame is not None
        assert frame.header == {"printed": True}


@pytest.mark.parametrize("how", ["garbage", "close_output"])
async def test_a_worker_that_breaks_the_protocol_is_replaced(how: str) -> None:
    host = WorkerHost(spec(grace_s=0.2))
    async with running(host):
        stream = host.open({})
        stream.send({"do": how})
        with pytest.raises(EngineDied):
            await stream.receive()
        await asyncio.wait_for(host.wait_ready(), 20)
        assert await say_hello(host) == "you"


async def test_a_worker_that_turns_no_message_is_killed_and_replaced() -> None:
    host = WorkerHost(spec(stall_s=0.3))
    async with running(host):
        stream = host.open({})
        stream.send({"do": "sleep", "s": 60})
        with pytest.raises(EngineDied):
            await asyncio.wait_for(stream.receive(), 10)
        await asyncio.wait_for(host.wait_ready(), 20)
        assert await say_hello(host) == "you"


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        (["unavailable"], EngineUnavailable, "There is no model"),
        (["crash"], EngineError, "could not be loaded"),
        (["exit"], EngineDied, "has ended"),
    ],
)
async def test_a_worker_that_cannot_serve_says_why_and_is_gone(
    args: list[str], error: type[EngineError], words: str
) -> None:
    pool = WorkerPool(spec(*args), 2)
    with pytest.raises(error, match=words):
        await pool.start()
    assert pool.infos == []
    await pool.close()


async def test_a_worker_that_loads_for_too_long_is_given_up() -> None:
    host = WorkerHost(spec("slow", os.devnull, ready_timeout_s=0.5, grace_s=0.1))
    with pytest.raises(EngineUnavailable, match="not ready within"):
        await host.start()


async def test_a_program_that_does_not_exist_is_unavailable() -> None:
    with pytest.raises(EngineDied):
        await WorkerHost(WorkerSpec("none", "no_such_worker")).start()


async def test_a_system_that_starts_no_process_makes_the_engine_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(EngineUnavailable, match="cannot be started"):
        await WorkerHost(spec()).start()


async def test_a_worker_that_reads_nothing_takes_no_more_streams() -> None:
    host = WorkerHost(spec())
    async with running(host):
        assert host.info is not None
        os.kill(host.info.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                host.open({}, bytes(4 << 20))
            with pytest.raises(EngineOverloaded):
                host.open({})
        finally:
            os.kill(host.info.pid, signal.SIGCONT)


async def test_closing_leaves_no_process_behind_even_while_the_engine_works() -> None:
    pool = WorkerPool(spec(grace_s=0.2), 2)
    await pool.start()
    pids = [info.pid for info in pool.infos]
    busy = pool.open({})
    busy.send({"do": "sleep", "s": 60})
    idle = pool.open({})
    await pool.close()
    assert all(gone(pid) for pid in pids)
    with pytest.raises(EngineDied):
        await busy.receive()
    with pytest.raises(EngineDied):
        await idle.receive()
    await pool.close()  # twice does no harm


async def test_a_start_that_is_cancelled_leaves_no_process_behind(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    start = asyncio.create_task(WorkerPool(spec("slow", str(marker))).start())
    await until(lambda: marker.exists() and marker.read_text() != "")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert gone(int(marker.read_text()))


@pytest.mark.parametrize("do", ["nothing", "sleep"])
async def test_a_worker_dies_with_its_host_even_while_it_works(do: str) -> None:
    script = f"""
import asyncio
from apps.voice.workers.host import WorkerHost
from apps.voice.workers.spec import WorkerSpec
async def main():
    host = WorkerHost(WorkerSpec("echo", "echo_worker"))
    info = await host.start()
    host.open({{}}).send({{"do": {do!r}, "s": 60}})
    await asyncio.sleep(0.1)
    print("pid", info.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROGRAMS)},
    )
    assert host.stdout is not None
    line = b""
    while not line.startswith(b"pid "):  # log lines come first
        line = await asyncio.wait_for(host.stdout.readline(), 20)
    pid = int(line.split()[1])
    host.kill()
    await host.wait()
    await until(lambda: ended(pid))


async def test_ctrl_c_in_the_terminal_does_not_reach_a_worker() -> None:
    host = WorkerHost(spec())
    async with running(host):
        assert host.info is not None
        assert os.getpgid(host.info.pid) != os.getpgid(0)
        os.kill(host.info.pid, signal.SIGINT)
        assert await say_hello(host) == "you"


async def test_a_session_that_cannot_be_closed_does_not_hurt_the_worker() -> None:
    host = WorkerHost(spec())
    async with running(host):
        stream = host.open({})
        stream.send({}, b"unclosable")
        stream.send({"do": "finish"})
        while await stream.receive() is not None:
            pass
        assert await say_hello(host) == "you"


async def test_replies_that_nobody_receives_fail_their_stream_alone() -> None:
    sent: list[Frame] = []
    stream = WorkerStream(1, sent.append, lambda stream: None, reply_bytes=1000)
    for _ in range(3):
        stream.take(Frame(Kind.REPLY, 1, {}, bytes(400)))
    assert [frame.kind for frame in sent] == [Kind.CANCEL]
    with pytest.raises(EngineOverloaded):
        await stream.receive()


def test_the_first_restart_is_immediate_and_later_ones_wait_longer_up_to_a_cap() -> None:
    waits = [backoff_s(deaths) for deaths in range(1, 12)]
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[-1] == MAX_BACKOFF_S


def test_a_pool_has_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WorkerPool(spec(), 0)
