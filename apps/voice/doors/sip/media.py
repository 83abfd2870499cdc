"""A SIP call's media: the RTP session and the descriptions that are exchanged for it.

Offers and answers go both ways in any message (RFC 3264): whoever carries one calls `answer_to`
for a peer's offer, or `offer` and then `take_answer` for its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from apps.voice.doors.base import DoorEvent
from apps.voice.rtp.negotiation import (
    Abilities,
    Local,
    Negotiated,
    accept,
    negotiate,
    write_answer,
    write_offer,
)
from apps.voice.rtp.sdp import read_sdp
from apps.voice.rtp.session import RtpOptions, RtpSession
from apps.voice.rtp.srtp import KEY_BYTES


class CallMedia:
    """One call's audio and what was agreed on about it.

    Args:
        rtp: The open RTP session.
        host: The address that the peer is told to send to.
        abilities: What is spoken here.
        signalled_from: The address that the peer's signalling comes from.
    """

    def __init__(
        self, rtp: RtpSession, host: str, abilities: Abilities, signalled_from: str
    ) -> None:
        self.rtp = rtp
        self._abilities, self._signalled_from = abilities, signalled_from
        key = secrets.token_bytes(KEY_BYTES)
        self._local = Local(host, rtp.local_port, key, secrets.randbits(48) + 1, 0)
        self._written = b""
        self.agreed: Negotiated | None = None

    @classmethod
    async def open(
        cls,
        options: RtpOptions,
        on_event: Callable[[DoorEvent], None],
        *,
        host: str,
        abilities: Abilities,
        signalled_from: str,
    ) -> CallMedia:
        """Bind a port.

        Raises:
            AtCapacity: Every port is taken.
        """
        rtp = await RtpSession.open(options, on_event)
        return cls(rtp, host, abilities, signalled_from)

    @property
    def held(self) -> bool:
        """Whether the peer has put the call on hold."""
        return self.agreed is not None and not self.agreed.sends

    def answer_to(self, offer: bytes) -> bytes:
        """Take a peer's offer and return the answer.

        Raises:
            ProtocolError: With code ``bad_sdp`` or ``not_acceptable``; nothing has changed.
        """
        description = read_sdp(offer)
        agreed = negotiate(description, self._abilities, self._local.key)
        local = replace(self._local, version=self._local.version + 1)
        answer = write_answer(description, agreed, local)
        self._adopt(agreed)
        self._local, self._written = local, answer
        return answer

    def offer(self) -> bytes:
        """Return this side's offer."""
        self._local = replace(self._local, version=self._local.version + 1)
        self._written = write_offer(self._local, self._abilities)
        return self._written

    def take_answer(self, answer: bytes) -> None:
        """Take the answer to this side's offer.

        Raises:
            ProtocolError: With code ``bad_sdp`` or ``not_acceptable``; nothing has changed.
        """
        self._adopt(accept(read_sdp(answer), self._local, self._abilities))

    def _adopt(self, agreed: Negotiated) -> None:
        if agreed != self.agreed:
            self.rtp.connect(agreed, self._signalled_from)
        self.agreed = agreed

    def close(self) -> None:
        """End it."""
        self.rtp.close()


def check_offer(offer: bytes, abilities: Abilities) -> None:
    """Check that an offer could be answered, before anything is opened for it.

    Raises:
        ProtocolError: With code ``bad_sdp`` or ``not_acceptable``.
    """
    if offer:
        negotiate(read_sdp(offer), abilities, bytes(KEY_BYTES))
