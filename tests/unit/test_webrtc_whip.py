"""WHIP: an offer is answered, its call begins when the connection stands, and nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from apps.core.errors import AtCapacity, ProtocolError
from apps.dispatcher.routes import whip
from apps.dispatcher.routes.peer_calls import PeerCalls
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.trust import Grant
from apps.voice.doors.base import CallerHungUp, CallRequest, Door, DoorEvent
from apps.voice.doors.webrtc import peer as peers
from apps.voice.doors.webrtc.ice import IceServer
from tests.webrtc_caller import Caller

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
HERE, ELSEWHERE = ("127.0.0.1", 1), ("203.0.113.9", 1)


@dataclass
class Board:
    """A switchboard that keeps a call until the caller hangs up."""

    busy: bool = False
    crashes: bool = False
    lines: list[str] = field(default_factory=list)
    requests: list[CallRequest] = field(default_factory=list)
    observers: list[bool] = field(default_factory=list)
    events: list[DoorEvent] = field(default_factory=list)

    def admit(self, door: str) -> None:
        if self.busy:
            raise AtCapacity("All lines are busy.")

    def refused(self, door: str, error: AtCapacity) -> None:
        pass

    @contextmanager
    def reserve(self, door: str) -> Iterator[str]:
        self.lines.append(door)
        try:
            yield "call-1"
        finally:
            self.lines.remove(door)

    def options(self, door: Door) -> None:
        if door.request.profile == "nobody":
            raise ProtocolError("There is no such profile.", code="unknown_profile")

    async def take(self, door: Door, reserved: str) -> None:
        assert reserved == "call-1"
        self.requests.append(door.request)
        self.observers.append(door.capabilities.observe)
        if self.crashes:
            raise RuntimeError("a defect")
        await door.tell("call.started", {})
        async for event in door.events():
            if isinstance(event, CallerHungUp):
                self.events.append(event)
        await door.close("caller_hung_up")


class Whip:
    """A server, and an HTTP client to it."""

    def __init__(self, client: httpx.AsyncClient, calls: PeerCalls, board: Board) -> None:
        self.client, self.calls, self.board = client, calls, board
        self.reception = calls._reception

    async def call(self, query: str = "", **headers: str) -> tuple[Caller, str]:
        """Call, and return the caller and the call's path."""
        caller = Caller()
        answer = await self.client.post(
            f"/whip{query}", content=await caller.offer(), headers=SDP | headers
        )
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-type"].startswith("application/sdp")
        await caller.accept(answer.text)
        await caller.until(lambda c: c.of("call.started"))
        return caller, answer.headers["location"]

    async def refusal(self, body: str | bytes = b"", path: str = "/whip", **more: Any) -> tuple:
        """Post something that is refused; returns the status and the code."""
        headers = more.pop("headers", SDP)
        answer = await self.client.request("POST", path, content=body, headers=headers, **more)
        return answer.status_code, answer.json()["error"]["code"]

    async def over(self) -> None:
        """Wait until no call is left."""
        async with asyncio.timeout(10):
            await asyncio.gather(*(going.task for going in self.calls._going.values()))


@asynccontextmanager
async def serving(
    board: Board, client: tuple[str, int] = HERE, **reception: Any
) -> AsyncGenerator[Whip, None]:
    servers = (IceServer(("stun:stun.example.org",)), IceServer(("turn:t.example",), "u", "c"))
    calls = PeerCalls(Reception(board, "t" * 32, **reception), "webrtc")  # type: ignore[arg-type]
    app = FastAPI()
    # The peers of the tests are on this machine: the servers are only told of.
    app.include_router(whip.router(calls._reception, calls, lambda: servers))
    transport = httpx.ASGITransport(app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        try:
            yield Whip(http, calls, board)
        finally:
            await calls.aclose()
    assert len(calls) == 0
    assert board.lines == []


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect without any network."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    answer = peers.Peer.answer
    monkeypatch.setattr(peers.Peer, "answer", lambda sdp, _, **more: answer(sdp, **more))


def run(scenario: Callable[[Whip], Awaitable[None]], board: Board | None = None, **more: Any):
    async def main() -> None:
        async with serving(board or Board(), **more) as server:
            await scenario(server)

    asyncio.run(main())


def test_a_call_from_the_offer_to_delete() -> None:
    async def scenario(server: Whip) -> None:
        caller, path = await server.call("?profile=kfz&language=de")
        assert server.board.requests == [CallRequest("kfz", "de")]
        assert server.board.observers == [False]
        assert server.board.lines == ["webrtc"]
        assert (await server.client.delete(path)).status_code == 200
        await caller.ends()
        await server.over()
        assert server.board.events == [CallerHungUp()]
        gone = await server.client.delete(path)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_call")
        await caller.close()

    run(scenario)


def test_the_way_to_a_call_cannot_be_guessed() -> None:
    async def scenario(server: Whip) -> None:
        first, one = await server.call()
        second, other = await server.call()
        assert len({one, other}) == 2
        assert min(len(one), len(other)) >= len("/whip/") + 32
        await first.close()
        await second.close()
        await server.over()

    run(scenario)


def many_candidates(count: int) -> str:
    return "".join(f"a=candidate:1 1 udp 1 192.0.2.9 {n} typ host\r\n" for n in range(1, count))


def test_candidates_are_trickled_by_patch() -> None:
    async def scenario(server: Whip) -> None:
        caller, path = await server.call()
        lines = many_candidates(40) + "a=end-of-candidates"
        taken = await server.client.patch(path, content=lines, headers=FRAGMENT)
        assert taken.status_code == 204
        for lines in ("a=candidate:x", many_candidates(40)):
            bad = await server.client.patch(path, content=lines, headers=FRAGMENT)
            assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_message")
        await caller.close()

    run(scenario)


def test_what_cannot_be_answered_is_refused_and_keeps_no_line() -> None:
    async def scenario(server: Whip) -> None:
        caller = Caller()
        offer = await caller.offer()
        assert await server.refusal("v=0") == (400, "bad_sdp")
        assert await server.refusal(b"\xff") == (400, "bad_sdp")
        assert await server.refusal("x" * 70_000) == (400, "bad_sdp")
        assert await server.refusal(offer, headers={"Content-Type": "text/plain"}) == (
            415,
            "bad_type",
        )
        assert await server.refusal(offer, "/whip?language=tlh") == (400, "bad_message")
        assert await server.refusal(offer, "/whip?profile=nobody") == (404, "unknown_profile")
        assert server.board.lines == []
        await caller.close()

    run(scenario)


def test_a_busy_server_says_when_to_call_again() -> None:
    async def scenario(server: Whip) -> None:
        answer = await server.client.post("/whip", content="v=0", headers=SDP)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) > 0

    run(scenario, Board(busy=True))


def test_pages_of_other_sites_may_not_call() -> None:
    async def scenario(server: Whip) -> None:
        foreign = SDP | {"Origin": "https://elsewhere.example"}
        assert await server.refusal("v=0", headers=foreign) == (403, "forbidden")
        allowed = {"Origin": "https://ally.example"}
        answer = await server.client.options("/whip", headers=allowed)
        assert (answer.status_code, answer.headers["accept-post"]) == (204, "application/sdp")

    run(scenario, allowed_origins=frozenset({"https://ally.example"}))


def test_call_tokens_are_asked_for_and_narrow_the_call() -> None:
    async def scenario(server: Whip) -> None:
        assert await server.refusal("v=0") == (403, "forbidden")
        assert (await server.client.get("/whip/config")).status_code == 403
        token = server.reception.sign(Grant(2**40, profile="kfz", language="en"))
        caller, _ = await server.call(Authorization=f"Bearer {token}")
        assert server.board.requests == [CallRequest("kfz", "en")]
        await caller.close()

    run(scenario, client=ELSEWHERE, require_token=True)


def test_observing_is_for_operators() -> None:
    async def scenario(server: Whip) -> None:
        assert await server.refusal("v=0", "/whip?observe=1") == (403, "forbidden")
        caller, _ = await server.call("?observe=1", Authorization="Bearer " + "t" * 32)
        assert server.board.observers == [True]
        await caller.close()

    run(scenario, client=ELSEWHERE)


def test_the_page_is_told_the_servers_for_its_network() -> None:
    async def scenario(server: Whip) -> None:
        assert (await server.client.get("/whip/config")).json() == {
            "ice_servers": [
                {"urls": ["stun:stun.example.org"]},
                {"urls": ["turn:t.example"], "username": "u", "credential": "c"},
            ]
        }

    run(scenario)


def test_a_caller_who_never_connects_gives_the_line_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "CONNECT_TIMEOUT_S", 0.2)

    async def scenario(server: Whip) -> None:
        caller = Caller()
        answer = await server.client.post("/whip", content=await caller.offer(), headers=SDP)
        assert answer.status_code == 201
        assert server.board.lines == ["webrtc"]
        await server.over()
        assert server.board.requests == []
        await caller.close()

    run(scenario)


def test_a_crash_is_told_to_the_caller_and_harms_nobody_else() -> None:
    async def scenario(server: Whip) -> None:
        caller = Caller()
        answer = await server.client.post("/whip", content=await caller.offer(), headers=SDP)
        await caller.accept(answer.text)
        await caller.ends()
        assert [m["code"] for m in caller.of("error")] == ["internal"]
        await server.over()
        await caller.close()

    run(scenario, Board(crashes=True))


def test_a_server_that_stops_ends_its_calls() -> None:
    async def scenario(server: Whip) -> None:
        caller, _ = await server.call()
        await server.calls.aclose()
        await caller.ends()
        await caller.close()

    run(scenario)
