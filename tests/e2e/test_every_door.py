"""The same call through every door, and a server that goes away with calls on all of them.

The carriers' doors are held against the same call in test_carrier_calls.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from apps.core.resources import resource
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from tests.e2e.carriers import Peer, call_natively
from tests.e2e.desk import Left, all_written, lay_out, left_by
from tests.e2e.peers import (
    call_bare_twilio,
    call_by_realtime,
    call_by_rtvi,
    call_by_sip,
    call_by_webrtc,
)
from tests.e2e.servers import Running, running, start, wait_until

pytestmark = pytest.mark.slow

Call = Callable[[Running], AbstractAsyncContextManager[Peer]]
DOORS: dict[str, Call] = {
    "websocket": lambda server: call_natively(server.url),
    "webrtc": call_by_webrtc,
    "rtvi": call_by_rtvi,
    "sip": call_by_sip,
    "realtime": call_by_realtime,
}
SERVER = {
    "TOM_STT_ENGINE": "fake",
    "TOM_TTS_ENGINE": "fake",
    "TOM_PROFILE": "desk",
    "TOM_MAX_CALLS": "12",
    "TOM_NO_INPUT_S": "60",
    "TOM_SIP": "true",
    "TOM_SIP_HOST": "127.0.0.1",
    "TOM_SIP_PORT": "0",
    "TOM_SIP_RTP_PORTS": "30200-30299",
}


async def hold(call: AbstractAsyncContextManager[Peer]) -> Peer:
    """Hear the greeting, ask aloud, break into answers, say goodbye in the midst of one, rate."""
    spoken = read_audio(resource("demo", "slt", "question.flac"))
    async with call as peer:
        await peer.until_heard()
        peer.say(resample(spoken[: 2 * 16_000], 16_000, 8000))
        for key in "119":
            await peer.until_hearing()
            await peer.press(key)
        await peer.until_heard()
        await peer.press("5")
        await peer.until_over()
    return peer


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> dict[str, Left]:
    """What the same call left behind at every door, all made at once."""
    folder = tmp_path_factory.mktemp("doors")
    profile = str(lay_out(folder / "own"))

    async def scenario(server: Running) -> None:
        await asyncio.gather(*(hold(call(server)) for call in DOORS.values()))

    settings = SERVER | {"TOM_PROFILE_DIR": profile, "RL_ENABLED": "false"}
    with running(folder, model_cache, **settings) as server:
        asyncio.run(scenario(server))
        wait_until(lambda: server.ready()["live_calls"] == 0)
        wait_until(lambda: all_written(server, len(DOORS)))
        assert server.complaints() == []
        return {door: left_by(server, door)[0] for door in DOORS}


@pytest.mark.parametrize("door", [door for door in DOORS if door != "websocket"])
def test_the_same_call_goes_the_same_way_through_every_door(left, door: str) -> None:
    mine, native = left[door], left["websocket"]
    assert mine.path == native.path
    assert mine.said == native.said
    assert mine.sources == native.sources
    assert any("#hours" in source for sources in mine.sources for source in sources)
    assert mine.feedback == native.feedback
    assert mine.feedback["stars"] == 5
    assert mine.reason == native.reason == "completed"
    # Whether the mouth is held for a moment hangs on a few milliseconds of the caller's voice.
    passing = {"mouth.resume", "mouth.hold", "speculation.wasted", "dropped.late"}
    assert mine.kinds ^ native.kinds <= passing


# --- a server that goes away

DRAIN_S = 24.0
GOES_ON_S = DRAIN_S - 22.0
"""So long callers who are told nothing yet go on as ever."""
LIVE: dict[str, int] = {"websocket": 3, "twilio": 2, "sip": 2, "webrtc": 2, "realtime": 1}
CALLS: dict[str, Call] = DOORS | {"twilio": call_bare_twilio}


class Moment:
    """When the server was told to stop."""

    def __init__(self, calls: int) -> None:
        self.all_live = asyncio.Barrier(calls + 1)
        self.told_s = 0.0

    @property
    def since_s(self) -> float:
        return asyncio.get_running_loop().time() - self.told_s


async def stay(call: AbstractAsyncContextManager[Peer], moment: Moment) -> None:
    """Be in the midst of an answer when the server is told to stop; ask on, and rate in the end."""
    async with call as peer:
        await peer.until_heard()
        await peer.press("1")
        await peer.until_hearing()
        await moment.all_live.wait()
        await moment.all_live.wait()
        await asyncio.sleep(0.5)
        await peer.press("1")
        await peer.until_hearing()
        assert moment.since_s < DRAIN_S
        await asyncio.sleep(max(0.0, GOES_ON_S - moment.since_s))
        assert not peer.over
        await peer.until_heard()
        await peer.press("5")
        await peer.until_over()


async def go_away(server: Running) -> float:
    """Tell a server to stop amid ten calls; returns how long they lasted."""
    moment = Moment(sum(LIVE.values()))
    async with asyncio.TaskGroup() as calls:
        for door, count in LIVE.items():
            for _ in range(count):
                calls.create_task(stay(CALLS[door](server), moment))
        await moment.all_live.wait()
        assert server.ready()["doors"] == LIVE
        moment.told_s = asyncio.get_running_loop().time()
        server.terminate()
        await moment.all_live.wait()
    return moment.since_s


def test_of_ten_calls_on_five_doors_none_is_cut_and_each_is_offered_the_rating(
    tmp_path: Path, model_cache: Path
) -> None:
    profile = str(lay_out(tmp_path / "own"))
    settings = SERVER | {"TOM_PROFILE_DIR": profile, "TOM_DRAIN_S": str(DRAIN_S)}
    server = start(tmp_path, model_cache, **settings)
    try:
        lasted_s = asyncio.run(go_away(server))
        assert server.exit_code() == 0
        assert lasted_s < DRAIN_S
        ends = {door: left_by(server, door) for door in LIVE}
        assert {door: len(calls) for door, calls in ends.items()} == LIVE
        for call in (call for calls in ends.values() for call in calls):
            assert call.reason == "shutdown"
            assert any("about to restart" in sentence for sentence in call.said)
            assert (call.feedback["offered"], call.feedback["stars"]) == (True, 5)
        assert server.complaints() == []
    finally:
        server.kill()
