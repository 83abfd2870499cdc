"""SIP messages: what is read, what is refused, and that nothing else can come of any bytes.

The odd messages follow the cases of RFC 4475 (torture tests), in words of our own.
"""

import random
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.framing import PING, PONG, Framer
from apps.voice.doors.sip.headers import BadMessage
from apps.voice.doors.sip.message import MAX_MESSAGE_BYTES, Request, Response, read_message
from apps.voice.doors.sip.uri import read_address, read_uri, sip_uri, split_outside

BASE = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport",
    "From": '"Alice" <sip:alice@example.com>;tag=a1',
    "To": "<sip:kfz@192.0.2.9>",
    "Call-ID": "c1@192.0.2.1",
    "CSeq": "7 INVITE",
    "Contact": "<sip:alice@192.0.2.1:5070>",
    "Max-Forwards": "70",
}


def message(first="INVITE sip:kfz@192.0.2.9 SIP/2.0", body=b"", more=(), **headers):
    """A message with some headers changed; None takes one away."""
    fields = BASE | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([first, *lines, *more, "", ""]).encode() + body


def request(*args, **headers):
    read = read_message(message(*args, **headers))
    assert isinstance(read, Request)
    return read


def refused(data):
    with pytest.raises(BadMessage) as error:
        read_message(data)
    return error.value


# --- what is read


def test_an_ordinary_invite_is_read_in_all_its_parts():
    invite = request(body=b"v=0", more=["Content-Type: application/sdp;x=y", "Content-Length: 3"])
    assert (invite.method, invite.uri.user, invite.seq, invite.seq_method) == (
        "INVITE",
        "kfz",
        7,
        "INVITE",
    )
    assert (invite.sender.display, invite.sender.tag) == ("Alice", "a1")
    assert invite.recipient.tag == ""
    assert (invite.via.branch, invite.via.port) == ("z9hG4bKabc", 5070)
    assert (invite.body, invite.content_type) == (b"v=0", "application/sdp")


def test_what_is_written_is_read_again_as_it_was():
    invite = request(body=b"abc", more=["Content-Length: 3"])
    again = read_message(invite.encode())
    assert isinstance(again, Request)
    assert again.headers.without("content-length") == invite.headers.without("content-length")
    assert (again.body, again.uri) == (invite.body, invite.uri)


def test_short_names_folds_and_odd_spaces_are_read():
    data = (
        b"INVITE sip:vivekg@chair.example;unknownparam SIP/2.0\r\n"
        b"TO :\r\n sip:vivekg@chair.example ;   tag    = 1918181833n\r\n"
        b'f   : "J Rosenberg \\\\\\"" <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
        b"MaX-fOrWaRdS: 0068\r\n"
        b"i: wsinv.ndaksdj@192.0.2.1\r\n"
        b"cseq: 0009\r\n  INVITE\r\n"
        b"v: SIP / 2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
        b"v: SIP / 2.0 / TCP spindle.example ;\r\n branch = z9hG4bK9ikj8 ,\r\n"
        b" SIP / 2.0 / UDP 192.168.255.111 ; branch= z9hG4bK30239\r\n"
        b"s :\r\nNewFangled:  newfangled value\r\n more ;;,,;;\r\nl: 3\r\n\r\nabc"
    )
    invite = read_message(data)
    assert isinstance(invite, Request)
    assert invite.recipient.tag == "1918181833n"
    assert invite.sender.display == 'J Rosenberg \\"'
    assert invite.sender.tag == "98asjd8"
    assert (invite.seq, invite.call_id) == (9, "wsinv.ndaksdj@192.0.2.1")
    assert invite.via.branch == "390skdjuw"
    assert len(invite.headers.values("via")) == 3
    assert invite.number("max-forwards") == 68
    assert invite.body == b"abc"


def test_a_method_of_any_token_and_a_name_of_any_letter_are_read():
    name = "!interesting-Method0123456789_*+`.%indeed'~"
    user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    odd = f'"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:{user}@e.example>'
    read = request(f"{name} sip:x@e.example SIP/2.0", CSeq=f"1 {name}", To=odd)
    assert read.method == name
    assert read.recipient.uri.user == user
    assert read.recipient.display == "BEL:\x07 NUL:\x00 DEL:\x7f"


def test_escapes_in_a_user_are_undone_and_the_uri_stays_as_it_was():
    uri = read_uri("sip:sips%3Auser%40example.com@example.net")
    assert (uri.user, uri.host) == ("sips:user@example.com", "example.net")
    assert str(uri) == "sip:sips%3Auser%40example.com@example.net"
    assert read_uri("sip:null-%00-null@example.com").user == "null-\0-null"


def test_a_semicolon_belongs_to_the_user_that_it_stands_in():
    uri = read_uri("sip:user;par=u%40example.net@example.com;lang=de")
    assert uri.user == "user;par=u@example.net"
    assert uri.params == {"lang": "de"}


def test_a_display_name_needs_no_space_before_its_bracket():
    assert read_address("caller<sip:c@example.com>;tag=3").uri.user == "c"


def test_an_address_of_ipv6_is_read():
    uri = read_uri("sip:a@[2001:db8::10]:5070;transport=tcp")
    assert (uri.host, uri.port, uri.transport) == ("2001:db8::10", 5070, "tcp")
    assert str(sip_uri("a", "2001:db8::10", 5070)) == "sip:a@[2001:db8::10]:5070"


def test_a_telephone_number_is_a_uri_too():
    assert read_address("<tel:+49-89-1234;phone-context=x>").uri.user == "+49-89-1234"


def test_what_follows_the_body_in_a_datagram_is_no_second_message():
    first = request(body=b"abcREGISTER sip:x SIP/2.0\r\n", more=["Content-Length: 3"])
    assert first.body == b"abc"


@pytest.mark.parametrize("reason", ["", " ", " = 2**3 * 5\u00e9 \u044b"])
def test_a_response_s_reason_may_be_anything(reason):
    read = read_message(message(f"SIP/2.0 200{reason}"))
    assert isinstance(read, Response)
    assert (read.status, read.is_success) == (200, True)


def test_many_long_values_are_read():
    tag = "x" * 2000
    vias = [f"Via: SIP/2.0/TCP sip{i}.example.com;branch=z9hG4bK{i}" for i in range(34)]
    long = request(From=f"<sip:a@example.com>;tag={tag}", more=vias)
    assert len(long.headers.values("via")) == 35
    assert long.sender.tag == tag


def test_an_old_invite_without_a_branch_is_read():
    assert request(Via="SIP/2.0/UDP 192.0.2.1", From="<sip:a@b.example>").via.branch == ""


def test_values_are_split_at_commas_that_are_neither_quoted_nor_bracketed():
    assert split_outside('"a, b" <sip:x;y,z@h>, <sip:c>;q="1,2"', ",") == [
        '"a, b" <sip:x;y,z@h>',
        '<sip:c>;q="1,2"',
    ]


# --- what is refused, with what it is answered by


BAD = {
    "a header's parameters with separators and no names": {"Via": BASE["Via"] + ";;,;,,"},
    "a quoted name that never ends": {"To": '"Mr. J. User <sip:j.user@example.com>'},
    "a comma in a name without quotes": {"From": "Bell, Alexander <sip:a@example.com>;tag=4"},
    "spaces in an address": {"To": '"Watson" < sip:t.watson@example.org >'},
    "a CSeq that is too large": {"CSeq": "36893488147419103232 INVITE"},
    "a CSeq of another method": {"CSeq": "7 OPTIONS"},
    "no Call-ID": {"Call-ID": None},
    "no From": {"From": None},
    "no To": {"To": None},
    "no CSeq": {"CSeq": None},
    "no Via": {"Via": None},
    "a negative length": {"Content-Length": "-999"},
    "a length beyond the message": {"Content-Length": "9999"},
    "a length that is no number": {"Content-Length": "1e3"},
    "a question mark outside of brackets": {"Contact": "sip:user@example.com?Route=%3Csip:x%3E"},
    "hops that are no number": {"Max-Forwards": "-1"},
    "a port that cannot be": {"Contact": "<sip:a@192.0.2.1:99999>"},
    "a bad escape": {"To": "<sip:%zz@192.0.2.9>"},
}


@pytest.mark.parametrize("headers", BAD.values(), ids=BAD)
def test_a_request_is_refused_for(headers):
    fields = BASE | headers
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    text = "\r\n".join(["INVITE sip:kfz@192.0.2.9 SIP/2.0", *lines, "", ""])
    assert refused(text.encode()).status == 400


@pytest.mark.parametrize(
    "first",
    [
        "INVITE <sip:user@example.com> SIP/2.0",
        "INVITE sip:user@example.com; lr SIP/2.0",
        "INVITE  sip:user@example.com  SIP/2.0",
        "INVITE sip:user@example.com SIP/2.0  ",
        "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",
        "INVITE sip:user@example.com",
        "INVITE sip:user@example.com SIP/2.0x",
        "INVITE sip: SIP/2.0",
        "",
    ],
)
def test_a_request_s_first_line_is_refused(first):
    error = refused(message(first))
    assert error.status == 400
    assert error.headers.get("call-id") == BASE["Call-ID"]  # so that it can be answered


def test_another_version_is_told_so():
    assert refused(message("OPTIONS sip:x@e.example SIP/7.0", CSeq="1 OPTIONS")).status == 505


@pytest.mark.parametrize("name", ["To", "From", "Call-ID", "CSeq", "Max-Forwards"])
def test_what_may_stand_once_stands_once(name):
    assert refused(message(more=[f"{name}: {BASE[name]}"])).status == 400


def test_two_lengths_are_refused():
    assert refused(message(more=["Content-Length: 0", "Content-Length: 5"])).status == 400


@pytest.mark.parametrize("status", ["4294967301", "99", "700", "2OO"])
def test_a_response_of_an_impossible_status_is_refused(status):
    assert not refused(message(f"SIP/2.0 {status} better not")).headers.lines


def test_a_line_cannot_be_smuggled_in():
    assert refused(message(To="<sip:kfz@192.0.2.9>\nX-Evil: 1")).status == 400
    assert refused(message(To="<sip:kfz@192.0.2.9>\rX-Evil: 1")).status == 400


def test_too_much_is_refused():
    assert refused(b"x" * (MAX_MESSAGE_BYTES + 1)).status == 513
    assert refused(message(more=["X: y"] * 500)).status == 400
    assert refused(message(more=["X: \xff"]).replace("\xff".encode(), b"\xff")).status == 400


# --- any bytes at all


def read_everything(data):
    """Read a message and everything in it that the endpoint looks at."""
    read = read_message(data)
    _ = read.via, read.sender.tag, read.recipient.uri, read.contact, read.seq, read.seq_method
    _ = read.content_type, read.number("session-expires"), read.headers.tokens("require")
    _ = read.headers.values("p-asserted-identity"), read.headers.values("record-route")
    assert len(read.encode()) <= len(data) * 3 + 1000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(ProtocolError):
        read_everything(data)


HEADER_NAMES = st.sampled_from([*BASE, "Route", "Record-Route", "Require", "Supported", "X", "m"])
LINES = st.lists(st.tuples(HEADER_NAMES, st.text(max_size=60)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_headers_of_any_text_are_read_or_refused(lines):
    more = [f"{name}: {value}" for name, value in lines]
    with suppress(ProtocolError):
        read_everything(message(more=more))


def test_ten_thousand_damaged_messages_are_read_or_refused():
    rng = random.Random(4475)
    whole = message(
        body=b"v=0\r\no=x",
        more=[
            "Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>",
            'P-Asserted-Identity: "A" <sip:+4989@example.com>, <tel:+4989>',
            "Session-Expires: 1800;refresher=uac",
            "Supported: timer, replaces",
            "Content-Length: 8",
        ],
    )
    marks = b'\r\n \t;,:<>"\\@=?%/\0\xff[]'
    read = 0
    for _ in range(10_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.choice(marks)
                case 1:
                    del data[at : at + rng.randint(1, 20)]
                case 2:
                    data[at:at] = bytes(rng.choices(marks, k=rng.randint(1, 6)))
                case _:
                    data[at:at] = data[at : at + rng.randint(1, 40)]
        try:
            read_everything(bytes(data))
            read += 1
        except ProtocolError:
            pass
    assert 500 < read < 9500


SPACES, LONG = " " * 60_000, "a" * 60_000
EVIL = {
    "spaces behind a Via's host": {"Via": f"SIP/2.0/UDP h{SPACES}x"},
    "spaces before a Via's port": {"Via": f"SIP/2.0/UDP h{SPACES}:{SPACES[:2000]}x"},
    "spaces within a Via": {"Via": f"SIP/{SPACES}2.0x"},
    "parameters of a Via": {"Via": "SIP/2.0/UDP h" + ";a" * 30_000 + '"'},
    "spaces in a name": {"From": f"a{SPACES}b"},
    "spaces behind a quoted name": {"From": f'"a"{SPACES}b'},
    "a long name": {"From": LONG + '"'},
    "a long user": {"From": f"<sip:{LONG}>"},
    "many colons": {"From": "<sip:" + "a:" * 30_000 + ">"},
    "many parameters of a URI": {"From": "<sip:h" + ";a" * 30_000 + "?>"},
    "a long host": {"From": "<sip:" + "a." * 30_000 + "!>"},
    "many brackets": {"Contact": "<" * 60_000},
    "many quotes": {"Contact": '"a' * 20_000},
    "many commas": {"Contact": "," * 60_000 + "<"},
    "spaces in CSeq": {"CSeq": f"1{SPACES}"},
    "an endless number": {"CSeq": "1" * 60_000 + " INVITE"},
    "an endless length": {"Content-Length": "1" * 60_000},
}


@pytest.mark.parametrize("headers", EVIL.values(), ids=EVIL)
def test_no_header_takes_long_to_be_refused(headers):
    fields = BASE | headers
    lines = [f"{name}: {value}" for name, value in fields.items()]
    text = "\r\n".join(["INVITE sip:kfz@192.0.2.9 SIP/2.0", *lines, "", ""])
    began = time.process_time()
    with suppress(ProtocolError):
        read_everything(text.encode())
    assert time.process_time() - began < 0.5


def test_a_body_that_comes_byte_by_byte_costs_no_second_look_at_its_head():
    whole = message(body=b"x" * 3000, more=["Content-Length: 3000", *["X: y"] * 150])
    framer, began = Framer(), time.process_time()
    found = [part for byte in whole for part in framer.push(bytes([byte]))]
    assert found == [whole]
    assert time.process_time() - began < 0.5


def test_a_value_that_invites_backtracking_is_judged_at_once():
    evil = '"' + "\\" * 30_000 + "a" * 20_000
    refused(message(To=evil))
    refused(message(To="a " * 25_000 + "<"))
    refused(message(Via="SIP/2.0/UDP " + "a" * 60_000 + ";" * 1000))


# --- streams


def test_a_stream_is_cut_at_its_lengths_however_it_arrives():
    whole = message(body=b"abc", more=["Content-Length: 3"])
    stream = PING + whole + b"\r\n" + whole + PING
    for size in (1, 7, 100, len(stream)):
        framer = Framer()
        found = []
        for at in range(0, len(stream), size):
            found += framer.push(stream[at : at + size])
        assert [part for part in found if part not in (PING, PONG)] == [whole, whole]
        assert found.count(PING) == 2


@pytest.mark.parametrize("more", [[], ["Content-Length: x"], ["Content-Length: 70000"]])
def test_a_stream_without_a_usable_length_is_given_up(more):
    with pytest.raises(BadMessage):
        Framer().push(message(more=more))


def test_a_stream_that_never_ends_its_head_is_given_up():
    framer = Framer()
    for _ in range(MAX_MESSAGE_BYTES // 1400):
        assert framer.push(b"X: yyyyyyyyy\r\n" * 100) == []
    with pytest.raises(BadMessage):
        framer.push(b"X: yyyyyyyyy\r\n" * 100)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_stream_is_cut_or_given_up(pieces):
    framer = Framer()
    with suppress(ProtocolError):
        for piece in pieces:
            for found in framer.push(piece):
                assert found
