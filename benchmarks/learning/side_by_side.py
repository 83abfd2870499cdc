"""Everything of ``make bench-rl``: ``python -m benchmarks.learning.side_by_side``.

Runs are kept (``kept.py``), so it may be broken off and goes on where it was. It writes
``results/*.json``, the tables of docs/benchmarks-learning.md and the figures in docs/figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.learning import pages
from benchmarks.learning.bundled import COPIES
from benchmarks.learning.kept import runs
from benchmarks.learning.results import bad_percent, beside, configurations, machine, pair, told
from benchmarks.learning.roster import BUNDLED, GUARDED, OURS_BUNDLED, OURS_SIMULATED, SIMULATED
from benchmarks.learning.run import course
from benchmarks.learning.scenarios import SCENARIOS

FIRST_SEED = 1000
RUNS = 10
MORE_RUNS = {"stationary": 40, "drift_step": 40, "drift_slow": 40}
"""Where ten runs left intervals touching: thirty more each, decided before any was made."""
WITH_GUARD = ("stationary", "many_variants", "poisoned")
PARTS = ("scenarios", "bundled", "off_policy", "speed")


def scenarios(seeds: Sequence[int], make: bool) -> dict[str, Any]:
    """Return the simulator's part."""
    found: dict[str, Any] = {"learners": configurations({**SIMULATED, **GUARDED})}
    for world in SCENARIOS:
        more = range(seeds[0], seeds[0] + max(len(seeds), MORE_RUNS.get(world, 0)))
        made = runs(world, SIMULATED, more, make=make)
        guarded = runs(world, GUARDED, seeds, make=make) if world in WITH_GUARD else {}
        found[world] = {
            "beside": beside(made, OURS_SIMULATED),
            "beside_bad": beside(made, OURS_SIMULATED, bad_percent),
            "single": pair([course(SCENARIOS[world], seed).single for seed in more]),
            "by": {name: told(some) for name, some in (made | guarded).items()},
        }
    return found


def bundled(seeds: Sequence[int], make: bool) -> dict[str, Any]:
    """Return the part of scikit-learn's sets."""
    found: dict[str, Any] = {"learners": configurations(BUNDLED)}
    for world in COPIES:
        made = runs(world, BUNDLED, seeds, make=make)
        found[world] = {
            "beside": beside(made, OURS_BUNDLED),
            "by": {name: told(some, of_calls=False) for name, some in made.items()},
        }
    return found


def measure(part: str, seeds: Sequence[int], make: bool) -> dict[str, Any]:
    """Return one part's results."""
    if part == "scenarios":
        return scenarios(seeds, make)
    if part == "bundled":
        return bundled(seeds, make)
    if part == "speed":
        from benchmarks.learning.rates import speeds

        return speeds()
    from benchmarks.learning.off_policy import beside_obp

    return beside_obp()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, say where we lose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=RUNS, help="runs of each learner and world")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--kept", action="store_true", help="make no runs: of those that are kept")
    options = parser.parse_args(arguments)
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    pages.RESULTS.mkdir(exist_ok=True)
    for part in options.parts:
        found = {
            "machine": machine(),
            "seeds": [seeds[0], len(seeds)],
            **measure(part, seeds, not options.kept),
        }
        text = json.dumps(found, indent=1, sort_keys=False)
        (pages.RESULTS / f"{part}.json").write_text(pages.compact(text) + "\n", encoding="utf-8")
    pages.renew()
    return 0


if __name__ == "__main__":
    sys.exit(main())
