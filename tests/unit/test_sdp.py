"""Session descriptions: what telephones' offers are read as, what is agreed on and answered."""

import base64
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.rtp.negotiation import (
    CODECS,
    Abilities,
    Local,
    accept,
    negotiate,
    write_answer,
    write_offer,
)
from apps.voice.rtp.sdp import MAX_BYTES, MAX_MEDIA, Direction, Format, read_sdp
from apps.voice.rtp.srtp import KEY_BYTES, SUITES, Crypto, read_crypto, write_crypto

KEY = bytes(range(KEY_BYTES))
OTHER_KEY = bytes(range(100, 100 + KEY_BYTES))
INLINE = base64.b64encode(OTHER_KEY).decode()
LOCAL = Local("192.0.2.1", 10_000, KEY, session_id=5, version=2)
ALL = Abilities()


def sdp(*media, session=()):
    lines = ["v=0", "o=- 20518 7 IN IP4 203.0.113.1", "s= ", "c=IN IP4 203.0.113.1", "t=0 0"]
    return "\r\n".join([*lines, *session, *media, ""]).encode()


def audio(*attributes, formats="0 8 101", protocol="RTP/AVP", port=49_170):
    lines = [f"m=audio {port} {protocol} {formats}", "a=rtpmap:101 telephone-event/8000"]
    return [*lines, *(f"a={attribute}" for attribute in attributes)]


def agreed(*attributes, abilities=ALL, **media):
    return negotiate(read_sdp(sdp(*audio(*attributes, **media))), abilities, KEY)


BARESIP = b"""v=0\r
o=- 3893016381 1163571532 IN IP4 10.1.1.9\r
s=-\r
c=IN IP4 10.1.1.9\r
t=0 0\r
a=tool:baresip 1.0.0\r
m=audio 24082 RTP/AVP 96 0 8 101\r
b=AS:125\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 stereo=1;sprop-stereo=1\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=rtcp:24083\r
a=sendrecv\r
a=label:1\r
a=rtcp-rsize\r
a=ptime:20\r
"""

SNOM = b"""v=0
o=root 1821 1821 IN IP4 172.16.0.4
s=call
c=IN IP4 172.16.0.4
t=0 0
m=audio 54726 RTP/SAVP 9 8 0 18 3 101
a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:AAAA
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:%s|2^31
a=rtpmap:9 g722/8000
a=rtpmap:8 pcma/8000
a=rtpmap:0 pcmu/8000
a=rtpmap:18 g729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=rtcp-mux
m=video 0 RTP/AVP 31
""" % INLINE.encode()


def test_an_offer_of_baresip_is_read_whole():
    offer = read_sdp(BARESIP)
    (media,) = offer.media
    assert (offer.session_id, offer.version) == ("3893016381", "1163571532")
    assert (media.kind, media.host, media.port, media.rtcp_port) == (
        "audio",
        "10.1.1.9",
        24_082,
        24_083,
    )
    assert media.formats == (
        Format(96, "OPUS", 48_000, "stereo=1;sprop-stereo=1"),
        Format(0, "PCMU", 8000),
        Format(8, "PCMA", 8000),
        Format(101, "TELEPHONE-EVENT", 8000, "0-15"),
    )
    assert (media.direction, media.ptime_ms, media.rtcp_mux) == (Direction.SENDRECV, 20, False)


def test_the_codec_we_like_best_is_answered_alone_with_key_presses():
    offer = read_sdp(BARESIP)
    negotiated = negotiate(offer, ALL, KEY)
    answer = write_answer(offer, negotiated, LOCAL).decode().split("\r\n")
    assert negotiated.codec.name == "OPUS"
    assert negotiated.remote == ("10.1.1.9", 24_082)
    assert negotiated.rtcp_remote == ("10.1.1.9", 24_083)
    assert answer[1] == "o=tom 5 2 IN IP4 192.0.2.1"
    assert "m=audio 10000 RTP/AVP 96 101" in answer
    assert "a=rtpmap:96 opus/48000/2" in answer
    assert "a=ptime:20" in answer
    assert answer[-1] == ""


@pytest.mark.parametrize(
    ("codecs", "chosen"),
    [
        (CODECS, "OPUS"),
        (("G722", "PCMU"), "PCMU"),
        (("PCMA", "PCMU", "OPUS"), "PCMA"),
    ],
)
def test_our_order_of_codecs_decides(codecs, chosen):
    assert negotiate(read_sdp(BARESIP), Abilities(codecs), KEY).codec.name == chosen


def test_keys_of_a_supported_suite_are_taken_by_their_tag():
    offer = read_sdp(SNOM)
    negotiated = negotiate(offer, ALL, KEY)
    answer = write_answer(offer, negotiated, LOCAL).decode()
    assert negotiated.codec.name == "G722"
    assert negotiated.keys.receiving == Crypto(2, "AES_CM_128_HMAC_SHA1_32", OTHER_KEY)
    assert negotiated.keys.sending == Crypto(2, "AES_CM_128_HMAC_SHA1_32", KEY)
    assert "m=audio 10000 RTP/SAVP 9 101\r\n" in answer
    assert f"a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{base64.b64encode(KEY).decode()}" in answer
    assert "a=rtcp-mux" in answer
    assert negotiated.rtcp_remote == negotiated.remote
    assert "m=video 0 RTP/AVP 31" in answer


def test_a_key_is_not_shown_where_a_description_is_printed():
    assert INLINE not in repr(read_sdp(SNOM))
    assert repr(OTHER_KEY) not in repr(negotiate(read_sdp(SNOM), ALL, KEY))


@pytest.mark.parametrize(
    "line",
    [
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} UNENCRYPTED_SRTP",
        f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}",
        "1 AES_CM_128_HMAC_SHA1_80 inline:short",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}",
        "",
    ],
)
def test_a_crypto_line_that_is_not_supported_whole_is_passed_over(line):
    assert read_crypto(line) is None


@given(
    st.integers(0, 999_999_999),
    st.sampled_from(sorted(SUITES)),
    st.binary(min_size=30, max_size=30),
)
def test_a_crypto_line_reads_as_it_was_written(tag, suite, key):
    assert read_crypto(write_crypto(Crypto(tag, suite, key))) == Crypto(tag, suite, key)


CRYPTO = f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"


@pytest.mark.parametrize(
    ("srtp", "protocol", "attributes", "outcome"),
    [
        ("offered", "RTP/SAVP", (CRYPTO,), "encrypted"),
        ("offered", "RTP/AVP", (CRYPTO,), "encrypted"),
        ("offered", "RTP/AVP", (), "plain"),
        ("offered", "RTP/SAVP", (), "refused"),
        ("off", "RTP/SAVP", (CRYPTO,), "refused"),
        ("off", "RTP/AVP", (CRYPTO,), "plain"),
        ("required", "RTP/SAVP", (CRYPTO,), "encrypted"),
        ("required", "RTP/AVP", (), "refused"),
        ("offered", "UDP/TLS/RTP/SAVPF", (CRYPTO,), "refused"),
    ],
)
def test_encryption_is_what_both_sides_want_or_the_call_is_refused(
    srtp, protocol, attributes, outcome
):
    abilities = Abilities(srtp=srtp)
    if outcome == "refused":
        with pytest.raises(ProtocolError) as caught:
            agreed(*attributes, abilities=abilities, protocol=protocol)
        assert caught.value.code == "not_acceptable"
    else:
        keys = agreed(*attributes, abilities=abilities, protocol=protocol).keys
        assert (keys is not None) == (outcome == "encrypted")


def test_of_a_plain_and_an_encrypted_section_the_encrypted_one_is_taken():
    offer = read_sdp(sdp(*audio(), *audio(CRYPTO, protocol="RTP/SAVP", port=6000)))
    negotiated = negotiate(offer, ALL, KEY)
    answer = read_sdp(write_answer(offer, negotiated, LOCAL))
    assert negotiated.index == 1
    assert [media.port for media in answer.media] == [0, 10_000]


@pytest.mark.parametrize(
    ("offered", "answered", "sends", "hears"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", False, True),
        ("recvonly", "sendonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
def test_hold_is_answered_by_its_counterpart(offered, answered, sends, hears):
    negotiated = agreed(offered)
    assert (negotiated.sends, negotiated.hears) == (sends, hears)
    answer = write_answer(read_sdp(sdp(*audio(offered))), negotiated, LOCAL).decode()
    assert f"a={answered}\r\n" in answer
    assert (negotiated.remote is None) == (not sends)


def test_an_address_of_zeros_is_the_old_way_of_holding():
    body = sdp(*audio()).replace(b"c=IN IP4 203.0.113.1", b"c=IN IP4 0.0.0.0")
    negotiated = negotiate(read_sdp(body), ALL, KEY)
    assert (negotiated.sends, negotiated.hears, negotiated.remote) == (False, True, None)


def test_what_the_session_says_holds_for_sections_that_say_nothing():
    body = sdp(*audio("ptime:30"), "c=IN IP6 2001:db8::1", session=["a=sendonly"])
    (media,) = read_sdp(body).media
    assert (media.host, media.direction, media.ptime_ms) == (
        "2001:db8::1",
        Direction.SENDONLY,
        30,
    )


@pytest.mark.parametrize(
    "connection",
    [b"IN IP4 224.1.1.1", b"IN IP4 255.255.255.255", b"IN IP4 host.example", b"IN IP4", b""],
)
def test_nothing_is_sent_to_an_address_that_is_no_single_host(connection):
    body = sdp(*audio()).replace(b"c=IN IP4 203.0.113.1", b"c=" + connection)
    assert negotiate(read_sdp(body), ALL, KEY).remote is None


def test_nothing_is_sent_to_ports_where_other_services_are():
    assert agreed(port=53).remote is None
    assert agreed(port=1024).remote == ("203.0.113.1", 1024)


def test_static_payload_types_need_no_map():
    assert negotiate(read_sdp(sdp("m=audio 4000 RTP/AVP 8 9")), ALL, KEY).codec.name == "G722"


def test_key_presses_of_the_codecs_own_clock_are_preferred():
    offer = read_sdp(
        sdp(
            "m=audio 4000 RTP/AVP 111 101 110",
            "a=rtpmap:111 OPUS/48000/2",
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:110 telephone-event/48000",
        )
    )
    negotiated = negotiate(offer, ALL, KEY)
    assert negotiated.event_types == ((110, 48_000), (101, 8000))
    assert b"m=audio 10000 RTP/AVP 111 110\r\n" in write_answer(offer, negotiated, LOCAL)


@pytest.mark.parametrize(
    "media",
    [
        ["m=audio 4000 RTP/AVP 18 3"],
        ["m=audio 0 RTP/AVP 0"],
        ["m=video 4000 RTP/AVP 31"],
        ["m=audio 4000 RTP/AVP 96", "a=rtpmap:96 PCMU/16000"],
        ["m=audio 4000 TCP/RTP/AVP 0"],
    ],
)
def test_an_offer_without_audio_of_ours_is_not_acceptable(media):
    with pytest.raises(ProtocolError) as caught:
        negotiate(read_sdp(sdp(*media)), ALL, KEY)
    assert caught.value.code == "not_acceptable"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"v=0\r\n",
        b"m=audio\r\n",
        b"m=audio x RTP/AVP 0\r\n",
        b"m=audio 70000 RTP/AVP 0\r\n",
        b"m=audio \xd9\xa1 RTP/AVP 0\r\n",
        b"m=audio 1 RTP/AVP " + b"0 " * 100,
        b"m=audio 1 RTP/AVP 0\n" * (MAX_MEDIA + 1),
        b"x" * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_description_is_refused(body):
    with pytest.raises(ProtocolError) as caught:
        read_sdp(body)
    assert caught.value.code == "bad_sdp"


@pytest.mark.parametrize("srtp", ["off", "offered", "required"])
@pytest.mark.parametrize("codec", CODECS)
def test_our_own_offer_is_answered_and_the_answer_taken(srtp, codec):
    ours, theirs = Abilities(srtp=srtp), Abilities((codec,))
    offer = read_sdp(write_offer(LOCAL, ours))
    there = negotiate(offer, theirs, OTHER_KEY)
    local = Local("192.0.2.9", 4000, OTHER_KEY)
    here = accept(read_sdp(write_answer(offer, there, local)), LOCAL, ours)
    assert here.codec.name == there.codec.name == codec
    assert here.remote == ("192.0.2.9", 4000)
    assert there.remote == ("192.0.2.1", 10_000)
    assert here.codec.payload_type == there.receive_type
    assert here.rtcp_mux
    assert {kind for kind, _ in there.event_types} <= {kind for kind, _ in here.event_types}
    assert (here.keys is not None) == (srtp == "required")
    if here.keys:
        assert here.keys.sending.key == there.keys.receiving.key == KEY
        assert here.keys.receiving.key == there.keys.sending.key == OTHER_KEY
        assert here.keys.sending.suite == here.keys.receiving.suite


def test_hold_can_be_offered():
    offer = read_sdp(write_offer(LOCAL, ALL, Direction.SENDONLY))
    there = negotiate(offer, ALL, OTHER_KEY)
    assert (there.sends, there.hears) == (False, True)


@pytest.mark.parametrize(
    "answer",
    [
        sdp("m=audio 0 RTP/AVP 0"),
        sdp("m=audio 4000 RTP/AVP 18"),
        sdp("m=video 4000 RTP/AVP 31"),
    ],
)
def test_an_answer_that_takes_nothing_is_not_acceptable(answer):
    with pytest.raises(ProtocolError) as caught:
        accept(read_sdp(answer), LOCAL, ALL)
    assert caught.value.code == "not_acceptable"


def test_an_answer_in_the_clear_to_an_encrypted_offer_is_refused():
    with pytest.raises(ProtocolError):
        accept(read_sdp(sdp(*audio())), LOCAL, Abilities(srtp="required"))


def read_and_agree(body):
    """All that a peer's description goes through; only a ProtocolError may come out."""
    with suppress(ProtocolError):
        offer = read_sdp(body)
        with suppress(ProtocolError):
            accept(offer, LOCAL, ALL)
        answer = write_answer(offer, negotiate(offer, ALL, KEY), LOCAL)
        assert len(read_sdp(answer).media) == len(offer.media)


@given(st.binary(max_size=400))
def test_any_bytes_do_no_harm(body):
    read_and_agree(body)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_any_lines_do_no_harm(lines):
    kinds = ["m=audio 1 RTP/AVP 0", "a=rtpmap:", "a=fmtp:", "c=IN IP4 ", "a=crypto:1 ", "o="]
    read_and_agree(
        "\r\n".join(k + line for k, line in zip(kinds * 9, lines, strict=False)).encode()
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from([BARESIP, SNOM]))
def test_damaged_descriptions_do_no_harm(seed, body):
    damage = random.Random(seed)
    data = bytearray(body)
    for _ in range(damage.randrange(1, 8)):
        at = damage.randrange(len(data))
        match damage.randrange(3):
            case 0:
                data[at] = damage.randrange(256)
            case 1:
                del data[at : at + damage.randrange(20)]
            case 2:
                data[at:at] = data[: damage.randrange(60)]
    read_and_agree(bytes(data))
