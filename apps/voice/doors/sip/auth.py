"""Digest authentication, both sides (RFC 3261 section 22, RFC 7616, RFC 8760): MD5 and SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.uri import quoted, read_pair, split_outside

NONCE_MS = 300_000.0
MAX_NONCES = 10_000
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
ALGORITHMS = tuple(_HASHES)
"""What is spoken, best first."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks for.

    Attributes:
        realm: Whose password is wanted.
        nonce: The server's random text.
        algorithm: ``SHA-256`` or ``MD5``.
        qop: Whether ``auth`` is offered, so that the client's counter is part of the proof.
        opaque: To be given back.
        stale: The password was right, the nonce too old.
    """

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: bool = True
    opaque: str | None = None
    stale: bool = False

    def __str__(self) -> str:
        stale = ",stale=true" if self.stale else ""
        return (
            f"Digest realm={quoted(self.realm)},nonce={quoted(self.nonce)},"
            f'algorithm={self.algorithm},qop="auth"{stale}'
        )


def read_digest(value: str) -> dict[str, str]:
    """Read a header's ``Digest name=value, …``; the names are in small letters.

    Raises:
        ProtocolError: With code ``bad_auth``: another scheme, or malformed.
    """
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise ProtocolError("Only digest authentication is spoken here.", code="bad_auth")
    try:
        return dict(read_pair(part) for part in split_outside(rest, ",") if part)
    except ProtocolError:
        raise ProtocolError("An authentication header is not right.", code="bad_auth") from None


def best_challenge(values: Iterable[str]) -> Challenge | None:
    """Return the strongest of a response's challenges that can be met, or None."""
    found: dict[str, Challenge] = {}
    for value in values:
        try:
            params = read_digest(value)
        except ProtocolError:
            continue
        algorithm = params.get("algorithm", "MD5").upper()
        qops = [qop.strip() for qop in params.get("qop", "").split(",")]
        usable = not qops[0] or "auth" in qops
        if algorithm in _HASHES and usable and {"realm", "nonce"} <= params.keys():
            stale = params.get("stale", "").lower() == "true"
            found.setdefault(
                algorithm,
                Challenge(
                    params["realm"],
                    params["nonce"],
                    algorithm,
                    "auth" in qops,
                    params.get("opaque"),
                    stale,
                ),
            )
    return next((found[name] for name in _HASHES if name in found), None)


def answer(
    challenge: Challenge, method: str, uri: str, user: str, password: str, cnonce: str = ""
) -> str:
    """Return the Authorization that meets a challenge.

    Args:
        challenge: What the server asked for.
        method: The request's method.
        uri: Its Request-URI.
        user: Who asks.
        password: Their password.
        cnonce: This side's random text; made when empty.
    """
    cnonce = cnonce or secrets.token_hex(8)
    extra = ("00000001", cnonce) if challenge.qop else None
    proof = _proof(challenge, method, uri, user, password, extra)
    parts = {
        "username": quoted(user),
        "realm": quoted(challenge.realm),
        "nonce": quoted(challenge.nonce),
        "uri": quoted(uri),
        "response": quoted(proof),
        "algorithm": challenge.algorithm,
    }
    if challenge.qop:
        parts |= {"qop": "auth", "nc": "00000001", "cnonce": quoted(cnonce)}
    if challenge.opaque is not None:
        parts["opaque"] = quoted(challenge.opaque)
    return "Digest " + ",".join(f"{name}={value}" for name, value in parts.items())


def _proof(
    challenge: Challenge,
    method: str,
    uri: str,
    user: str,
    password: str,
    extra: tuple[str, str] | None,
) -> str:
    def digest(*parts: str) -> str:
        return _HASHES[challenge.algorithm](":".join(parts).encode()).hexdigest()

    who = digest(user, challenge.realm, password)
    what = digest(method, uri)
    if extra is None:
        return digest(who, challenge.nonce, what)
    return digest(who, challenge.nonce, *extra, "auth", what)


@dataclass(slots=True)
class Guard:
    """The server's side: challenges, and judges what comes back.

    Nonces carry their time and a keyed hash, so that only those which were used are remembered:
    each proof is good once. They are good for the address that was challenged, too: nobody can
    make wrong guesses in the name of another one.

    Args:
        realm: What the challenges name.
        users: Passwords by user.
        algorithms: What is offered, best first, from `ALGORITHMS`.
        key: Keys the nonces.
    """

    realm: str
    users: Mapping[str, str]
    algorithms: tuple[str, ...] = ("MD5",)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _used: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def challenges(self, now_ms: float, host: str = "", *, stale: bool = False) -> list[str]:
        """Return the challenges of a 401 to an address, one for each algorithm."""
        nonce = self._nonce(f"{int(now_ms):x}-{secrets.token_hex(6)}", host)
        return [str(Challenge(self.realm, nonce, name, stale=stale)) for name in self.algorithms]

    def judge(
        self, authorization: str, method: str, now_ms: float, host: str = ""
    ) -> tuple[str, bool]:
        """Return the user whose password was proved, or empty; and whether only the nonce is old.

        Args:
            authorization: The header's value.
            method: The request's method.
            now_ms: The time.
            host: Where it comes from.
        """
        try:
            given = read_digest(authorization)
        except ProtocolError:
            return "", False
        user, algorithm = given.get("username", ""), given.get("algorithm", "MD5").upper()
        if algorithm not in self.algorithms or given.get("qop", "").lower() != "auth":
            return "", False
        challenge = Challenge(self.realm, given.get("nonce", ""), algorithm)
        password = self.users.get(user, secrets.token_hex(8))  # takes as long for unknown users
        extra = (given.get("nc", ""), given.get("cnonce", ""))
        proof = _proof(challenge, method, given.get("uri", ""), user, password, extra)
        right = hmac.compare_digest(proof.encode(), given.get("response", "").lower().encode())
        if not right or user not in self.users:
            return "", False
        fresh = self._is_fresh(challenge.nonce, extra[0], now_ms, host)
        return (user, False) if fresh else ("", True)

    def was_challenged(self, authorization: str, host: str) -> bool:
        """Tell whether a proof, be it wrong, answers a challenge that went to this address."""
        try:
            return self._is_ours(read_digest(authorization).get("nonce", ""), host)
        except ProtocolError:
            return False

    def _nonce(self, moment: str, host: str) -> str:
        seal = hmac.new(self.key, f"{moment} {host}".encode(), hashlib.sha256).hexdigest()[:24]
        return f"{moment}-{seal}"

    def _is_ours(self, nonce: str, host: str) -> bool:
        moment, _, _ = nonce.rpartition("-")
        return hmac.compare_digest(self._nonce(moment, host).encode(), nonce.encode())

    def _is_fresh(self, nonce: str, count: str, now_ms: float, host: str) -> bool:
        if not self._is_ours(nonce, host):
            return False
        moment, _, _ = nonce.rpartition("-")
        try:
            made_ms, counted = int(moment.partition("-")[0], 16), int(count, 16)
        except ValueError:
            return False
        if now_ms - made_ms > NONCE_MS or counted <= self._used.get(nonce, 0):
            return False
        self._used[nonce] = counted
        self._used.move_to_end(nonce)
        while len(self._used) > MAX_NONCES:
            self._used.popitem(last=False)
        return True
