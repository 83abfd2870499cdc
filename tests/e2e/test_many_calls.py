"""Many callers at once: who gets a line is served as if alone, who gets none is told so at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.phone import Phone, dial
from tests.e2e.servers import Running, running, wait_until

LINES, CALLERS = 5, 30
BUSY = 1013
TYPED = {"mode": "text", "language": "en"}
REGISTER = "what documents do i need to register a used car"


@pytest.fixture(scope="module")
def five_lines(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("five")
    settings = {
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_MAX_CALLS": str(LINES),
        "RL_SEED": "7",
    }
    with running(folder, model_cache, **settings) as server:
        yield server
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []


@dataclass
class Attempt:
    """What one caller got."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def kinds(self) -> list[str]:
        return [str(message["type"]) for message in self.messages]


async def attempt(calls: str, go: asyncio.Event, over: asyncio.Event) -> Attempt:
    """Call when everybody does; who is served asks, and stays until all have been answered."""
    got = Attempt()
    async with connect(calls, compression=None) as socket:
        await go.wait()
        await socket.send(json.dumps({"type": "start", **TYPED}))
        stay = asyncio.create_task(over.wait())
        listen = asyncio.create_task(_listen(socket, got))
        await asyncio.wait([stay, listen], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        if not listen.done():
            await socket.send(json.dumps({"type": "hangup"}))
        await asyncio.wait([listen], timeout=10)
        stay.cancel()
    got.close_code = socket.close_code
    return got


async def _listen(socket: Any, got: Attempt) -> None:
    asked = False
    try:
        async for message in socket:
            got.messages.append(json.loads(message))
            if not asked and got.messages[-1].get("state") == "listening":
                asked = True
                await socket.send(json.dumps({"type": "text", "text": REGISTER}))
    except ConnectionClosed:
        pass


async def test_of_thirty_callers_at_once_five_are_served_and_the_others_told_that_it_is_busy(
    five_lines: Running,
) -> None:
    async with dial(five_lines.calls, **TYPED) as alone:
        expected = await alone.ask(REGISTER)
    await no_call_is_left(five_lines)
    refused_before = five_lines.metric("tom_calls_refused_total", reason="busy")

    go, over = asyncio.Event(), asyncio.Event()
    callers = [asyncio.create_task(attempt(five_lines.calls, go, over)) for _ in range(CALLERS)]
    await asyncio.sleep(1.0)
    go.set()
    await asyncio.sleep(3.0)
    over.set()
    attempts = await asyncio.gather(*callers)

    busy = [got for got in attempts if "call.started" not in got.kinds]
    served = [got for got in attempts if "call.started" in got.kinds]
    assert len(served) == LINES
    assert len(busy) == CALLERS - LINES
    for got in busy:  # the error, and nothing of a call before or after it
        assert got.kinds == ["error"]
        assert got.messages[0]["code"] == "busy"
        assert got.messages[0]["hint"]
        assert got.close_code == BUSY
    for got in served:
        said = [m["text"] for m in got.messages if m.get("role") == "assistant" and "text" in m]
        assert said[-len(expected) :] == expected
        assert "error" not in got.kinds
        assert got.messages[-1]["type"] == "call.ended"
    refused = five_lines.metric("tom_calls_refused_total", reason="busy") - refused_before
    assert refused == len(busy)
    assert five_lines.metric("tom_event_loop_lag_seconds_count") > 30  # watched all the while


async def no_call_is_left(server: Running) -> None:
    await asyncio.to_thread(wait_until, lambda: server.ready()["live_calls"] == 0, 5)


async def hang_up(phone: Phone) -> None:
    await phone.send(type="hangup")
    await phone.ends()


async def say_goodbye(phone: Phone) -> None:
    await phone.send(type="text", text="goodbye")
    await phone.ends()


async def break_off(phone: Phone) -> None:
    phone.socket.transport.abort()


async def talk_nonsense(phone: Phone) -> None:
    for _ in range(25):
        await phone.send(type="nonsense")
    await phone.ends()


@asynccontextmanager
async def all_lines_taken(server: Running) -> AsyncIterator[list[Phone]]:
    async with AsyncExitStack() as stack:
        yield [await taken(server, stack) for _ in range(LINES)]


async def taken(server: Running, stack: AsyncExitStack) -> Phone:
    phone = await stack.enter_async_context(dial(server.calls, **TYPED))
    await phone.until(lambda p: p.state == "listening")
    return phone


@pytest.mark.parametrize("end", [hang_up, say_goodbye, break_off, talk_nonsense])
async def test_a_line_is_free_again_once_a_call_has_ended_in_any_way(
    five_lines: Running, end: Any
) -> None:
    async with all_lines_taken(five_lines) as phones, AsyncExitStack() as stack:
        assert five_lines.ready()["code"] == 503
        async with dial(five_lines.calls, **TYPED) as one_too_many:
            await one_too_many.ends()
        assert one_too_many.close_code == BUSY
        await end(phones[0])
        await asyncio.to_thread(wait_until, lambda: five_lines.ready()["code"] == 200, 3)
        await taken(five_lines, stack)
        assert five_lines.ready()["live_calls"] == LINES
        assert [phone.over for phone in phones[1:]] == [False] * (LINES - 1)
    await no_call_is_left(five_lines)
