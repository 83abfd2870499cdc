"""Tokens that bind a rating to its call: whoever holds one may rate that call, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.errors import ProtocolError
from apps.core.seal import Seal

MAX_TOKEN_CHARS = 200
_PURPOSE = b"tom rating token 1"


@dataclass(frozen=True, slots=True)
class Ratable:
    """The call that a token is for.

    Attributes:
        call_ref: Keyed hash of its id.
        after_s: Seconds since the token was given.
    """

    call_ref: str
    after_s: float


class RatingTokens:
    """Makes and reads the tokens; pure, the time is passed in.

    Args:
        key: The installation's hashing key; the tokens' own is derived from it, so one that was
            sealed for anything else is worth nothing here.
        window_s: So long after it was given a token is worth something.
    """

    def __init__(self, key: bytes, window_s: float) -> None:
        self._seal, self._window_s = Seal(key, _PURPOSE), window_s

    def give(self, call_ref: str, now_s: float) -> str:
        """Return a token for a call, fit for a URL and at most `MAX_TOKEN_CHARS` long."""
        given_s = int(now_s)
        return self._seal.close(
            {"c": call_ref, "t": given_s, "e": given_s + int(self._window_s)},
        )

    def read(self, token: str, now_s: float) -> Ratable:
        """Return what a token is for.

        Raises:
            ProtocolError: It was not made here, or was changed (code ``forbidden``), or its time
                is over (code ``rating_expired``).
        """
        told = self._seal.open(token) if len(token) <= MAX_TOKEN_CHARS else None
        if told is None:
            raise ProtocolError(
                "This rating belongs to no call of this server.",
                hint="Send the rating_token of the call as it came.",
                code="forbidden",
            )
        if now_s >= told["e"]:
            raise ProtocolError(
                "It is too late to rate this call.",
                hint="RL_REWARD_WINDOW_S says how long a call can be rated.",
                code="rating_expired",
            )
        return Ratable(told["c"], max(0.0, now_s - told["t"]))
