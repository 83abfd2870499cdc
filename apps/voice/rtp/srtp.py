"""Encrypted media by keys in the session's description: SRTP with SDES (RFC 3711, RFC 4568)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from pylibsrtp import Error, Policy, Session

from apps.core.errors import ProtocolError

KEY_BYTES = 30
"""A master key of 16 bytes and a master salt of 14."""
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
"""What is supported, the better one first."""
_KEY = re.compile(r"inline:([A-Za-z0-9+/]{40})(\|(2\^[0-9]{1,2}|[0-9]{1,15}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Crypto:
    """One line of `a=crypto`.

    Attributes:
        tag: Names the line; an answer repeats the tag of the line it takes.
        suite: One of `SUITES`.
        key: Master key and salt, `KEY_BYTES` long; never part of a log line.
    """

    tag: int
    suite: str
    key: bytes

    def __repr__(self) -> str:
        return f"Crypto(tag={self.tag}, suite={self.suite!r})"


def read_crypto(value: str) -> Crypto | None:
    """Read what follows `a=crypto:`; None for what is malformed or not supported.

    A master key identifier and session parameters are not supported; RFC 4568 wants a line with
    those to be passed over, not read in part.
    """
    match value.split():
        case [tag, suite, key] if suite.upper() in SUITES and tag.isascii() and tag.isdecimal():
            if len(tag) <= 9 and (inline := _KEY.fullmatch(key)):
                try:
                    return Crypto(int(tag), suite.upper(), base64.b64decode(inline[1]))
                except binascii.Error:
                    return None
    return None


def write_crypto(crypto: Crypto) -> str:
    """Return what follows `a=crypto:`."""
    return f"{crypto.tag} {crypto.suite} inline:{base64.b64encode(crypto.key).decode('ascii')}"


class Srtp:
    """Protects what one call sends, and checks and opens what it receives.

    Args:
        sending: Our key.
        receiving: The peer's key.
        before: What the call used so far. A key that stays goes on where it was: begun anew, it
            would encrypt two packets alike.
    """

    def __init__(self, sending: Crypto, receiving: Crypto, before: Srtp | None = None) -> None:
        self._sending, self._receiving = sending, receiving
        self._out: Session
        self._in: Session
        if before is not None and before._sending == sending:
            self._out = before._out
        else:
            self._out = Session(_policy(sending, Policy.SSRC_ANY_OUTBOUND))
        if before is not None and before._receiving == receiving:
            self._in = before._in
        else:
            self._in = Session(_policy(receiving, Policy.SSRC_ANY_INBOUND))

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP packet encrypted and signed."""
        return self._out.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return an RTCP packet encrypted and signed."""
        return self._out.protect_rtcp(packet)

    def unprotect(self, data: bytes) -> bytes:
        """Return a received packet opened.

        Raises:
            ProtocolError: With code ``srtp``: forged, repeated or damaged.
        """
        try:
            return bytes(self._in.unprotect(data))
        except (Error, ValueError):
            raise ProtocolError("An SRTP packet is not the peer's.", code="srtp") from None

    def unprotect_rtcp(self, data: bytes) -> bytes:
        """Return a received RTCP packet opened.

        Raises:
            ProtocolError: With code ``srtp``: forged, repeated or damaged.
        """
        try:
            return bytes(self._in.unprotect_rtcp(data))
        except (Error, ValueError):
            raise ProtocolError("An SRTCP packet is not the peer's.", code="srtp") from None


def _policy(crypto: Crypto, streams: int) -> Policy:
    return Policy(key=crypto.key, ssrc_type=streams, srtp_profile=SUITES[crypto.suite])
