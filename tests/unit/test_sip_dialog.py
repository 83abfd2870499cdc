"""Dialogs, session timers, registrations and hand-overs: what is decided without any socket."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ConfigError, ProtocolError
from apps.voice.doors.base import CallRequest
from apps.voice.doors.sip import options, session_timer
from apps.voice.doors.sip.dialog import response_to, uac_dialog, uas_dialog
from apps.voice.doors.sip.door import caller_of, read_request, refer_target
from apps.voice.doors.sip.headers import Headers
from apps.voice.doors.sip.limits import AddressBuckets
from apps.voice.doors.sip.message import Request
from apps.voice.doors.sip.options import Account
from apps.voice.doors.sip.refer import Progress
from apps.voice.doors.sip.registration import next_wait_s
from apps.voice.doors.sip.stack import with_credentials
from apps.voice.doors.sip.uri import read_uri

FIELDS = {
    "via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    "from": "<sip:a@192.0.2.1>;tag=a",
    "to": "<sip:b@192.0.2.2>",
    "call-id": "c",
    "cseq": "5 INVITE",
    "contact": "<sip:a@192.0.2.1:5070>",
}


def request(method="INVITE", uri="sip:b@192.0.2.2", body=b"", more=(), **fields):
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    kept = {name: value for name, value in (FIELDS | named).items() if value is not None}
    return Request(Headers((*kept.items(), *more)), body, method, read_uri(uri))


PROXIES = [
    ("record-route", "<sip:p1.example;lr>, <sip:p2.example;lr>"),
    ("record-route", "<sip:p3.example;lr>"),
]


# --- dialogs


def test_the_side_that_is_called_sends_its_requests_by_the_proxies_as_they_came():
    dialog = uas_dialog(request(more=PROXIES), "mine")
    assert dialog.id == ("c", "mine", "a")
    dialog, bye = dialog.request("BYE")
    assert (bye.method, str(bye.uri), bye.seq) == ("BYE", "sip:a@192.0.2.1:5070", 1)
    assert bye.headers.lines_of("route") == [f"<sip:p{i}.example;lr>" for i in (1, 2, 3)]
    assert (bye.sender.tag, bye.recipient.tag) == ("mine", "a")
    assert dialog.next_hop.host == "p1.example"


def test_the_side_that_calls_sends_its_requests_by_the_proxies_backwards():
    invite = request()
    answer = response_to(request(more=PROXIES), 200, ("contact", "<sip:b@192.0.2.2:5080>"), tag="b")
    _, bye = uac_dialog(invite, answer).request("BYE")
    assert bye.headers.lines_of("route") == [f"<sip:p{i}.example;lr>" for i in (3, 2, 1)]
    assert (str(bye.uri), bye.seq) == ("sip:b@192.0.2.2:5080", 6)
    assert uac_dialog(invite, answer).ack(5).headers.get("cseq") == "5 ACK"


def test_a_strict_router_gets_the_request_itself():
    dialog = uas_dialog(request(more=[("record-route", "<sip:old.example>")]), "mine")
    _, bye = dialog.request("BYE")
    assert str(bye.uri) == "sip:old.example"
    assert bye.headers.lines_of("route") == ["<sip:a@192.0.2.1:5070>"]


def test_an_older_request_is_refused_and_a_newer_one_may_move_the_peer():
    dialog = uas_dialog(request(), "mine")
    with pytest.raises(ProtocolError):
        dialog.take(request(cseq="5 INVITE"))
    moved = dialog.take(request(cseq="6 INVITE", contact="<sip:a@192.0.2.7>"))
    assert (moved.target.host, moved.remote_seq) == ("192.0.2.7", 6)
    stays = dialog.take(request("INFO", cseq="7 INFO", contact="<sip:a@192.0.2.8>"))
    assert stays.target.host == "192.0.2.1"


@pytest.mark.parametrize("contact", [None, "<tel:+4989>", "*"])
def test_no_dialog_begins_without_a_way_to_the_peer(contact):
    with pytest.raises(ProtocolError):
        uas_dialog(request(contact=contact), "mine")


def test_a_response_takes_over_what_it_must():
    answer = response_to(request(more=PROXIES), 200, tag="t")
    assert answer.recipient.tag == "t"
    assert answer.via.branch == "z9hG4bK1"
    assert len(answer.headers.values("record-route")) == 3
    assert response_to(request(to="<sip:b@h>;tag=x"), 200, tag="t").recipient.tag == "x"
    assert not response_to(request(more=PROXIES), 486, tag="t").headers.has("record-route")


def test_a_challenge_is_met_once_by_the_same_request_with_the_next_number():
    account = Account(read_uri("sip:p.example"), "u", "secret")
    asked = ("www-authenticate", 'Digest realm="p", nonce="1", qop="auth"')
    again = with_credentials(request(), response_to(request(), 401, asked), account)
    assert again.seq == 6
    assert again.headers.get("authorization").startswith('Digest username="u"')
    assert with_credentials(again, response_to(again, 401, asked), account) is None
    stale = (asked[0], asked[1] + ", stale=true")
    assert with_credentials(again, response_to(again, 401, stale), account).seq == 7
    assert with_credentials(request(), response_to(request(), 403, asked), account) is None


# --- session timers


@pytest.mark.parametrize(
    ("more", "interval_s", "we_refresh", "said"),
    [
        ((), 1800, True, "1800;refresher=uas"),
        ((("supported", "timer"),), 1800, False, "1800;refresher=uac"),
        ((("supported", "timer"), ("session-expires", "600")), 600, False, "600;refresher=uac"),
        (
            (("supported", "timer"), ("session-expires", "600;refresher=uas")),
            600,
            True,
            "600;refresher=uas",
        ),
        (
            (("supported", "timer"), ("session-expires", "100"), ("min-se", "200")),
            200,
            False,
            "200;refresher=uac",
        ),
    ],
)
def test_a_session_timer_is_agreed(more, interval_s, we_refresh, said):
    timer, lines = session_timer.agree(request(more=more))
    assert (timer.interval_s, timer.we_refresh) == (interval_s, we_refresh)
    assert dict(lines)["session-expires"] == said
    assert (("require", "timer") in lines) is (not we_refresh)
    assert timer.refresh_after_s < timer.expires_after_s < interval_s


def test_a_session_that_wants_to_be_refreshed_all_the_time_is_refused():
    assert session_timer.too_small(request(more=[("session-expires", "30")]))
    assert not session_timer.too_small(request(more=[("session-expires", "90")]))
    assert not session_timer.too_small(request())


def test_an_answer_says_who_refreshes():
    def agreed(value):
        return session_timer.agreed(response_to(request(), 200, ("session-expires", value)))

    assert agreed("600;refresher=uas").we_refresh is False
    assert agreed("600;refresher=uac").we_refresh is True
    assert agreed("600").we_refresh is True
    assert session_timer.agreed(response_to(request(), 200)) is None


# --- registration


def test_a_registration_is_renewed_before_it_ends():
    granted = response_to(request("REGISTER"), 200, ("contact", "<sip:u@h>;expires=300"))
    assert next_wait_s(granted, 600, 0) == (235.0, True)
    assert next_wait_s(response_to(request("REGISTER"), 200), 600, 0) == (475.0, True)
    short = response_to(request("REGISTER"), 200, ("expires", "5"))
    assert next_wait_s(short, 600, 0) == (10.0, True)


def test_a_registration_that_fails_is_tried_less_and_less_often():
    waits = [next_wait_s(None, 600, failures)[0] for failures in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == 5.0
    assert waits[-1] == 300.0
    told = response_to(request("REGISTER"), 503, ("retry-after", "120"))
    assert next_wait_s(told, 600, 0) == (120.0, False)


# --- who calls whom


def test_a_call_s_profile_language_and_caller_are_read():
    invite = request(
        uri="sip:4989123@192.0.2.2;lang=DE",
        more=[("p-asserted-identity", '"A" <sip:a@h>, <tel:+49891>')],
    )
    assert read_request(invite, {"4989123": "kfz"}) == CallRequest("kfz", "de", "+49891")
    assert read_request(request(), {"*": "other"}).profile == "other"
    header = request(more=[("x-tom-language", "en-GB")])
    assert read_request(header, {}) == CallRequest("", "en", "a@192.0.2.1")
    assert read_request(request(more=[("x-tom-language", "fr")]), {}).language == ""


@pytest.mark.parametrize(
    ("sender", "caller"),
    [
        ('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=a', ""),
        ("<sip:+4989123@provider.example>;tag=a", "+4989123"),
        ("<sip:101@pbx.example>;tag=a", "101@pbx.example"),
        ("<sip:%00%0Aevil@h>;tag=a", "evil@h"),
        (f"<sip:{'x' * 400}@h>;tag=a", "x" * 100),
    ],
)
def test_a_caller_is_known_by_their_number_or_address(sender, caller):
    assert caller_of(request(**{"from": sender})) == caller


def test_a_hand_over_target_is_a_uri_or_a_number_at_the_peer_s_server():
    peer = read_uri("sip:a@pbx.example:5080")
    assert str(refer_target("sip:desk@x.example", peer)) == "sip:desk@x.example"
    assert str(refer_target("+49 (89) 12-34", peer)) == "sip:+49891234@pbx.example:5080"
    for bad in ("", "desk", "sip:", "+49;x=1", "1" * 40):
        with pytest.raises(ProtocolError):
            refer_target(bad, peer)


@pytest.mark.parametrize(
    ("body", "state", "settled"),
    [
        (b"SIP/2.0 100 Trying\r\n", "active", None),
        (b"SIP/2.0 180 Ringing", "active;expires=60", None),
        (b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource", True),
        (b"SIP/2.0 200 OK", "active", True),
        (b"SIP/2.0 486 Busy Here\r\n", "terminated", False),
        (b"", "terminated;reason=timeout", False),
        (b"nonsense", "active", None),
    ],
)
def test_a_hand_over_is_settled_by_what_is_told_of_it(body, state, settled):
    async def scenario():
        progress = Progress()
        notify = request("NOTIFY", body=body, more=[("subscription-state", state)])
        progress.notified(notify)
        progress.notified(notify)
        return progress.done.result() if progress.done.done() else None

    assert asyncio.run(scenario()) is settled


# --- settings


def test_settings_are_read():
    assert options.read_transports(" tls, UDP ,udp") == ("tls", "udp")
    assert options.read_ports("10000-10999") == (10_000, 10_999)
    assert options.read_codecs("g.722,pcmu") == ("G722", "PCMU")
    assert options.read_digests("sha-256, md5") == ("SHA-256", "MD5")
    assert len(options.read_networks("10.0.0.0/8, 192.0.2.7,2001:db8::/32")) == 3
    assert options.read_networks("") == ()
    account = options.read_account("provider.example;transport=tls", "u", "p", "auth")
    assert (account.registrar.transport, account.login) == ("tls", "auth")
    assert account.hop == account.registrar
    behind = options.read_account("provider.example", "u", "p", "", "sip:host.example:5080")
    assert (behind.hop.host, behind.hop.port) == ("host.example", 5080)
    assert options.read_account("", "", "") is None


@pytest.mark.parametrize(
    "read",
    [
        lambda: options.read_transports("udp,sctp"),
        lambda: options.read_transports(""),
        lambda: options.read_ports("10000"),
        lambda: options.read_ports("11000-10000"),
        lambda: options.read_codecs("G729"),
        lambda: options.read_digests("MD6"),
        lambda: options.read_networks("10.0.0.0/99"),
        lambda: options.read_account("provider.example", "", "p"),
        lambda: options.read_account("not a host", "u", "p"),
        lambda: options.read_account("provider.example", "u", "p", "", "no host"),
        lambda: options.server_context("/nowhere.pem", ""),
        lambda: options.client_context("/nowhere.pem"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(read):
    with pytest.raises(ConfigError):
        read()


def test_an_account_s_password_is_not_shown():
    assert "secret" not in repr(Account(read_uri("sip:p.example"), "u", "secret"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 2000), max_size=60))
def test_no_address_gets_more_than_its_share(gaps):
    limits, now, allowed = AddressBuckets(2.0, 5.0), 0.0, 0
    for gap in gaps:
        now += gap
        allowed += limits.allows("192.0.2.1", now)
    assert allowed <= 5 + now / 1000 * 2 + 1
    assert limits.allows("192.0.2.2", now)
