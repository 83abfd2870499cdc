"""Signatures over what the registry says: an HMAC-SHA256 by a key that only this installation has.

The key is derived from the installation's hashing key, which every process that shares the store
has, for this purpose alone. Signed is the canonical JSON: sorted names, no spaces.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

_PURPOSE = b"tom adapter registry"


class Signer:
    """Signs, and tells what this installation has signed.

    Args:
        secret: The installation's hashing key (``core/secrets.py``).
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def sign(self, said: Mapping[str, object]) -> str:
        """Return the signature of something that JSON can say, in hexadecimal digits."""
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def holds(self, said: Mapping[str, object], signature: object) -> bool:
        """Return whether this is what was signed."""
        if not isinstance(signature, str) or not signature.isascii():
            return False
        return hmac.compare_digest(self.sign(said), signature)
