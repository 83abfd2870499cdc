"""The SIP endpoint, message by message: what each request is answered by, and how calls go."""

import asyncio
from contextlib import suppress
from ipaddress import ip_network

import pytest

from apps.core.errors import AtCapacity, DialFailed, ProtocolError, TransferFailed
from apps.voice.doors.base import CallerDigit, CallerHold, CallerHungUp
from apps.voice.doors.sip.auth import answer, best_challenge
from apps.voice.doors.sip.dial import SipDialer
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.message import Response, read_message
from apps.voice.doors.sip.options import SipOptions
from apps.voice.rtp.negotiation import Abilities
from tests.virtual_time import run_virtual


class FakeRtp:
    """An RTP session without sockets or clocks."""

    local_port = 30_000
    unsent_ms = 0.0

    @classmethod
    async def open(cls, options, on_event):
        return cls()

    def connect(self, negotiated, signalled_from=""):
        self.negotiated = negotiated

    def close(self):
        self.negotiated = None


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch):
    monkeypatch.setattr("apps.voice.doors.sip.media.RtpSession", FakeRtp)


PCMU = "m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def sdp(media=PCMU, direction="sendrecv", host="127.0.0.1"):
    head = f"v=0\r\no=x 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    return (head + media + f"a={direction}\r\n").encode()


class Wire:
    """A telephone's end of the wire: what the endpoint sends is read and kept."""

    def __init__(self, transport="udp", host="127.0.0.1"):
        self.transport, self.peer, self.local = transport, (host, 5070), ("127.0.0.1", 5060)
        self.closed = False
        self.sent = []

    def send(self, data):
        self.sent.append(read_message(data))

    def statuses(self, method="INVITE"):
        return [m.status for m in self.sent if isinstance(m, Response) and m.seq_method == method]

    def last(self, method="INVITE"):
        return [m for m in self.sent if isinstance(m, Response) and m.seq_method == method][-1]

    def requests(self, method):
        return [m for m in self.sent if not isinstance(m, Response) and m.method == method]


class Phone:
    """A telephone that is wired to an endpoint."""

    def __init__(self, endpoint, wire=None, call_id="c1"):
        self.endpoint, self.wire, self.call_id = endpoint, wire or Wire(), call_id
        self.seq, self.branch, self.to_tag = 0, 0, ""

    def request(
        self, method, body=b"", *more, uri="sip:kfz@127.0.0.1", seq=None, branch=None, type_=None
    ):
        if seq is None:
            self.seq += 1
        if branch is None:
            self.branch += 1
        kind = type_ or "application/sdp"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.wire.transport.upper()} 127.0.0.1:5070;rport;branch="
            f"z9hG4bK{self.call_id}{branch or self.branch}",
            "From: <sip:alice@127.0.0.1>;tag=a",
            "To: <sip:kfz@127.0.0.1>" + (f";tag={self.to_tag}" if self.to_tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {seq or self.seq} {method}",
            "Contact: <sip:alice@127.0.0.1:5070>",
            *([f"Content-Type: {kind}"] if body else []),
            *more,
            f"Content-Length: {len(body)}",
        ]
        text = "\r\n".join([*lines, "", ""]).encode() + body
        self.endpoint.stack.exchange.receive(self.wire, text)

    def respond(self, request, status, *more, body=b"", tag="b"):
        to = request.headers.get("to")
        lines = [
            f"SIP/2.0 {status} X",
            *(f"Via: {via}" for via in request.headers.values("via")),
            f"From: {request.headers.get('from')}",
            "To: " + (to if ";tag=" in to else f"{to};tag={tag}"),
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.headers.get('cseq')}",
            "Contact: <sip:callee@127.0.0.1:5070>",
            *(["Content-Type: application/sdp"] if body else []),
            *more,
            f"Content-Length: {len(body)}",
        ]
        text = "\r\n".join([*lines, "", ""]).encode() + body
        self.endpoint.stack.exchange.receive(self.wire, text)

    def ack(self, body=b""):
        """Acknowledge the last success of an INVITE."""
        self.to_tag = self.wire.last().recipient.tag
        self.request("ACK", body, seq=self.wire.last().seq)

    async def call(self, *more, body=None):
        """Call, and acknowledge the answer."""
        self.request("INVITE", sdp() if body is None else body, *more)
        await settled()
        self.ack()
        await settled()


class House:
    """What takes the calls, as a switchboard does; it keeps what the callers do."""

    def __init__(self):
        self.doors, self.events, self.error, self.full = [], [], None, None
        self.delay_s = 0.0

    async def take(self, door):
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        self.doors.append(door)
        await door.tell("call.started", {})
        async for event in door.events():
            self.events.append(event)

    def admit(self, door):
        if self.full is not None:
            raise self.full


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)


def scenario(script, **options):
    """Run a script with an endpoint, in virtual time."""

    async def main():
        house = House()
        endpoint = SipEndpoint(SipOptions(**options), house.take, house.admit)
        try:
            return await script(house, Phone(endpoint))
        finally:
            await endpoint.close()

    return run_virtual(main())


# --- calls


def test_a_call_is_answered_held_resumed_and_hung_up():
    async def script(house, phone):
        await phone.call()
        assert phone.wire.statuses() == [100, 200]
        answered = phone.wire.last()
        assert answered.content_type == "application/sdp"
        assert b"m=audio" in answered.body
        assert answered.contact is not None
        phone.request("INVITE", sdp(direction="sendonly"))
        await settled()
        assert b"a=recvonly" in phone.wire.last().body
        phone.ack()
        phone.request("INVITE", sdp("m=audio 40000 RTP/AVP 8\r\n"))
        await settled()
        assert b"PCMA/8000" in phone.wire.last().body
        phone.ack()
        phone.request("BYE")
        await settled()
        assert phone.wire.statuses("BYE") == [200]
        assert house.events == [CallerHold(True), CallerHold(False), CallerHungUp()]
        phone.request("INFO")
        assert phone.wire.statuses("INFO") == [481]

    scenario(script)


def test_an_answer_is_repeated_until_its_ack_and_a_repeated_invite_makes_no_second_call():
    async def script(house, phone):
        phone.request("INVITE", sdp())
        await settled()
        phone.request("INVITE", sdp(), seq=1, branch=1)
        await asyncio.sleep(1.6)
        assert phone.wire.statuses() == [100, 200, 200, 200]
        phone.ack()
        await asyncio.sleep(10)
        assert phone.wire.statuses() == [100, 200, 200, 200]
        assert len(house.doors) == 1

    scenario(script)


def test_an_answer_that_is_never_acknowledged_ends_the_call():
    async def script(house, phone):
        phone.request("INVITE", sdp())
        await asyncio.sleep(40)
        assert house.events == [CallerHungUp(failed=True)]
        assert phone.wire.requests("BYE")

    scenario(script)


def test_an_invite_without_an_offer_gets_one_and_the_ack_answers_it():
    async def script(house, phone):
        phone.request("INVITE")
        await settled()
        assert b"m=audio" in phone.wire.last().body
        phone.ack(sdp("m=audio 40000 RTP/AVP 8\r\n"))
        await settled()
        media = house.doors[0].call.media
        assert media.agreed.codec.name == "PCMA"

    scenario(script)


def test_a_call_that_finds_no_port_for_its_audio_is_refused(monkeypatch):
    async def no_port(options, on_event):
        raise AtCapacity("Every port is taken.", code="no_ports")

    monkeypatch.setattr(FakeRtp, "open", no_port)

    async def script(house, phone):
        phone.request("INVITE", sdp())
        await settled()
        assert phone.wire.statuses() == [100, 503]
        assert house.events == [CallerHungUp(failed=True)]

    scenario(script)


def test_a_caller_who_gives_up_before_the_answer_is_told_so():
    async def script(house, phone):
        house.delay_s = 5
        phone.request("INVITE", sdp())
        await settled()
        phone.request("CANCEL", seq=1, branch=1)
        await asyncio.sleep(10)
        assert phone.wire.statuses("CANCEL") == [200]
        assert phone.wire.statuses()[:2] == [100, 487]
        assert house.events == [CallerHungUp()]
        phone.request("CANCEL", seq=9, branch=9)
        assert phone.wire.statuses("CANCEL")[-1] == 481

    scenario(script)


def test_a_cancel_while_the_answer_is_made_leaves_nothing_open(monkeypatch):
    closed = []

    async def slowly(options, on_event):
        await asyncio.sleep(1)
        return FakeRtp()

    monkeypatch.setattr(FakeRtp, "open", slowly)
    monkeypatch.setattr(FakeRtp, "close", lambda self: closed.append(self))

    async def script(house, phone):
        phone.request("INVITE", sdp())
        await settled()
        phone.request("CANCEL", seq=1, branch=1)
        await asyncio.sleep(5)
        assert 200 not in phone.wire.statuses()
        assert phone.wire.statuses()[1] == 487
        assert phone.wire.requests("BYE") == []
        assert closed

    scenario(script)


def test_a_cancel_after_the_answer_changes_nothing():
    async def script(house, phone):
        await phone.call()
        phone.to_tag = ""
        phone.request("CANCEL", seq=1, branch=1)
        await settled()
        assert phone.wire.statuses("CANCEL") == [200]
        assert house.events == []

    scenario(script)


def test_keys_are_heard_by_info_in_both_of_its_ways():
    async def script(house, phone):
        await phone.call()
        phone.request("INFO", b"Signal=5\r\nDuration=160\r\n", type_="application/dtmf-relay")
        phone.request("INFO", b"#", type_="application/dtmf")
        phone.request("INFO", b"Signal=Z", type_="application/dtmf-relay")
        phone.request("INFO")
        phone.request("INFO", b"<x/>", type_="application/media_control+xml")
        await settled()
        assert house.events == [CallerDigit("5"), CallerDigit("#")]
        assert phone.wire.statuses("INFO") == [200, 200, 200, 200, 415]

    scenario(script)


def test_the_assistant_hangs_up_by_bye():
    async def script(house, phone):
        await phone.call()
        closing = asyncio.create_task(house.doors[0].close("completed"))
        await settled()
        (bye,) = phone.wire.requests("BYE")
        phone.respond(bye, 200)
        await asyncio.wait_for(closing, 1)

    scenario(script)


def test_a_peer_who_does_not_answer_a_bye_holds_nobody_up():
    async def script(house, phone):
        await phone.call()
        async with asyncio.timeout(5):
            await house.doors[0].close("completed")

    scenario(script)


def test_an_offer_that_cannot_be_taken_leaves_the_call_as_it_was():
    async def script(house, phone):
        await phone.call()
        phone.request("INVITE", sdp("m=audio 40000 RTP/AVP 18\r\n"))
        await settled()
        assert phone.wire.statuses()[-1] == 488
        phone.request("ACK", seq=2, branch=phone.branch)
        phone.request("OPTIONS")
        assert phone.wire.statuses("OPTIONS") == [200]
        assert house.doors[0].call.media.agreed.codec.name == "PCMU"

    scenario(script)


def test_requests_out_of_order_and_unknown_ones_are_refused():
    async def script(house, phone):
        await phone.call()
        phone.request("INFO", seq=1)
        phone.request("PUBLISH")
        phone.request("NOTIFY")
        assert phone.wire.statuses("INFO") == [500]
        assert phone.wire.statuses("PUBLISH") == [405]
        assert phone.wire.statuses("NOTIFY") == [481]

    scenario(script)


def test_one_who_does_not_refresh_the_session_is_gone():
    async def script(house, phone):
        await phone.call("Supported: timer", "Session-Expires: 90;refresher=uac")
        answered = phone.wire.last()
        assert answered.headers.get("session-expires") == "90;refresher=uac"
        await asyncio.sleep(50)
        phone.request("UPDATE", b"", "Supported: timer", "Session-Expires: 90;refresher=uac")
        await settled()
        assert phone.wire.statuses("UPDATE") == [200]
        await asyncio.sleep(50)
        assert CallerHungUp(failed=True) not in house.events
        await asyncio.sleep(60)
        assert house.events[-1] == CallerHungUp(failed=True)
        assert phone.wire.requests("BYE")

    scenario(script)


def test_this_side_refreshes_the_session_where_that_was_agreed():
    async def script(house, phone):
        more = ("Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, UPDATE")
        await phone.call(*more)
        await asyncio.sleep(45.2)
        (update,) = phone.wire.requests("UPDATE")
        phone.respond(update, 200, "Session-Expires: 90;refresher=uac")
        await asyncio.sleep(46)
        assert len({u.seq for u in phone.wire.requests("UPDATE")}) == 2

    scenario(script)


def test_a_peer_without_session_timers_is_looked_after_all_the_same():
    async def script(house, phone):
        await phone.call("Allow: INVITE, BYE")
        for count in (1, 2):
            await asyncio.sleep(902)
            invites = {invite.seq: invite for invite in phone.wire.requests("INVITE")}
            assert len(invites) == count
            phone.respond(invites[max(invites)], 200, body=sdp())
            await settled()
            assert phone.wire.requests("ACK")[-1].seq == max(invites)
        await asyncio.sleep(950)  # and now nobody answers
        assert house.events == [CallerHungUp(failed=True)]

    scenario(script)


# --- hand-over


async def hand_over(house, phone, *, accepted=202, told=None, leaves=False):
    await phone.call()
    transfer = asyncio.create_task(house.doors[0].transfer("+49 89 1234", "about a car"))
    await settled()
    (refer,) = phone.wire.requests("REFER")
    assert refer.headers.get("refer-to") == "<sip:+49891234@127.0.0.1:5070>"
    phone.respond(refer, accepted)
    await settled()
    if told is not None:
        state = "Subscription-State: active"
        phone.request("NOTIFY", told, "Event: refer", state, type_="message/sipfrag")
        assert phone.wire.statuses("NOTIFY") == [200]
    if leaves:
        phone.request("BYE")
    await transfer


@pytest.mark.parametrize("how", [{"told": b"SIP/2.0 200 OK"}, {"leaves": True}])
def test_a_hand_over_works_when_the_peer_says_so_or_leaves(how):
    async def script(house, phone):
        await hand_over(house, phone, **how)

    scenario(script)


@pytest.mark.parametrize("how", [{"accepted": 403}, {"told": b"SIP/2.0 486 Busy"}, {}])
def test_a_hand_over_that_does_not_work_leaves_the_caller_here(how):
    async def script(house, phone):
        with pytest.raises(TransferFailed):
            await hand_over(house, phone, **how)
        assert CallerHungUp() not in house.events

    scenario(script)


# --- what is refused


def refusal(*more, method="INVITE", body=None, uri="sip:kfz@127.0.0.1", house=None, **options):
    """Send one request; returns its last status and headers."""

    async def script(inner, phone):
        for name, value in (house or {}).items():
            setattr(inner, name, value)
        wire = Wire(host=options.get("host", "127.0.0.1"))
        phone.wire = wire
        body_ = sdp() if body is None and method == "INVITE" else body or b""
        phone.request(method, body_, *more, uri=uri)
        await settled()
        return wire.last(method)

    return scenario(script, **{k: v for k, v in options.items() if k != "host"})


BUSY = AtCapacity("All lines are busy.", retry_after_s=7)
UNKNOWN = ProtocolError("There is no such profile.", code="unknown_profile")


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (503, {"house": {"full": BUSY}}),
        (503, {"house": {"error": BUSY}}),
        (404, {"house": {"error": UNKNOWN}}),
        (500, {"house": {"error": RuntimeError("a defect")}}),
        (488, {"body": sdp("m=audio 40000 RTP/AVP 18\r\n")}),
        (400, {"body": b"no description"}),
        (416, {"uri": "nobodyKnowsThisScheme:totallyopaquecontent"}),
        (481, {"method": "BYE"}),
        (489, {"method": "SUBSCRIBE"}),
        (405, {"method": "MESSAGE"}),
        (405, {"method": "REGISTER"}),
        (405, {"method": "!odd"}),
        (200, {"method": "OPTIONS"}),
        (403, {"allowed": (ip_network("10.0.0.0/8"),)}),
        (200, {"allowed": (ip_network("127.0.0.0/8"),)}),
        (401, {"users": {"alice": "secret"}}),
        (401, {"method": "REGISTER", "users": {"alice": "secret"}}),
        (488, {"abilities": Abilities(srtp="required")}),
    ],
)
def test_a_request_is_answered_by(status, asked):
    assert refusal(**asked).status == status


@pytest.mark.parametrize(
    ("status", "header"),
    [
        (420, "Require: 100rel, nothingSupportsThis"),
        (415, "Content-Encoding: gzip"),
        (406, "Accept: text/nobodyKnowsThis"),
        (422, "Session-Expires: 30"),
        (200, "Accept: application/sdp;level=1, text/plain"),
        (401, "Authorization: NoOneKnowsThisScheme opaque-data=here"),
    ],
)
def test_a_header_leads_to(status, header):
    users = {"users": {"a": "b"}} if status == 401 else {}
    assert refusal(header, **users).status == status


def test_a_refusal_says_what_would_help():
    assert refusal(house={"full": BUSY}).headers.get("retry-after") == "7"
    unsupported = refusal("Require: 100rel, timer").headers.get("unsupported")
    assert unsupported == "100rel"
    assert refusal("Session-Expires: 30").headers.get("min-se") == "90"
    assert "INVITE" in refusal(method="MESSAGE").headers.get("allow")
    assert refusal(method="OPTIONS").headers.get("accept") == "application/sdp"


def test_a_crashed_call_costs_no_other_one(caplog):
    async def script(house, phone):
        house.error = RuntimeError("a defect")
        phone.request("INVITE", sdp())
        await settled()
        house.error = None
        other = Phone(phone.endpoint, call_id="c2")
        await other.call()
        assert other.wire.statuses() == [100, 200]

    scenario(script)


def test_who_proves_a_password_may_call():
    async def script(house, phone):
        phone.request("INVITE", sdp())
        asked = phone.wire.last()
        phone.request("ACK", seq=1, branch=1)
        challenge = best_challenge(asked.headers.lines_of("www-authenticate"))
        for password, status in (("guess", 401), ("secret", 200)):
            proof = answer(challenge, "INVITE", "sip:kfz@127.0.0.1", "alice", password)
            phone.request("INVITE", sdp(), f"Authorization: {proof}")
            await settled()
            assert phone.wire.statuses()[-1] == status

    scenario(script, users={"alice": "secret"})


def test_a_telephone_may_register_with_a_password_and_is_told_for_how_long():
    async def script(house, phone):
        phone.request("REGISTER", b"", "Expires: 7200", uri="sip:127.0.0.1")
        challenge = best_challenge(phone.wire.last("REGISTER").headers.lines_of("www-authenticate"))
        proof = answer(challenge, "REGISTER", "sip:127.0.0.1", "alice", "secret")
        more = (f"Authorization: {proof}", "Expires: 7200")
        phone.request("REGISTER", b"", *more, uri="sip:127.0.0.1")
        granted = phone.wire.last("REGISTER")
        assert granted.status == 200
        assert granted.headers.get("contact") == "<sip:alice@127.0.0.1:5070>;expires=3600"

    scenario(script, users={"alice": "secret"})


def test_an_unknown_address_may_not_call_all_the_time():
    async def script(house, phone):
        house.full = BUSY
        statuses = []
        for index in range(12):
            caller = Phone(phone.endpoint, Wire(host="192.0.2.66"), f"x{index}")
            caller.request("INVITE", sdp())
            statuses.append(caller.wire.statuses()[-1])
        assert statuses == [503] * 10 + [480] * 2
        other = Phone(phone.endpoint, Wire(host="192.0.2.67"), "y")
        other.request("INVITE", sdp())
        assert other.wire.statuses()[-1] == 503

    scenario(script, calls_per_minute=5)


def test_an_invite_that_comes_by_two_ways_is_one_call():
    async def script(house, phone):
        phone.request("INVITE", sdp())
        await settled()
        phone.request("INVITE", sdp(), seq=1)
        await settled()
        assert phone.wire.statuses() == [100, 200, 482]

    scenario(script)


def test_a_flood_of_requests_leaves_a_call_its_own(monkeypatch):
    monkeypatch.setattr("apps.voice.doors.sip.exchange.MAX_TRANSACTIONS", 20)

    async def script(house, phone):
        await phone.call()
        others = [Phone(phone.endpoint, Wire(host="192.0.2.66"), f"f{n}") for n in range(30)]
        for other in others:
            other.request("INVITE", sdp())
        assert others[-1].wire.statuses() == [503]
        phone.request("OPTIONS")
        phone.request("BYE")
        assert phone.wire.statuses("OPTIONS") == phone.wire.statuses("BYE") == [200]

    scenario(script)


def test_a_bad_request_is_answered_where_its_headers_allow_it_and_dropped_otherwise():
    async def script(house, phone):
        receive = phone.endpoint.stack.exchange.receive
        phone.request("INVITE", sdp(), "Max-Forwards: many")
        assert phone.wire.statuses() == [400]
        phone.request("INVITE", sdp(), uri="sip:bad uri")
        assert phone.wire.statuses() == [400, 400]
        for data in (
            b"nonsense",
            b"ACK sip:x SIP/2.0\r\nVia: x\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
        ):
            receive(phone.wire, data)
        assert len(phone.wire.sent) == 2
        assert house.doors == []

    scenario(script)


# --- calling out


def dialled(script, **options):
    """Run a script with a dialer, whose INVITEs go over the phone's wire."""

    async def main():
        house = House()
        endpoint = SipEndpoint(SipOptions(**options), house.take, house.admit)
        phone = Phone(endpoint, Wire("tcp"))

        async def flow_to(uri):
            return phone.wire

        endpoint.stack.transports.flow_to = flow_to
        try:
            return await script(phone, SipDialer(endpoint))
        finally:
            await endpoint.close()

    return run_virtual(main())


def dial(dialer, timeout_s=30.0, target="sip:bob@127.0.0.1:5070"):
    return asyncio.create_task(dialer.dial(target, caller_id="", timeout_s=timeout_s))


def test_somebody_is_called_answers_and_hangs_up():
    async def script(phone, dialer):
        calling = dial(dialer)
        await settled()
        (invite,) = phone.wire.requests("INVITE")
        phone.respond(invite, 180)
        await asyncio.sleep(3)
        phone.respond(invite, 200, body=sdp())
        door = await calling
        assert [ack.seq for ack in phone.wire.requests("ACK")] == [1]
        assert door.request.direction == "outgoing"
        phone.respond(invite, 200, body=sdp())  # the ACK was lost
        await settled()
        assert len(phone.wire.requests("ACK")) == 2
        phone.call_id, phone.to_tag = invite.call_id, invite.sender.tag
        text = invite.call_id
        bye = (
            f"BYE sip:tom@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKq\r\n"
            f"From: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:tom@h>;tag={invite.sender.tag}\r\n"
            f"Call-ID: {text}\r\nCSeq: 1 BYE\r\n\r\n"
        )
        phone.endpoint.stack.exchange.receive(phone.wire, bye.encode())
        events = [event async for event in door.events()]
        assert events == [CallerHungUp()]
        assert phone.wire.statuses("BYE") == [200]

    dialled(script)


@pytest.mark.parametrize(
    ("status", "code"),
    [(486, "busy"), (603, "declined"), (404, "unreachable"), (480, "no_answer"), (500, "failed")],
)
def test_who_does_not_answer_is_told_why(status, code):
    async def script(phone, dialer):
        calling = dial(dialer)
        await settled()
        phone.respond(phone.wire.requests("INVITE")[0], status)
        with pytest.raises(DialFailed) as failed:
            await calling
        assert failed.value.code == code
        assert phone.wire.requests("ACK")

    dialled(script)


def test_who_lets_it_ring_too_long_is_no_longer_called():
    async def script(phone, dialer):
        calling = dial(dialer, timeout_s=10)
        await settled()
        (invite,) = phone.wire.requests("INVITE")
        phone.respond(invite, 180)
        with pytest.raises(DialFailed) as failed:
            await calling
        assert failed.value.code == "no_answer"
        await settled()
        (cancel,) = phone.wire.requests("CANCEL")
        assert cancel.via.branch == invite.via.branch

    dialled(script)


def test_who_answers_just_when_the_call_is_given_up_is_hung_up_on():
    async def script(phone, dialer):
        calling = dial(dialer)
        await settled()
        (invite,) = phone.wire.requests("INVITE")
        phone.respond(invite, 180)
        await settled()
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling
        await settled()
        assert phone.wire.requests("CANCEL")
        phone.respond(invite, 200, body=sdp())
        await settled()
        assert phone.wire.requests("ACK")
        assert phone.wire.requests("BYE")

    dialled(script)


def test_a_connection_that_is_lost_is_noticed_at_once():
    async def script(phone, dialer):
        phone.wire.closed = True
        with pytest.raises(DialFailed) as failed:
            await asyncio.wait_for(dial(dialer), 1)
        assert failed.value.code == "failed"

    dialled(script)


def test_a_number_needs_a_provider():
    async def script(phone, dialer):
        with pytest.raises(DialFailed) as failed:
            await dial(dialer, target="+49891234")
        assert failed.value.code == "unreachable"

    dialled(script)
