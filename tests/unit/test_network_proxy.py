"""The bad network of tests and benchmarks: what it does follows from its seed alone."""

import asyncio
import mmap
import random
import socket
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.network.fuzz import fuzz, rtp_taker, sdp_taker
from benchmarks.network.sip_proxy import SipProxy, media_address, redirected
from benchmarks.network.trouble import BACK, BAD, FORTH, GOOD, Fates, Network
from benchmarks.network.udp_proxy import UdpProxy

HOST = "127.0.0.1"


@contextmanager
def sockets(count):
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in opened:
        each.bind((HOST, 0))
        each.setblocking(False)
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def test_a_packets_fate_follows_from_the_seed():
    first, again, other = (Fates(seed, FORTH) for seed in (1, 1, 2))
    fates = [first.next(BAD, 0) for _ in range(2000)]
    assert fates == [again.next(BAD, 0) for _ in range(2000)]
    assert fates != [other.next(BAD, 0) for _ in range(2000)]
    delays = [fate for fate in fates if fate is not None]
    assert 1 - len(delays) / 2000 == pytest.approx(0.05, abs=0.015)
    assert (min(delays) >= 0, max(delays)) == (True, 120)
    assert np.sqrt(np.mean(np.square(delays))) == pytest.approx(40, abs=3)


def test_a_change_of_the_network_changes_no_later_packets_luck():
    always, sometimes = Fates(1, FORTH), Fates(1, FORTH)
    bad = [always.next(BAD, 0) for _ in range(100)]
    mixed = [sometimes.next(GOOD if i < 50 else BAD, 0) for i in range(100)]
    assert mixed == [0.0] * 50 + bad[50:]


def test_the_two_ways_have_different_fates():
    forth, back = Fates(1, FORTH), Fates(1, BACK)
    assert [forth.next(BAD, 0) for _ in range(50)] != [back.next(BAD, 0) for _ in range(50)]


def test_packets_overtake_each_other_unless_the_network_keeps_the_order():
    for reorder in (True, False):
        fates, network = Fates(3, FORTH), Network(jitter_sd_ms=40, reorder=reorder)
        leaves = [fates.next(network, 20 * i) for i in range(200)]
        assert (leaves == sorted(leaves)) == (not reorder)


async def test_the_proxy_carries_each_clients_answers_back_to_it():
    loop = asyncio.get_running_loop()
    with sockets(3) as (server, *clients):
        async with UdpProxy(server.getsockname(), network=GOOD) as proxy:
            for i, client in enumerate(clients):
                client.sendto(b"from %d" % i, proxy.address)
            for _ in clients:
                data, source = await loop.sock_recvfrom(server, 100)
                server.sendto(b"back " + data, source)
            answers = [await loop.sock_recv(client, 100) for client in clients]
            proxy.network = Network(loss=1.0)
            clients[0].sendto(b"never", proxy.address)
            await asyncio.sleep(0.05)
            forth = proxy.tallies[FORTH]
        assert (forth.carried, forth.lost) == (2, 1)
        assert answers == [b"back from 0", b"back from 1"]


OK = b"SIP/2.0 200 OK\r\nCall-ID: 1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n"
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio %d RTP/AVP 0\r\n"
)


def ok(port):
    body = SDP % port
    return OK % len(body) + body


def test_a_messages_audio_is_redirected_and_its_length_is_right():
    moved = redirected(ok(7000), ("10.1.2.3", 50_000))
    head, _, body = moved.partition(b"\r\n\r\n")
    assert media_address(moved) == ("10.1.2.3", 50_000)
    assert b"Content-Length: %d" % len(body) in head
    assert media_address(b"SIP/2.0 100 Trying\r\n\r\n") is None


async def test_a_calls_signalling_passes_and_its_audio_goes_astray():
    loop = asyncio.get_running_loop()
    with sockets(3) as (server, media, telephone):
        async with SipProxy(server.getsockname(), audio_network=Network(loss=1.0)) as proxy:
            telephone.sendto(b"INVITE sip:tom SIP/2.0\r\n\r\n", proxy.address)
            _, source = await loop.sock_recvfrom(server, 4000)
            for _ in range(2):  # a repeated answer says the same
                server.sendto(ok(media.getsockname()[1]), source)
                await asyncio.sleep(0.02)
            answers = {await loop.sock_recv(telephone, 4000) for _ in range(2)}
            assert len(answers) == 1
            astray = media_address(answers.pop())
            assert list(proxy.audio) == [media.getsockname()]
            telephone.sendto(b"lost", astray)
            await asyncio.sleep(0.05)
            proxy.trouble(GOOD)
            telephone.sendto(b"heard", astray)
            assert await loop.sock_recv(media, 100) == b"heard"


def test_the_fuzzer_passes_what_refuses_and_fails_what_hoards():
    hoard = []

    def hoarding():  # pages of its own: the allocator would give away what others have freed
        hoard.append(mmap.mmap(-1, 200_000))
        hoard[-1].write(b"x" * 200_000)

    assert fuzz(sdp_taker(random.Random(1)), 200).well
    assert fuzz(rtp_taker("PCMU", random.Random(1), encrypted=True), 200).well
    assert not fuzz(hoarding, 200).well
    with pytest.raises(ZeroDivisionError):
        fuzz(lambda: 1 // 0, 1)
