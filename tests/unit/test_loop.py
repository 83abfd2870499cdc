"""The server's event loop: sockets wait for the next tick, other threads and timers do not."""

import asyncio
import socket
import time

import pytest

from apps.core.loop import TICK_MS, last_tick_ms, new_event_loop


def on_the_loop(scenario):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(scenario())


def since_tick_ms():
    now_ms = time.monotonic() * 1000
    return now_ms - last_tick_ms(now_ms)


def test_a_moment_belongs_to_the_tick_at_or_before_it():
    assert last_tick_ms(20.0) == 20.0
    assert last_tick_ms(24.9) == 20.0
    assert last_tick_ms(19.9999999) == 20.0  # a sum of floats


def test_what_a_socket_brings_is_read_at_a_tick():
    async def scenario():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        late = []
        with ours, theirs:
            for number in range(40):
                loop.call_later(0.003 + 0.0007 * number % 0.005, theirs.send, b"x")
                await loop.sock_recv(ours, 1)
                late.append(since_tick_ms())
        return late

    late = on_the_loop(scenario)

    assert sorted(late)[len(late) // 2] < 0.5 * TICK_MS  # by chance half of them would be later


def test_another_thread_is_not_kept_waiting():
    async def scenario():
        took = []
        for _ in range(100):
            began = time.perf_counter()
            await asyncio.to_thread(int)
            took.append((time.perf_counter() - began) * 1000)
        return took

    took = on_the_loop(scenario)

    assert sorted(took)[len(took) // 2] < 0.5 * TICK_MS


def test_a_timer_rings_when_it_is_due():
    async def scenario():
        late = []
        for number in range(20):
            due = time.monotonic() + 0.001 * (number % 7 + 1)
            await asyncio.sleep(due - time.monotonic())
            late.append((time.monotonic() - due) * 1000)
        return late

    late = on_the_loop(scenario)

    assert sorted(late)[len(late) // 2] < 0.5 * TICK_MS


def test_it_lets_go_of_what_it_watched():
    loop = new_event_loop()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)
