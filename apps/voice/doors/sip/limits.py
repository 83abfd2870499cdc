"""How much one address may send: a token bucket each, of bounded number."""

from __future__ import annotations

from collections import OrderedDict

from apps.core.addresses import peer_group
from apps.core.rate import TokenBucket

MAX_ADDRESSES = 10_000


class AddressBuckets:
    """Token buckets by address; the least recently seen are forgotten first.

    Args:
        per_s: How fast a bucket fills.
        burst: How much it holds.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_ms, self._burst = per_s / 1000, burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def allows(self, address: str, now_ms: float, cost: float = 1.0) -> bool:
        """Take what something costs from an address's bucket; False when there is too little."""
        group = peer_group(address)
        bucket = self._buckets.get(group)
        if bucket is None:
            bucket = self._buckets[group] = TokenBucket(self._per_ms, self._burst, now_ms)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(group)
        return bucket.take(now_ms, cost)

    def exhausted(self, address: str, now_ms: float) -> bool:
        """Tell whether an address's bucket has less than one left; nothing is taken."""
        self.allows(address, now_ms, 0.0)
        return self._buckets[peer_group(address)].left < 1.0
