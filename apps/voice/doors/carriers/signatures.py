"""How carriers sign what they send, and how it is checked; pure, the time is passed in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from apps.core.errors import ConfigError
from apps.core.seal import b64url, from_b64url

MAX_AGE_S = 300.0
"""A signed webhook that is older, or that much from the future, is a replay."""


def twilio_signature(auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """Return the signature of a webhook with form fields (Twilio, "Validating requests").

    Args:
        auth_token: The account's.
        url: The full external URL that Twilio called, with its query.
        fields: The form's fields; of fields alike, one counts.
    """
    told = url + "".join(name + value for name, value in sorted(set(fields)))
    digest = hmac.digest(auth_token.encode(), told.encode(), hashlib.sha1)
    return base64.b64encode(digest).decode()


def is_twilios(auth_token: str, url: str, fields: Iterable[tuple[str, str]], given: str) -> bool:
    """Tell whether a webhook's X-Twilio-Signature is right."""
    return hmac.compare_digest(
        twilio_signature(auth_token, url, fields).encode(), given.encode(errors="replace")
    )


def telnyx_key(public_key: str) -> Ed25519PublicKey:
    """Return Telnyx's public key, as its portal shows it.

    Raises:
        ConfigError: It is none.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (ValueError, binascii.Error):
        raise ConfigError(
            "TOM_TELNYX_PUBLIC_KEY is no Ed25519 key in base64.",
            hint="Copy it from the portal: Account, Keys & Credentials, Public Key.",
        ) from None


def is_telnyx(
    key: Ed25519PublicKey, signature: str, timestamp: str, body: bytes, now_s: float
) -> bool:
    """Tell whether a webhook is Telnyx's, by its telnyx-signature-ed25519 and telnyx-timestamp."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now_s - int(timestamp)) > MAX_AGE_S:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + b"|" + body)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_vonages(secret: str, token: str, payload: bytes, now_s: float) -> bool:
    """Tell whether a webhook is Vonage's, by the JWT of its Authorization header.

    Args:
        secret: The account's signature secret.
        token: A JWT signed by HS256.
        payload: What its ``payload_hash`` is the SHA-256 of.
        now_s: The Unix time.
    """
    head, _, rest = token.partition(".")
    body, _, seal = rest.partition(".")
    expected = hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256)
    if not hmac.compare_digest(seal.encode(errors="replace"), b64url(expected).encode()):
        return False
    # Only the holder of the secret gets here; another algorithm would still not be Vonage's.
    header, claims = _json(head), _json(body)
    if header.get("alg") != "HS256" or not _is_current(claims, now_s):
        return False
    claimed = claims.get("payload_hash")
    digest = hashlib.sha256(payload).hexdigest()
    return isinstance(claimed, str) and hmac.compare_digest(
        claimed.lower().encode(errors="replace"), digest.encode()
    )


def _is_current(claims: dict[str, Any], now_s: float) -> bool:
    match claims.get("iat"), claims.get("exp", now_s + 1):
        case (int() | float() as issued, int() | float() as expires):
            return abs(now_s - issued) <= MAX_AGE_S and now_s < expires
    return False


def _json(part: str) -> dict[str, Any]:
    try:
        told = json.loads(from_b64url(part))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def rsa_key(pem: bytes) -> RSAPrivateKey:
    """Return an application's private key.

    Raises:
        ConfigError: It is no RSA key in PEM.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(
            "TOM_VONAGE_PRIVATE_KEY is no RSA key in PEM.",
            hint="It is the file that Vonage gave when the application was made.",
        )
    return key


def rs256(key: RSAPrivateKey, claims: dict[str, Any]) -> str:
    """Return a JWT with these claims, signed by RS256."""
    header = {"alg": "RS256", "typ": "JWT"}
    parts = [b64url(json.dumps(x, separators=(",", ":")).encode()) for x in (header, claims)]
    signed = ".".join(parts)
    return f"{signed}.{b64url(key.sign(signed.encode(), PKCS1v15(), hashes.SHA256()))}"
