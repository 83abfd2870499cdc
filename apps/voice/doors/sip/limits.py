"""How much one address may send: messages by a token bucket, calls by a window."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class _Bucket:
    allowed: float
    at_ms: float


class AddressLimits:
    """Token buckets by address; the least recently seen are forgotten first.

    Args:
        per_s: How fast a bucket fills.
        burst: How much it holds.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allows(self, address: str, now_ms: float) -> bool:
        """Take one from an address's bucket; False when it is empty."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _Bucket(self._burst, now_ms)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        passed_s = max(0.0, now_ms - bucket.at_ms) / 1000
        bucket.allowed = min(self._burst, bucket.allowed + passed_s * self._per_s)
        bucket.at_ms = now_ms
        if bucket.allowed < 1.0:
            return False
        bucket.allowed -= 1.0
        return True
