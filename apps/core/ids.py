"""Ids, and the keyed hashes under which they are stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets

DEFAULT_TENANT = "default"


def new_call_id() -> str:
    """Return a fresh, unguessable call id."""
    return "call_" + secrets.token_hex(8)


def keyed_hash(value: str, key: bytes, *, purpose: str = "call") -> str:
    """Return the 32-digit pseudonym under which an id is stored.

    Args:
        value: The id: a call's, or a caller's number or address.
        key: The installation's secret hashing key.
        purpose: Separates namespaces, so that a call and a caller never share a pseudonym.
    """
    message = f"{purpose}\0{value}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]
