"""What the doors trust: signed tokens, pages of known origins, and how often one address calls.

Everything here is pure: the time is passed in. Which request it is asked of is `reception.py`'s.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from apps.core.addresses import is_loopback, peer_group
from apps.core.errors import AtCapacity, ConfigError, ProtocolError
from apps.core.rate import TokenBucket
from apps.core.seal import Seal

MAX_ADDRESSES = 10_000
MAX_TOKEN_CHARS = 200
_PURPOSE = b"tom call token 1"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows.

    Attributes:
        expires_s: Unix time from which on it is worth nothing.
        profile: The only profile it may call; empty for any.
        language: The only language it may call in; empty for any.
        observe: Whether its holder may see operators' details of their own call.
    """

    expires_s: int
    profile: str = ""
    language: str = ""
    observe: bool = False

    def narrow(self, profile: str, language: str) -> tuple[str, str]:
        """Return the profile and the language of a call under this grant.

        Args:
            profile: Asked for; empty takes the grant's.
            language: The same.

        Raises:
            ProtocolError: The grant is for something else.
        """
        return _narrow(self.profile, profile), _narrow(self.language, language)


def _narrow(granted: str, asked: str) -> str:
    if granted and asked and granted != asked:
        raise ProtocolError(
            "The call token is for another profile or language.",
            hint="Ask for what the token was made for, or leave it out.",
            code="forbidden",
        )
    return granted or asked


class TokenSigner:
    """Makes and reads call tokens: what is granted, and an HMAC-SHA256 of it.

    Args:
        operator_token: The key is derived from it: a new one makes all old tokens worthless.
    """

    def __init__(self, operator_token: str) -> None:
        self._seal = Seal(operator_token.encode(), _PURPOSE)

    def sign(self, grant: Grant) -> str:
        """Return a token, fit for a URL and at most `MAX_TOKEN_CHARS` long.

        Raises:
            ConfigError: It would be longer.
        """
        fields = {
            "e": grant.expires_s,
            "p": grant.profile,
            "l": grant.language,
            "o": int(grant.observe),
        }
        token = self._seal.close({k: v for k, v in fields.items() if v})
        if len(token) > MAX_TOKEN_CHARS:
            raise ConfigError("The profile's name is too long for a token.")
        return token

    def read(self, token: str, now_s: float) -> Grant | None:
        """Return what a token grants; None when it is not ours, was changed, or has expired."""
        told = self._seal.open(token)
        if told is None or now_s >= told["e"]:
            return None
        return Grant(told["e"], told.get("p", ""), told.get("l", ""), bool(told.get("o")))


@dataclass(frozen=True, slots=True)
class AddressLimits:
    """How much one address may call; 0 switches a limit off.

    Attributes:
        calls_per_minute: New calls, over a minute.
        calls_at_once: Calls that go on at the same time.
    """

    calls_per_minute: int = 0
    calls_at_once: int = 0


@dataclass(slots=True)
class _Caller:
    calls: TokenBucket
    live: int = 0


@dataclass(slots=True)
class AddressBook:
    """How often each address has called of late: a token bucket each, of bounded number.

    Args:
        limits: What one address may do.
    """

    limits: AddressLimits
    _callers: OrderedDict[str, _Caller] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._callers)

    def call(self, address: str, now_ms: float) -> None:
        """Count a new call of an address.

        Raises:
            AtCapacity: It calls too often, or has too many calls; code ``too_many_calls``.
        """
        limits, caller = self.limits, self._caller(address, now_ms)
        if limits.calls_at_once and caller.live >= limits.calls_at_once:
            raise _too_many("You have too many calls at once.", 10)
        if not limits.calls_per_minute:
            return
        if not caller.calls.take(now_ms):
            raise _too_many("You call too often.", max(1, round(caller.calls.wait_ms / 1000)))

    def begin(self, address: str, now_ms: float) -> None:
        """Note that a call of an address goes on from now."""
        self._caller(address, now_ms).live += 1

    def end(self, address: str) -> None:
        """Note that it has ended."""
        if (caller := self._callers.get(peer_group(address))) is not None and caller.live:
            caller.live -= 1

    def _caller(self, address: str, now_ms: float) -> _Caller:
        group = peer_group(address)
        if group not in self._callers:
            if len(self._callers) >= MAX_ADDRESSES:
                self._forget_one()
            per_minute = float(self.limits.calls_per_minute)
            self._callers[group] = _Caller(TokenBucket(per_minute / 60_000, per_minute, now_ms))
        self._callers.move_to_end(group)
        return self._callers[group]

    def _forget_one(self) -> None:
        """Forget who called longest ago and has no call, or else simply longest ago."""
        idle = next((group for group, caller in self._callers.items() if not caller.live), None)
        if idle is None:
            self._callers.popitem(last=False)
        else:
            del self._callers[idle]


def _too_many(message: str, retry_after_s: int) -> AtCapacity:
    return AtCapacity(
        message,
        hint=f"Call again in {retry_after_s} seconds.",
        code="too_many_calls",
        retry_after_s=retry_after_s,
    )


def is_local_name(name: str | None) -> bool:
    """Tell whether a host's name, without port, means this machine to itself."""
    return name == "localhost" or is_loopback(name)


def is_local_page(origin: str) -> bool:
    """Tell whether a page was served under this machine's own name."""
    return is_local_name(_parts(origin)[1])


def is_local_host(host: str) -> bool:
    """Tell whether a Host header, with or without port, names this machine."""
    return is_local_name(_parts(f"//{host}")[1])


def is_allowed_origin(origin: str | None, host: str | None, allowed: Iterable[str] = ()) -> bool:
    """Tell whether a browser's page may use the doors; other clients send no origin.

    Args:
        origin: The request's Origin header.
        host: The request's Host header: a page that this server served is always let in.
        allowed: Origins of other pages, such as ``https://www.example.org``.
    """
    if origin is None or origin in allowed:
        return True
    netloc = _parts(origin)[0]
    return bool(netloc) and netloc == host


def is_origin(text: str) -> bool:
    """Tell whether a text is an origin as browsers send it: scheme, host and perhaps a port."""
    scheme, _, rest = text.partition("://")
    return scheme in ("http", "https") and bool(rest) and _parts(text)[0] == rest


def _parts(url: str) -> tuple[str, str | None]:
    """Return a URL's host with its port, and the host alone; nothing of what is no URL."""
    try:
        parts = urlsplit(url)
        return parts.netloc, parts.hostname
    except ValueError:
        return "", None
