"""After how many calls is an adapter on the route found to be worse than its control?

    .venv/bin/python -m benchmarks.adapters.drift

Simulated rewards: normal, of a standard deviation of 0.4, cut to [-1, 1], with a mean of 0.3 for
the control. The test is the roll-out's own, looked at after every call.
"""

from __future__ import annotations

import argparse
import random

from apps.rl.adapters.rollout.monitor import Signal, Watch, WatchedCall

SHARES, GAPS = (0.05, 0.1, 0.2), (-0.5, -0.3, -0.2, 0.0)
SPREAD, MEAN = 0.4, 0.3


def found_after(share: float, gap: float, most: int, seed: int) -> int | None:
    """Return the number of the call at which drift is found; None if it never is."""
    rng, watch = random.Random(seed), Watch("adapter")
    for number in range(1, most + 1):
        own = rng.random() >= share
        reward = min(max(rng.gauss(MEAN + own * gap, SPREAD), -1.0), 1.0)
        watch = watch.add(WatchedCall(number, own, 1.0 - share, {Signal.REWARD: reward}))
        if watch.drift((Signal.REWARD,)) is not None:
            return number
    return None


def main() -> None:
    """Print one line for each control share and gap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--calls", type=int, default=5000)
    asked = parser.parse_args()
    print("control share | worse by | found | median calls")
    for share in SHARES:
        for gap in GAPS:
            runs = (found_after(share, gap, asked.calls, seed) for seed in range(asked.runs))
            hits = sorted(hit for hit in runs if hit is not None)
            median = hits[len(hits) // 2] if len(hits) > asked.runs // 2 else "-"
            print(f"{share:.2f} | {abs(gap):.1f} | {len(hits)}/{asked.runs} | {median}", flush=True)


if __name__ == "__main__":
    main()
