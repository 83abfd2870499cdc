"""RTP sessions on real sockets: two ends, a bad network between them, hold, NAT and strangers."""

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from apps.core.audio import FRAME_BYTES, level_dbfs
from apps.core.errors import AtCapacity
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp
from apps.voice.rtp.codecs import codec_named
from apps.voice.rtp.negotiation import (
    Abilities,
    Local,
    accept,
    negotiate,
    write_answer,
    write_offer,
)
from apps.voice.rtp.packet import RtpPacket, build_rtp, is_rtcp, read_rtp
from apps.voice.rtp.ports import open_pair
from apps.voice.rtp.rtcp import Bye, Report, ReportBlock, build_report, read_rtcp
from apps.voice.rtp.sdp import Direction, read_sdp
from apps.voice.rtp.sender import Numbers, Sender
from apps.voice.rtp.session import MAX_QUEUED_FRAMES, RtpOptions, RtpSession
from benchmarks.network.trouble import BAD, FORTH, GOOD
from benchmarks.network.udp_proxy import UdpProxy
from tests.unit.test_rtp_receiver import key_press

HOST = "127.0.0.1"
TONE = (np.sin(2 * np.pi * 200 * np.arange(320) / 16_000) * 8000).astype("<i2").tobytes()


class End:
    """One end of a call and what it was told."""

    def __init__(self):
        self.events = []
        self.handed_ms = 0.0
        self.session = None

    def tell(self, event):
        self.events.append(event)
        if isinstance(event, CallerAudio):
            self.handed_ms += len(event.pcm) / 32

    @property
    def pcm(self):
        return b"".join(event.pcm for event in self.events if isinstance(event, CallerAudio))

    @property
    def digits(self):
        return "".join(event.digit for event in self.events if isinstance(event, CallerDigit))

    async def opened(self, **options):
        options = {"ports": (20_000, 29_999)} | options
        self.session = await RtpSession.open(RtpOptions(HOST, **options), self.tell)
        return self

    def local(self, key=1):
        return Local(HOST, self.session.local_port, bytes([key] * 30))


def agree(here, there, codec="PCMU", srtp="off", direction=Direction.SENDRECV):
    """Both ends' agreement."""
    abilities = Abilities((codec,), srtp)
    offer = read_sdp(write_offer(here.local(), abilities, direction))
    answered = negotiate(offer, abilities, bytes([2] * 30))
    answer = read_sdp(write_answer(offer, answered, there.local(key=2)))
    return accept(answer, here.local(), abilities), answered


@asynccontextmanager
async def two_ends(**options):
    here, there = await End().opened(**options), await End().opened(**options)
    try:
        yield here, there
    finally:
        here.session.close()
        there.session.close()


async def speak(end, seconds):
    """Speak a tone in real time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for i in range(round(seconds * 50)):
        end.session.play(TONE)
        await asyncio.sleep(max(0.0, begun + (i + 1) * 0.02 - loop.time()))


@pytest.mark.parametrize(
    ("codec", "srtp"), [("PCMU", "off"), ("G722", "required"), ("OPUS", "required")]
)
async def test_two_ends_hear_each_other(codec, srtp):
    async with two_ends() as (here, there):
        ours, theirs = agree(here, there, codec, srtp)
        here.session.connect(ours)
        there.session.connect(theirs)
        await asyncio.gather(speak(here, 0.3), speak(there, 0.3))
        for end in (here, there):
            assert level_dbfs(end.pcm[FRAME_BYTES * 8 : FRAME_BYTES * 12]) == pytest.approx(
                level_dbfs(TONE), abs=1
            )
            statistics = end.session.statistics
            assert statistics.received >= 12
            assert (statistics.lost, statistics.foreign) == (0, 0)


async def test_silence_is_sent_between_words_and_flushed_words_never_leave():
    async with two_ends() as (here, there):
        ours, theirs = agree(here, there)
        here.session.connect(ours)
        there.session.connect(theirs)
        for _ in range(MAX_QUEUED_FRAMES + 20):
            here.session.play(TONE)
        assert here.session.unsent_ms == MAX_QUEUED_FRAMES * 20
        here.session.flush()
        assert here.session.unsent_ms == 0
        await asyncio.sleep(0.2)
        assert there.handed_ms >= 140
        assert level_dbfs(there.pcm) == -100


async def test_a_side_that_only_answers_sends_nothing_before_it_has_heard_its_peer():
    async with two_ends() as (here, there):
        ours, theirs = agree(here, there)
        here.session.answers_only = True
        here.session.connect(ours)
        await speak(here, 0.1)
        assert there.session.statistics.received == 0
        assert here.session.statistics.sent == 0
        there.session.connect(theirs)
        await speak(here, 0.2)
        assert there.session.statistics.received >= 5


class Telephone(asyncio.DatagramProtocol):
    """A plain peer that sends to one address, whatever comes, and counts what does."""

    def __init__(self):
        self.heard = 0
        self._sender = Sender(codec_named("PCMU"), 0, Numbers(7, 65_500, 0))

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.heard += not is_rtcp(data)

    async def speak(self, target, seconds):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for i in range(round(seconds * 50)):
            self.transport.sendto(self._sender.frame(TONE), target)
            await asyncio.sleep(max(0.0, begun + (i + 1) * 0.02 - loop.time()))


@asynccontextmanager
async def behind_a_proxy(**options):
    """A telephone, a proxy, and a session that knows a private address of the telephone's."""
    end = await End().opened(**options)
    loop = asyncio.get_running_loop()
    transport, telephone = await loop.create_datagram_endpoint(Telephone, local_addr=(HOST, 0))
    offer = read_sdp(write_offer(Local("192.0.2.7", 4000, bytes(30)), Abilities(("PCMU",))))
    async with UdpProxy((HOST, end.session.local_port), seed=5, network=GOOD) as proxy:
        end.session.connect(negotiate(offer, Abilities(), bytes(30)), signalled_from=HOST)
        yield telephone, proxy, end
    transport.close()
    end.session.close()


async def test_the_bad_network_adds_little_delay_and_leaves_none():
    """The delay is by how much the audio that was handed on is behind the time that passed."""
    async with behind_a_proxy() as (telephone, proxy, end):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        speaking = asyncio.create_task(telephone.speak(proxy.address, 3.9))

        async def behind_ms(from_s, to_s):
            seen = []
            while loop.time() - begun < to_s:
                await asyncio.sleep(0.005)
                if loop.time() - begun >= from_s:
                    seen.append((loop.time() - begun) * 1000 - end.handed_ms)
            return float(np.median(seen))

        before = await behind_ms(0.2, 0.7)
        proxy.network = BAD
        bad = await behind_ms(0.8, 2.4)
        proxy.network = GOOD
        after = await behind_ms(3.2, 3.8)
        await speaking
        statistics, tally = end.session.statistics, proxy.tallies[FORTH]
    assert tally.lost > 0
    assert bad - before <= 80
    assert after - before <= 20
    assert tally.lost <= statistics.lost <= tally.lost + 0.05 * statistics.received


async def test_a_peer_behind_nat_is_answered_where_it_is():
    async with behind_a_proxy() as (telephone, proxy, end):
        await asyncio.gather(telephone.speak(proxy.address, 0.3), speak(end, 0.3))
        await asyncio.sleep(0.05)
        assert telephone.heard >= 10
        assert end.handed_ms >= 200


async def test_hold_stops_sending_and_resuming_goes_on_with_the_same_stream():
    async with two_ends(silent_timeout_s=0.5) as (here, there):
        here.session.connect(agree(here, there)[0])
        there.session.connect(agree(here, there)[1])
        await speak(there, 0.1)
        there.session.connect(agree(here, there, direction=Direction.INACTIVE)[1])
        await asyncio.sleep(0.05)
        sent = there.session.statistics.sent
        await speak(there, 0.7)
        assert there.session.statistics.sent == sent
        assert there.session.unsent_ms < 100  # they passed unsent
        assert not any(isinstance(event, CallerHungUp) for event in there.events)
        there.session.connect(agree(here, there)[1])
        lost = here.session.statistics.lost
        await speak(there, 0.1)
        assert there.session.statistics.sent > sent
        assert here.session.statistics.lost == lost


async def test_another_codec_and_other_keys_take_over_in_mid_call():
    async with two_ends() as (here, there):
        for codec, srtp in (("PCMU", "off"), ("G722", "required"), ("PCMA", "off")):
            ours, theirs = agree(here, there, codec, srtp)
            here.session.connect(ours)
            there.session.connect(theirs)
            heard = len(there.pcm)
            await speak(here, 0.2)
            assert level_dbfs(there.pcm[heard + 3 * FRAME_BYTES :]) == pytest.approx(
                level_dbfs(TONE), abs=2
            )
        assert there.session.statistics.received >= 25
        assert there.session.statistics.lost <= 2


async def test_a_peer_that_sends_nothing_is_told_of_once():
    end = await End().opened(silent_timeout_s=0.1)
    end.session.connect(agree(end, end)[1])
    end.session._receiver.latch.described = (HOST, 9)
    await asyncio.sleep(0.3)
    end.session.close()
    assert end.events == [CallerHungUp(failed=True)]


async def test_a_peer_that_suppresses_its_silence_is_not_taken_for_gone():
    async with behind_a_proxy(silent_timeout_s=0.3) as (telephone, proxy, end):
        await telephone.speak(proxy.address, 0.1)
        for i in range(8):  # comfort noise, which was not agreed on
            noise = build_rtp(RtpPacket(13, 65_505 + i, 800 + 160 * i, 7, b"\x40"))
            telephone.transport.sendto(noise, proxy.address)
            await asyncio.sleep(0.05)
        assert not any(isinstance(event, CallerHungUp) for event in end.events)
        await asyncio.sleep(0.4)
        assert end.events.count(CallerHungUp(failed=True)) == 1


async def test_what_is_no_frame_cannot_be_played():
    end = await End().opened()
    with pytest.raises(ValueError, match="640"):
        end.session.play(b"\0" * 320)
    end.session.close()


async def test_keys_are_heard_and_strangers_are_not():
    end = await End().opened()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HOST, 0))
        offer = read_sdp(write_offer(Local(HOST, peer.getsockname()[1], bytes(30)), Abilities()))
        end.session.connect(negotiate(offer, Abilities(("PCMU",)), bytes(30)))
        target = (HOST, end.session.local_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            for i in range(20):
                peer.sendto(build_rtp(RtpPacket(0, i, 160 * i, 5, b"\x20" * 160)), target)
                stranger.sendto(build_rtp(RtpPacket(0, i, 160 * i, 6, b"\x90" * 160)), target)
                await asyncio.sleep(0)
            for packet in key_press(20, 160 * 20, event=9, ssrc=5):
                peer.sendto(packet, target)
            await asyncio.sleep(0.1)
    statistics = end.session.statistics
    end.session.close()
    assert end.digits == "9"
    assert (statistics.received, statistics.foreign) == (28, 20)


async def test_reports_go_to_the_port_above_are_taken_and_end_with_goodbye():
    end = await End().opened()
    loop = asyncio.get_running_loop()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for each in (rtp, rtcp):
            each.bind((HOST, 0))
            each.setblocking(False)
        body = write_offer(Local(HOST, rtp.getsockname()[1], bytes(30)), Abilities(("PCMA",)))
        body = body.replace(b"a=rtcp-mux", b"a=rtcp:%d" % rtcp.getsockname()[1])
        end.session.connect(negotiate(read_sdp(body), Abilities(), bytes(30)))
        packet = read_rtp(await loop.sock_recv(rtp, 2000))
        block = ReportBlock(packet.ssrc, 0.25, 1, 1, 1)
        told = build_report(9, "peer", None, block)
        rtcp.sendto(told, (HOST, end.session.local_port + 1))
        rtcp.sendto(told[:-1], (HOST, end.session.local_port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            lie = build_report(9, "peer", None, replace(block, fraction_lost=0.75))
            stranger.sendto(lie, (HOST, end.session.local_port + 1))
        await asyncio.sleep(0.05)
        statistics = end.session.statistics
        end.session.close()
        report, bye = read_rtcp(await loop.sock_recv(rtcp, 2000))
    assert (packet.payload_type, len(packet.payload)) == (8, 160)
    assert (statistics.remote_loss, statistics.foreign) == (0.25, 2)
    assert isinstance(report, Report)
    assert bye == Bye(packet.ssrc)
    assert not is_rtcp(build_rtp(packet))


async def test_ports_are_even_and_end():
    end = await End().opened(ports=(28_001, 28_005))
    other = await End().opened(ports=(28_001, 28_005))
    assert {end.session.local_port, other.session.local_port} == {28_002, 28_004}
    with pytest.raises(AtCapacity) as caught:
        await End().opened(ports=(28_001, 28_005))
    assert caught.value.code == "no_ports"
    end.session.close()
    other.session.close()
    end.session.close()


async def test_audio_is_marked_for_networks_that_put_voice_first():
    end = await End().opened()
    endpoint = end.session._rtp.socket
    assert endpoint.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == 46
    end.session.close()


async def test_an_address_of_the_other_family_is_not_sent_to():
    end = await End().opened()
    offer = read_sdp(write_offer(Local("2001:db8::7", 4000, bytes(30)), Abilities()))
    end.session.connect(negotiate(offer, Abilities(), bytes(30)))
    await asyncio.sleep(0.06)
    assert end.session.statistics.sent == 0
    end.session.close()


async def test_what_waited_too_long_on_a_busy_machine_is_dropped_and_the_rest_read_at_once():
    taken, at_once = [], []
    loop = asyncio.get_running_loop()

    def take(data, source):
        taken.append(int.from_bytes(data[:2], "big"))
        loop.call_soon(lambda: at_once.append(len(taken)))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        endpoint, reports, port = open_pair(HOST, (20_000, 29_999), take, take)
        for i in range(1000):
            peer.sendto(i.to_bytes(2, "big") + bytes(170), (HOST, port))
        await asyncio.sleep(0.02)
        endpoint.close()
        reports.close()
    assert 10 < len(taken) < 100  # of 20 ms each
    assert taken == list(range(len(taken)))
    assert at_once[0] == len(taken)


async def test_an_end_may_close_while_it_is_told_something():
    events = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HOST, 0))
        offer = write_offer(Local(HOST, peer.getsockname()[1], bytes(30)), Abilities(("PCMU",)))

        def tell(event):
            events.append(event)
            session.close()

        session = await RtpSession.open(RtpOptions(HOST, (20_000, 29_999)), tell)
        session.connect(negotiate(read_sdp(offer), Abilities(), bytes(30)))
        for i in range(5):
            packet = RtpPacket(0, i, 160 * i, 5, b"\x20" * 160)
            peer.sendto(build_rtp(packet), (HOST, session.local_port))
        await asyncio.sleep(0.05)
    assert len(events) == 1
