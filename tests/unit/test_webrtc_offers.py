"""Offers and candidates are checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.doors.webrtc.offers import MAX_CANDIDATES, read_fragment, read_offer

CANDIDATE = "candidate:2284728153 1 udp 2122194687 192.0.2.2 44017 typ host generation 0"
SECRETS = """a=ice-ufrag:UQaJ
a=ice-pwd:vPZBgc8QTlM/ao6so7FG2tqp
a=fingerprint:sha-256 29:6C:3B:D9:63:81:01:ED:B4:77:EA:1A:B9:52:94:E8:EE:A7:22:B9:F2:47:46:58:94
a=setup:actpass
"""
HEAD = """v=0
o=- 4209824975321871763 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
"""
AUDIO = f"""m=audio 44017 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.0.2.2
a={CANDIDATE}
{SECRETS}a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
"""
DATA = f"""m=application 34173 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.2
{SECRETS}a=mid:1
a=sctp-port:5000
"""
OFFER = (HEAD + AUDIO + DATA).replace("\n", "\r\n")


def refusal(text: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as refused:
        read_offer(text)
    assert refused.value.code == "bad_sdp"
    return refused.value


def code_of(read: Callable[..., object], *given: str) -> str:
    try:
        read(*given)
    except ProtocolError as error:
        return error.code
    return ""


def test_a_browser_s_offer_is_read() -> None:
    offer = read_offer(OFFER)
    assert (offer.key_type, offer.key_clock_hz) == (110, 48_000)
    assert (offer.mid, offer.ufrag) == ("0", "UQaJ")


def test_an_offer_needs_no_data_channel_and_no_keys() -> None:
    alone = HEAD.replace("BUNDLE 0 1", "BUNDLE 0") + AUDIO
    lines = [x for x in alone.splitlines() if "telephone-event" not in x]
    offer = read_offer("\r\n".join(lines) + "\r\n")
    assert offer.key_type is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda o: "", "audio"),
        (lambda o: "m=audio x", "description"),
        (lambda o: o.replace("opus", "opium"), "Opus"),
        (lambda o: o.replace("a=ice-pwd", "a=nothing"), "ICE"),
        (lambda o: o.replace("a=fingerprint", "a=nothing"), "fingerprint"),
        (lambda o: o.replace("a=rtcp-mux", "a=nothing"), "multiplex"),
        (lambda o: o.replace("a=sendrecv", "a=inactive"), "neither way"),
        (lambda o: o.replace("BUNDLE 0 1", "BUNDLE 7 0"), "bundle"),
        (lambda o: o.replace("a=mid:1", "a=mid:0"), "names"),
        (lambda o: o.replace("a=sctp-port:5000", ""), "SCTP"),
        (lambda o: o + AUDIO.replace("m=audio", "m=video"), "video"),
        (lambda o: o + AUDIO, "one audio"),
        (lambda o: o.replace(f"a={CANDIDATE}", f"a={CANDIDATE}\r\n" * 99), "many candidates"),
        (lambda o: o + "a=x:" + "x" * 70_000, "long"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused(change, what) -> None:
    assert what in str(refusal(change(OFFER)))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_is_posted_is_an_offer_or_refused(data: st.DataObject) -> None:
    lines = OFFER.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = data.draw(
            st.one_of(
                st.just([]),
                st.just([lines[at], lines[at]]),
                st.tuples(st.text(max_size=40)),
                st.just([lines[at][: data.draw(st.integers(0, len(lines[at])))]]),
                st.tuples(st.sampled_from(("m=audio", "m=", "a=candidate:1", "a=rtpmap:x"))),
            )
        )
    assert code_of(read_offer, "\r\n".join(lines)) in ("", "bad_sdp")


def test_trickled_candidates_are_read() -> None:
    lines = f"a=ice-ufrag:UQaJ\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na={CANDIDATE}\r\n"
    trickled = read_fragment(lines, "0", "UQaJ")
    (candidate,) = trickled.candidates
    assert (candidate.ip, candidate.port, candidate.sdpMid) == ("192.0.2.2", 44017, "0")
    assert not trickled.complete
    assert read_fragment("a=end-of-candidates", "0", "UQaJ").complete


@pytest.mark.parametrize(
    "lines",
    [
        "a=ice-ufrag:another",
        "a=candidate:",
        "a=candidate:1 2 udp x",
        f"a={CANDIDATE}\n" * (MAX_CANDIDATES + 1),
    ],
)
def test_fragments_that_cannot_be_are_refused(lines: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_fragment(lines, "0", "UQaJ")
    assert refused.value.code == "bad_message"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60).map("a=candidate:".__add__) | st.text(max_size=30)))
def test_whatever_is_trickled_is_read_or_refused(lines: list[str]) -> None:
    assert code_of(read_fragment, "\n".join(lines), "0", "UQaJ") in ("", "bad_message")
