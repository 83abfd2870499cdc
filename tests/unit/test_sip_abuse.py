"""What strangers may send to the SIP port: none of it may cost the calls of others anything."""

from __future__ import annotations

import asyncio
import time

import pytest

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.auth import answer, best_challenge
from apps.voice.doors.sip.headers import BadMessage
from apps.voice.doors.sip.limits import AddressBuckets
from apps.voice.doors.sip.message import read_message
from apps.voice.doors.sip.uri import read_address
from tests.unit.test_sip_endpoint import FakeRtp, Phone, Wire, scenario, sdp, settled


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch):
    monkeypatch.setattr("apps.voice.doors.sip.media.RtpSession", FakeRtp)


@pytest.mark.parametrize(
    "value", ["a" * 60_000, "a " * 30_000, "a" * 60_000 + '"', "a" * 400 + "<"]
)
def test_an_address_that_is_none_is_refused_at_once_however_long_its_words_are(value: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ProtocolError):
        read_address(value)
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("display", ["", "Bob", "Bob Jones-Smith", 'J. R. "', '"Bob \\" <x>"'])
def test_names_before_an_address_are_read_with_and_without_spaces(display: str) -> None:
    good = display.count('"') != 1
    for space in ("", " "):
        value = f"{display}{space}<sip:bob@example.org>;tag=1"
        if good:
            address = read_address(value)
            assert address.uri.user == "bob"
            assert address.tag == "1"
        else:
            with pytest.raises(ProtocolError):
                read_address(value)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE"])
def test_a_stranger_s_request_is_answered_once_and_leaves_nothing_behind(method):
    async def script(house, phone):
        strangers = [Phone(phone.endpoint, Wire(host="192.0.2.66"), f"x{n}") for n in range(200)]
        for stranger in strangers:
            stranger.request(method, sdp() if method == "INVITE" else b"")
        assert len(phone.endpoint.stack.exchange) == 0
        await asyncio.sleep(40)
        assert all(len(stranger.wire.statuses(method)) == 1 for stranger in strangers)
        stranger = strangers[0]
        stranger.request(method, sdp() if method == "INVITE" else b"", seq=1, branch=1)
        assert len(set(stranger.wire.statuses(method))) == 1
        assert len(stranger.wire.statuses(method)) == 2

    scenario(script, users={"alice": "secret"})


def test_a_call_whose_caller_asks_without_end_gets_no_more_answers_that_are_kept():
    async def script(house, phone):
        await phone.call()
        for _ in range(300):
            phone.request("OPTIONS")
        assert phone.wire.statuses("OPTIONS")[:50] == [200] * 50
        assert set(phone.wire.statuses("OPTIONS")[50:]) == {500}
        assert len(phone.endpoint.stack.exchange) < 60
        phone.request("BYE")
        assert phone.wire.statuses("BYE") == [200]

    scenario(script)


def test_no_audio_goes_to_where_an_offer_says_before_an_ack_has_shown_that_somebody_is_there():
    async def script(house, phone):
        phone.request("INVITE", sdp(host="192.0.2.99"))
        await settled()
        (call,) = phone.endpoint._calls.values()
        assert call.media.rtp.answers_only
        phone.ack()
        assert not call.media.rtp.answers_only

    scenario(script)


@pytest.mark.parametrize(
    "line",
    [
        "Via: " + ",".join(["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa"] * 200),
        "Contact: <sip:a@b>" + ";a=b" * 300,
        'Contact: "' + "\\a" * 10_000 + '" <sip:a@b>',
    ],
)
def test_a_head_that_would_take_long_to_read_is_not_read(line):
    head = f"OPTIONS sip:a@b SIP/2.0\r\n{line}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
    with pytest.raises(BadMessage) as caught:
        read_message(head.encode() + b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n")
    assert caught.value.status == 513


def test_messages_that_take_longer_to_read_count_for_more():
    buckets = AddressBuckets(per_s=1.0, burst=10.0)
    assert buckets.allows("192.0.2.1", 0.0, cost=9.0)
    assert not buckets.allows("192.0.2.1", 0.0, cost=2.0)
    assert buckets.allows("192.0.2.1", 0.0)
    assert buckets.allows("192.0.2.1", 2000.0, cost=2.0)


def _prove(phone, password):
    """Answer the last challenge."""
    phone.request("REGISTER")
    challenge = best_challenge(phone.wire.last("REGISTER").headers.lines_of("www-authenticate"))
    proof = answer(challenge, "REGISTER", "sip:kfz@127.0.0.1", "alice", password)
    phone.request("REGISTER", b"", f"Authorization: {proof}")
    return phone.wire.statuses("REGISTER")[-1]


def test_passwords_cannot_be_guessed_one_after_the_other():
    async def script(house, phone):
        guesser = Phone(phone.endpoint, Wire(host="192.0.2.66"), "g")
        answers = [_prove(guesser, f"guess {n}") for n in range(40)]
        assert answers == [401] * 20 + [503] * 20
        assert _prove(guesser, "secret") == 503  # the right one is worth nothing now either
        owner = Phone(phone.endpoint, Wire(host="192.0.2.67"), "o")
        assert _prove(owner, "secret") == 200
        await asyncio.sleep(60)
        assert _prove(guesser, "secret") == 200

    scenario(script, users={"alice": "secret"})


def test_nobody_can_be_locked_out_by_guesses_in_their_name():
    async def script(house, phone):
        guesser = Phone(phone.endpoint, Wire(host="192.0.2.66"), "g")
        guesser.request("REGISTER")
        values = guesser.wire.last("REGISTER").headers.lines_of("www-authenticate")
        wrong = answer(best_challenge(values), "REGISTER", "sip:x@h", "alice", "guess")
        spoofed = Phone(phone.endpoint, Wire(host="192.0.2.67"), "s")
        for _ in range(100):
            spoofed.request("REGISTER", b"", f"Authorization: {wrong}")
        owner = Phone(phone.endpoint, Wire(host="192.0.2.67"), "o")
        assert _prove(owner, "secret") == 200

    scenario(script, users={"alice": "secret"})
