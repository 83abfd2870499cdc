"""What a network does to packets: the fate of the n-th one follows from the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

FORTH, BACK = "forth", "back"


@dataclass(frozen=True, slots=True)
class Network:
    """How a network treats packets, each by itself.

    Attributes:
        loss: The share that is lost.
        delay_ms: What every packet takes.
        jitter_sd_ms: Standard deviation of the normal distribution whose absolute value is added.
        max_jitter_ms: Where that is cut.
        reorder: A packet may overtake another; otherwise it waits for the one before it.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_sd_ms: float = 0.0
    max_jitter_ms: float = 120.0
    reorder: bool = True


GOOD = Network()
BAD = Network(loss=0.05, jitter_sd_ms=40.0)


class Fates:
    """The fates of the packets of one way.

    Args:
        seed: Makes them.
        way: `FORTH` or `BACK`, which have different fates.
    """

    def __init__(self, seed: int, way: str) -> None:
        self._dice = random.Random(f"{seed} {way}")
        self._free_ms = 0.0

    def next(self, network: Network, now_ms: float) -> float | None:
        """Return when a packet that comes now leaves, in the time of `now_ms`; None when lost.

        Every packet takes as many numbers from the dice, so that a change of the network changes
        no later packet's luck.
        """
        luck, jitter = self._dice.random(), abs(self._dice.gauss(0.0, 1.0))
        if luck < network.loss:
            return None
        extra_ms = min(jitter * network.jitter_sd_ms, network.max_jitter_ms)
        leaves_ms = now_ms + network.delay_ms + extra_ms
        if not network.reorder:
            leaves_ms = max(leaves_ms, self._free_ms)
        self._free_ms = max(leaves_ms, self._free_ms)
        return leaves_ms
