"""Two SIP endpoints over a network that loses, delays and reorders datagrams."""

import asyncio
import random

import pytest

from apps.voice.doors.base import CallerHold, CallerHungUp
from apps.voice.doors.sip.dial import SipDialer
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.options import SipOptions
from tests.unit.test_sip_endpoint import FakeRtp, House
from tests.virtual_time import run_virtual


@pytest.fixture(autouse=True)
def _no_media(monkeypatch):
    monkeypatch.setattr("apps.voice.doors.sip.media.RtpSession", FakeRtp)


class LossyWire:
    """One direction of a bad network between two endpoints."""

    transport, closed = "udp", False

    def __init__(self, rng, loss, local, peer):
        self.rng, self.loss = rng, loss
        self.local, self.peer = ("127.0.0.1", local), ("127.0.0.1", peer)
        self.back, self.endpoint = self, None

    def send(self, data):
        if self.rng.random() < self.loss:
            return
        delay_s = min(0.12, abs(self.rng.gauss(0.02, 0.04)))
        receive = self.endpoint.stack.exchange.receive
        asyncio.get_running_loop().call_later(delay_s, receive, self.back, data)


def network(seed, loss):
    """Two endpoints, each with who takes its calls."""
    rng = random.Random(seed)
    houses = House(), House()
    ends = [SipEndpoint(SipOptions(), house.take, house.admit) for house in houses]
    wires = LossyWire(rng, loss, 5060, 5070), LossyWire(rng, loss, 5070, 5060)
    for index in (0, 1):
        wires[index].back, wires[index].endpoint = wires[1 - index], ends[1 - index]

        async def flow_to(uri, index=index):
            return wires[index]

        ends[index].stack.transports.flow_to = flow_to
    return ends, houses


@pytest.mark.parametrize("seed", range(12))
def test_calls_begin_and_end_though_a_third_of_the_datagrams_is_lost(seed):
    async def scenario():
        (calling, called), (_, house) = network(seed, 0.33)
        target = "sip:kfz@127.0.0.1:5070"
        door = await SipDialer(calling).dial(target, caller_id="", timeout_s=40)
        await asyncio.sleep(20)
        (other,) = house.doors
        assert other.call.answered
        first = door if seed % 2 else other
        await first.close("completed")
        await asyncio.sleep(100)
        ends = [end for end in (calling, called) if end._calls or len(end.stack.exchange)]
        for end in (calling, called):
            await end.close()
        assert ends == []

    run_virtual(scenario())


def test_a_hold_arrives_once_over_a_bad_network():
    async def scenario():
        (calling, called), (_, house) = network(3, 0.2)
        target = "sip:kfz@127.0.0.1:5070"
        door = await SipDialer(calling).dial(target, caller_id="", timeout_s=40)
        await asyncio.sleep(5)
        held = door.call.media.offer().replace(b"a=sendrecv", b"a=sendonly")
        response = await door.call.request("INVITE", held, ("content-type", "application/sdp"))
        assert response.is_success
        await door.call.send_ack(response.seq)
        await asyncio.sleep(20)
        await door.close("completed")
        await asyncio.sleep(100)
        for end in (calling, called):
            await end.close()
        return house.events

    events = run_virtual(scenario())
    assert events[0] == CallerHold(True)
    assert isinstance(events[-1], CallerHungUp)
    assert events.count(CallerHold(True)) == 1
