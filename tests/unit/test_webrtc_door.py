"""A WebRTC call between two peers of one process, over loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from apps.core.audio import level_dbfs
from apps.core.errors import ProtocolError
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
    CallRequest,
    DoorEvent,
)
from apps.voice.doors.peer import MAX_ERRORS
from apps.voice.doors.webrtc import peer as peers
from apps.voice.doors.webrtc.door import WebRtcDoor
from apps.voice.doors.webrtc.ice import IceServer
from apps.voice.doors.webrtc.peer import Peer
from tests.calls import VOICE
from tests.webrtc_caller import Caller


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect without any network."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])


class Talk:
    """A door, its caller, and what the door has yielded."""

    def __init__(self, door: WebRtcDoor, caller: Caller) -> None:
        self.door, self.caller = door, caller
        self.events: list[DoorEvent] = []
        self.audio = b""
        self._changed = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.door.events():
            if isinstance(event, CallerAudio):
                self.audio += event.pcm
            else:
                self.events.append(event)
            self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def talk(scenario: Callable[[Talk], Awaitable[Any]]) -> Any:
    """Connect a caller to a door, run a scenario, and see that nothing is left."""

    async def main() -> Any:
        caller = Caller()
        peer = await Peer.answer(await caller.offer(), label="events")
        door = WebRtcDoor(peer, CallRequest())
        await door.tell("state", {"state": "greeting"})
        await caller.accept(peer.answer_sdp)
        assert await peer.connected()
        going = Talk(door, caller)
        try:
            await caller.until(lambda c: c.state == "greeting")
            return await scenario(going)
        finally:
            await caller.close()
            await asyncio.wait_for(going.reading, 10)
            await peer.close()
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not {t for t in left if not t.get_name().startswith("asyncio_")}, left

    return asyncio.run(main())


def test_speech_goes_both_ways_at_its_level() -> None:
    tone = 8000 * np.sin(np.arange(48_000) * 2 * np.pi * 200 / 48_000)

    async def scenario(going: Talk) -> None:
        going.caller.microphone.to_say = tone.astype(np.int16)
        for _ in range(40):
            await going.door.play(VOICE)
        await going.caller.until(lambda c: len(c.heard) > 45)
        await going.until(lambda: len(going.audio) > 32_000)
        loud = np.abs(np.concatenate(going.caller.heard)).max()
        assert 7000 < loud < 9500
        levels = [level_dbfs(going.audio[n : n + 640]) for n in range(0, 32_000, 640)]
        assert abs(max(levels) - level_dbfs(VOICE)) < 1

    talk(scenario)


def test_messages_are_read_as_the_websocket_s() -> None:
    async def scenario(going: Talk) -> None:
        going.caller.send(type="text", text="Good morning")
        going.caller.send(type="dtmf", digit="5")
        going.caller.send(type="rating", stars=4)
        going.caller.send(type="ping")
        going.caller.send(type="start")
        going.caller.send(type="nonsense")
        await going.caller.until(lambda c: len(c.of("error")) == 2 and c.of("pong"))
        codes = [m["code"] for m in going.caller.of("error")]
        assert codes == ["already_started", "unknown_message"]
        going.caller.send(type="hangup")
        await going.until(lambda: CallerHungUp() in going.events)
        assert going.events == [
            CallerText("Good morning"),
            CallerDigit("5"),
            CallerRating(4),
            CallerHungUp(),
        ]

    talk(scenario)


def test_too_many_bad_messages_end_the_call() -> None:
    async def scenario(going: Talk) -> None:
        for _ in range(MAX_ERRORS + 1):
            going.caller.send(type="nonsense")
        await going.until(lambda: going.events)
        assert going.events == [CallerHungUp(failed=True)]

    talk(scenario)


def test_a_flush_drops_what_has_not_left() -> None:
    async def scenario(going: Talk) -> None:
        for _ in range(100):
            await going.door.play(VOICE)
        assert going.door.peer.unsent_ms > 1900
        await going.door.flush()
        assert going.door.peer.unsent_ms == 0

    talk(scenario)


def test_closing_waits_until_the_caller_has_read_the_last_message() -> None:
    async def scenario(going: Talk) -> None:
        await going.door.tell("call.ended", {"reason": "completed"})
        await going.door.close("completed")
        assert going.caller.of("call.ended") == [{"type": "call.ended", "reason": "completed"}]
        await going.caller.ends()

    talk(scenario)


def test_a_caller_who_leaves_has_hung_up() -> None:
    async def scenario(going: Talk) -> None:
        await going.caller.close()
        await going.until(lambda: going.events)
        assert going.events == [CallerHungUp()]

    talk(scenario)


def test_what_is_sent_again_to_a_caller_who_has_left_is_dropped_in_silence() -> None:
    async def scenario(going: Talk) -> None:
        sctp = going.door.peer._connection.sctp
        await going.caller.close()
        await going.reading
        assert sctp.transport.state == "closed"
        await sctp.transport._send_data(b"aiortc's timers send this in tasks that nobody awaits")

    talk(scenario)


def test_a_caller_of_whom_nothing_comes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SILENT_TIMEOUT_S", 0.3)

    async def scenario(going: Talk) -> None:
        await going.caller.connection.getSenders()[0].stop()
        await going.until(lambda: going.events)
        assert going.events == [CallerHungUp(failed=True)]

    talk(scenario)


def test_keys_come_as_telephone_events_too() -> None:
    async def scenario(going: Talk) -> None:
        peer, event = going.door.peer, struct.pack("!BBH", 11, 10, 800)
        for n in range(3):
            peer._take_packet(126, 10 + n, 7000, event, n == 0)
        await going.until(lambda: going.events)
        assert going.events == [CallerDigit("#")]

    async def main() -> None:
        caller = Caller()
        offer = await caller.offer()
        offer = offer.replace("SAVPF 96", "SAVPF 96 126").replace(
            "a=rtpmap:96 ", "a=rtpmap:126 telephone-event/8000\r\na=rtpmap:96 "
        )
        peer = await Peer.answer(offer, label="events")
        assert "a=rtpmap:126 telephone-event/8000" in peer.answer_sdp
        await caller.accept(peer.answer_sdp)
        assert await peer.connected()
        going = Talk(WebRtcDoor(peer, CallRequest()), caller)
        await scenario(going)
        await caller.close()
        await peer.close()
        await going.reading

    asyncio.run(main())


def test_candidates_may_come_after_the_offer() -> None:
    async def main() -> None:
        caller = Caller()
        offer = await caller.offer()
        lines = offer.splitlines()
        trickled = [x for x in lines if x.startswith(("a=candidate", "a=end-of-candidates"))]
        bare = "\r\n".join(x for x in lines if x not in trickled) + "\r\n"
        peer = await Peer.answer(bare, label="events")
        await caller.accept(peer.answer_sdp)
        await peer.add_candidates("\r\n".join(trickled))
        assert await peer.connected()
        await caller.close()
        await peer.close()

    asyncio.run(main())


def test_a_connection_that_does_not_come_about_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "CONNECT_TIMEOUT_S", 0.2)

    async def main() -> None:
        caller = Caller()
        peer = await Peer.answer(await caller.offer(), label="events")
        assert not await peer.connected()
        await peer.close()
        await caller.close()

    asyncio.run(main())


def test_a_stun_server_that_does_not_answer_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "GATHER_TIMEOUT_S", 0.1)

    async def main() -> None:
        caller = Caller()
        offer = await caller.offer()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            server = IceServer((f"stun:127.0.0.1:{mute.getsockname()[1]}",))
            began_s = asyncio.get_running_loop().time()
            peer = await Peer.answer(offer, (server,), label="events")
            assert asyncio.get_running_loop().time() - began_s < 2.0
        assert "typ host" in peer.answer_sdp
        await peer.close()
        await caller.close()

    asyncio.run(main())


def test_an_offer_that_only_aiortc_does_not_like_is_refused_as_well() -> None:
    async def main() -> None:
        caller = Caller()
        offer = await caller.offer()
        with pytest.raises(ProtocolError) as refused:
            await Peer.answer(offer.replace("opus/48000/2", "opus/16000/2"), label="x")
        assert refused.value.code == "bad_sdp"
        await caller.close()

    asyncio.run(main())


def test_live_events_are_json_texts() -> None:
    async def scenario(going: Talk) -> None:
        await going.door.transfer("sip:desk@example.org", "Ein Gespräch")
        await going.caller.until(lambda c: c.of("transfer"))
        told = going.caller.of("transfer")[0]
        assert json.dumps(told) == json.dumps(
            {"type": "transfer", "target": "sip:desk@example.org", "summary": "Ein Gespräch"}
        )

    talk(scenario)
