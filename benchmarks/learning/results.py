"""What the comparison found, as plain data: what is committed, drawn and printed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learning.__main__ import interval
from benchmarks.learning.kept import curve
from benchmarks.learning.roster import Entry
from benchmarks.learning.run import Run

Pair = list[float]
Found = dict[str, Any]


def told(some: Sequence[Run], *, of_calls: bool = True) -> Found:
    """Return one learner's runs in one world: means, half widths of 95 % intervals, mean curve."""
    regret = [float(r.regret[-1]) for r in some]
    found: Found = {"runs": len(some), "regret": pair(regret), "curve": list(curve(some))}
    if of_calls:
        found |= {
            "full_regret": pair([r.full_regret for r in some]),
            "bad": pair([100.0 * r.bad_share for r in some]),
            "worst": pair([100.0 * r.worst_share for r in some]),
        }
    return found


def final_regret(run: Run) -> float:
    """Return what a run cost."""
    return float(run.regret[-1])


def bad_percent(run: Run) -> float:
    """Return how many of a hundred calls got a bad variant."""
    return 100.0 * run.bad_share


def beside(
    runs: Mapping[str, Sequence[Run]],
    ours: Sequence[str],
    figure: Callable[[Run], float] = final_regret,
) -> Found:
    """Return our best learner beside the best of the others in one world, by a figure of a run.

    Both ran in the same worlds, so the interval of the difference is that of paired runs.
    """
    finals = {name: np.array([figure(r) for r in some]) for name, some in runs.items()}
    mine = min((name for name in finals if name in ours), key=lambda name: finals[name].mean())
    peer = min((name for name in finals if name not in ours), key=lambda name: finals[name].mean())
    common = min(len(finals[mine]), len(finals[peer]))
    finals = {name: some[:common] for name, some in finals.items()}
    (low, low_half), (high, high_half) = pair(finals[mine]), pair(finals[peer])
    return {
        "ours": [mine, low, low_half],
        "peer": [peer, high, high_half],
        "runs": common,
        "ratio": round(float(low / max(high, 1e-9)), 3),
        "difference": pair(finals[mine] - finals[peer]),
        "apart": bool(low + low_half < high - high_half),
    }


def pair(values: Sequence[float] | np.ndarray[Any, Any]) -> Pair:
    """Return the mean and half the width of its 95 % interval, rounded."""
    mean, half = interval([float(value) for value in values])
    return [round(mean, 2), round(half, 2)]


def configurations(entries: Mapping[str, Entry]) -> Found:
    """Return everybody's parameters, and where they are from."""
    return {name: {**entry.options, "from": entry.note} for name, entry in entries.items()}


def machine() -> Found:
    """Return what the speeds were measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "on": time.strftime("%Y-%m-%d"),
    }
