"""Tries the peers' parameters on tuning seeds: ``python -m benchmarks.learning.tuning``.

Each peer gets the one configuration, for all scenarios or for all bundled sets, whose regret is the
smallest share of uniform's on the mean over them. What was tried is written to
``results/tuning.json``; what came out stands in ``roster.py``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.learning.bundled import COPIES
from benchmarks.learning.kept import runs
from benchmarks.learning.roster import BUNDLED, SIMULATED, Entry

SEEDS = {"simulator": (0, 1), "bundled": (0,)}
SCENARIOS = ("stationary", "drift_step")
OUT = Path(__file__).with_name("results") / "tuning.json"

THRESHOLD = {"threshold": (0.0, 0.2, 0.4)}
ALPHA = {"alpha": (0.1, 0.25, 1.0)}
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "mabwiser-ts": THRESHOLD,
    "mabwiser-lints": ALPHA,
    "mabwiser-linucb": ALPHA,
    "vw-squarecb": {"gamma": (10.0, 100.0, 1000.0), "rate": (0.1, 0.5, 2.0)},
    "vw-regcb": {"mellowness": (0.0001, 0.001, 0.01), "rate": (0.1, 0.5, 2.0)},
    "river-linucb": {"beta": (1.0, 4.0, 16.0)},
    "river-bayesucb": THRESHOLD,
    "tensorzero": {"epsilon": (0.0, 0.05, 0.1, 0.2)},
    "ab-then-commit": {"share": (0.05, 0.1, 0.2)},
    "epsilon-greedy": {"epsilon": (0.02, 0.05, 0.1)},
}


def variants(name: str, entry: Entry) -> dict[str, Entry]:
    """Return the entry with each combination of its grid's parameters, by what they are."""
    grid, made = GRIDS[name], {}
    for values in product(*grid.values()):
        options = dict(zip(grid, values, strict=True))
        told = ",".join(f"{key}={value:g}" for key, value in options.items())
        made[f"{name}({told})"] = replace(entry, options=options)
    return made


def tried(
    worlds: Sequence[str], roster: Mapping[str, Entry], seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Return each configuration's share of uniform's regret by world, and their mean."""
    entries = {"uniform": roster["uniform"]}
    for name in GRIDS.keys() & roster.keys():
        entries |= variants(name, roster[name])
    shares: dict[str, dict[str, float]] = {name: {} for name in entries}
    for world in worlds:
        found = runs(world, entries, seeds)
        regret = {name: np.mean([r.regret[-1] for r in some]) for name, some in found.items()}
        for name, value in regret.items():
            shares[name][world] = round(float(value / regret["uniform"]), 4)
    for row in shares.values():
        row["mean"] = round(float(np.mean(list(row.values()))), 4)
    return shares


def main() -> int:
    """Try everything and write it down."""
    found = {
        "simulator": tried(SCENARIOS, SIMULATED, SEEDS["simulator"]),
        "bundled": tried(tuple(COPIES), BUNDLED, SEEDS["bundled"]),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for what, shares in found.items():
        print(what)
        for name, row in sorted(shares.items(), key=lambda item: item[1]["mean"]):
            print(f"  {row['mean']:.3f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
