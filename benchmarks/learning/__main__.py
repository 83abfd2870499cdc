"""Compares learners on simulated calls: ``python -m benchmarks.learning --scenario stationary``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.learning.guarded import Guarded
from benchmarks.learning.learners import EpsilonGreedy, Maker, TestThenCommit, Uniform
from benchmarks.learning.ours import BetaThompson
from benchmarks.learning.run import Run, course, run
from benchmarks.learning.scenarios import SCENARIOS

LEARNERS: Mapping[str, Maker] = {
    "tom-beta": BetaThompson,
    "uniform": Uniform,
    "epsilon-greedy": EpsilonGreedy,
    "test-then-commit": TestThenCommit,
    "tom-guarded": Guarded,
}
DEFAULT = ("tom-beta", "uniform", "epsilon-greedy", "test-then-commit")

# Quantiles of Student's t for a two-sided 95 % interval, by degrees of freedom.
_T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
_T95 |= {10: 2.228, 12: 2.179, 14: 2.145, 16: 2.120, 19: 2.093, 24: 2.064, 29: 2.045, 49: 2.010}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds and half the width of its 95 % interval (NaN for one seed)."""
    mean = float(np.mean(values))
    degrees = len(values) - 1
    if degrees < 1:
        return mean, float("nan")
    quantile = _T95[max(known for known in _T95 if known <= degrees)]
    return mean, float(quantile * np.std(values, ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all learners did in the same worlds of one scenario.

    Attributes:
        scenario: Its name.
        runs: By learner, one a seed.
        single: For each seed, the regret of always choosing the best single variant.
    """

    scenario: str
    runs: Mapping[str, Sequence[Run]]
    single: Sequence[float]


def compare(
    scenario: str, learners: Sequence[str], seeds: Sequence[int], calls: int | None = None
) -> Comparison:
    """Let every learner loose on the same worlds."""
    world = SCENARIOS[scenario]
    if calls is not None:
        world = replace(world, calls=calls)
    runs: dict[str, list[Run]] = {name: [] for name in learners}
    single = []
    for seed in seeds:
        on = course(world, seed)
        single.append(on.single)
        for name in learners:
            runs[name].append(run(on, LEARNERS[name], seed))
    return Comparison(scenario, runs, single)


def report(found: Comparison) -> str:
    """Return a table in Markdown."""
    lines = [
        f"### {found.scenario}: {SCENARIOS[found.scenario].story}",
        "",
        f"| {len(found.single)} seeds | regret | regret, all known | bad, % | worst, % "
        "| choices/s | updates/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, some in found.runs.items():
        columns = [
            _pm([r.regret[-1] for r in some], 0),
            _pm([r.full_regret for r in some], 0),
            _pm([100 * r.bad_share for r in some], 1),
            _pm([100 * r.worst_share for r in some], 1),
            f"{np.median([r.decisions_per_s for r in some]):,.0f}",
            f"{np.median([r.updates_per_s for r in some]):,.0f}",
        ]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    lines.append(f"| (best single variant) | {_pm(found.single, 0)} | | | | | |")
    return "\n".join(lines) + "\n"


def _pm(values: Sequence[float], digits: int) -> str:
    mean, half = interval(values)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="stationary")
    parser.add_argument("--seeds", type=int, default=10, help="how many worlds (default 10)")
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="0 to 999 are for tuning (default 1000)"
    )
    parser.add_argument("--calls", type=int, help="calls of a run; the scenario's by default")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(DEFAULT))
    parser.add_argument("--json", type=Path, help="write every run there, curves and all")
    options = parser.parse_args(arguments)
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kept = {}
    for name in names:
        found = compare(name, options.learners, seeds, options.calls)
        print(report(found), flush=True)
        kept[name] = {learner: [_plain(r) for r in some] for learner, some in found.runs.items()}
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def _plain(result: Run) -> dict[str, object]:
    return asdict(result) | {"regret": [round(float(r), 3) for r in result.regret]}


if __name__ == "__main__":
    sys.exit(main())
