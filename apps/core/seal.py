"""Texts that only this installation can have made: what they say, and an HMAC-SHA256 of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


class Seal:
    """Seals what is told, and opens what was sealed. What it says can be read by anybody.

    Args:
        secret: The installation's own; the key is derived from it.
        purpose: What is sealed for one purpose is worth nothing for another.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._key = hmac.digest(secret, purpose, hashlib.sha256)

    def close(self, told: Mapping[str, Any]) -> str:
        """Return what is told as a text that is fit for a URL."""
        body = b64url(json.dumps(told, separators=(",", ":")).encode())
        return f"{body}.{self._sign(body)}"

    def open(self, text: str) -> dict[str, Any] | None:
        """Return what a text tells; None when it is not ours or was changed."""
        if not text.isascii():  # half a character of JSON's making could not even be encoded
            return None
        body, _, sign = text.partition(".")
        # The texts are compared, not what they decode to: only one text is the right one.
        if not hmac.compare_digest(sign.encode(), self._sign(body).encode()):
            return None
        told: dict[str, Any] = json.loads(from_b64url(body))
        return told

    def _sign(self, body: str) -> str:
        return b64url(hmac.digest(self._key, body.encode(), hashlib.sha256))


def b64url(data: bytes) -> str:
    """Return bytes as base64 that is fit for a URL, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    """Return the bytes of such a text.

    Raises:
        ValueError: It is none.
    """
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
