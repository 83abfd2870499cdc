"""How sure the guard is: ``python -m benchmarks.guard``; tables in Markdown, see docs/guard.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.rl.simulator import Scenario
from apps.rl.variants import GuardRules
from benchmarks.guard.checks import alarms
from benchmarks.guard.figure import figure
from benchmarks.guard.runs import NEVER, RULES, Found, Traffic, rewards, run, seats
from benchmarks.learning.scenarios import GUARD_SCENARIOS

ALPHA, FEW = 0.05, 200
"""What must hold: innocents in this share of the runs at most, own calls until a bad one."""

NAMES: Mapping[str, str] = {
    "contest": "contests with the base (the guard)",
    "joined": "two sequences of the same bound, one an arm",
    "asymptotic": "asymptotic sequence of the means, Bonferroni",
    "threshold": "mean < -0.2 after 20 calls",
    "z": "z < -1.645, looked at again and again",
    "z_bonferroni": "z, Bonferroni, looked at again and again",
    "z_bonferroni_once": "z, Bonferroni, looked at once, at the end",
}
_FIRST_SEED = 1000  # 0 to 999 are for tuning


def pair() -> Scenario:
    """Return the scenario of the bad variant alone with the base."""
    worse = GUARD_SCENARIOS["one_worse"]
    bad = next(iter(worse.faults))
    return replace(worse, variants={name: worse.variants[name] for name in (worse.base, bad)})


def innocent(found: Found) -> str:
    """Return a table of the runs in which anybody was blacklisted."""
    lines = ["| rule | runs with an innocent blacklisted | innocents |", "|---|---|---|"]
    for rule in RULES:
        hit = found.at[rule] != NEVER
        share = hit.any(axis=1).mean()
        error = 1.96 * np.sqrt(share * (1.0 - share) / len(hit))
        lines.append(f"| {NAMES[rule]} | {share:.1%} ± {error:.1%} | {hit[:, 1:].mean():.2%} |")
    return "\n".join(lines)


def guilty(found: Found) -> str:
    """Return a table of when the last variant, which is bad, was blacklisted."""
    lines = ["| rule | caught | own calls, median | 90 % of the runs | all calls, median |"]
    lines.append("|---|---|---|---|---|")
    for rule in RULES:
        own, at = found.own[rule][:, -1], found.at[rule][:, -1]
        columns = [f"{(at != NEVER).mean():.1%}", _quantile(own, 0.5), _quantile(own, 0.9)]
        lines.append(f"| {NAMES[rule]} | {' | '.join(columns)} | {_quantile(at, 0.5)} |")
    return "\n".join(lines)


def _quantile(when: np.ndarray, q: float) -> str:
    value = np.quantile(np.where(when == NEVER, np.inf, when), q, method="higher")
    return f"{value:,.0f}" if np.isfinite(value) else "-"


def study(
    scenario: Scenario, traffic: Traffic, runs: int, calls: int, *, active: bool = False
) -> Found:
    """Return what became of so many runs, and say how long that took."""
    begun = time.perf_counter()
    found: Found | None = None
    for first in range(0, runs, 500):
        some = range(_FIRST_SEED + first, _FIRST_SEED + min(first + 500, runs))
        drawn = rewards(scenario, some, calls)
        part = run(drawn, traffic, GuardRules(), seed=some.start, active=active)
        found = part if found is None else found.joined(part)
    assert found is not None
    took = time.perf_counter() - begun
    print(f"\n### {scenario.name}, {len(scenario.variants)} variants, {traffic} traffic")
    print(f"\n{runs:,} runs of {calls:,} calls; {took:.0f} s.\n", flush=True)
    return found


def caps(found: Found) -> bool:
    """Print the fullest windows; return whether all were within the caps."""
    kept = True
    for stage, limit in seats(GuardRules()).items():
        most = found.most[stage]
        kept &= bool((most <= limit).all())
        full = (most == limit).mean()
        print(f"\n{stage}: at most {most.max()} of {limit} seats, full at times in {full:.0%}.")
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the studies; return 1 where something that must hold does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--long-runs", type=int, default=60, help="of twelve with a bad one")
    parser.add_argument("--long-calls", type=int, default=30_000)
    parser.add_argument("--folded-runs", type=int, default=50, help="in the guard's own folds")
    parser.add_argument("--figure", type=Path, help="write one there, as SVG")
    options = parser.parse_args(arguments)
    identical, everybody = GUARD_SCENARIOS["identical"], GUARD_SCENARIOS["one_worse"]
    runs, half, calls, good = options.runs, max(options.runs // 2, 1), options.calls, True

    same = study(identical, Traffic.GUARDED, runs, calls)
    print(innocent(same))
    good &= _are_spared(same) & caps(same)

    alone = study(pair(), Traffic.GUARDED, runs, calls)
    print(guilty(alone))
    good &= _found_soon(alone) & caps(alone)

    same = study(identical, Traffic.UNIFORM, runs, calls)
    print(innocent(same))
    good &= _are_spared(same)

    found = study(identical, Traffic.THOMPSON, half, calls)
    print(innocent(found))
    good &= _are_spared(found)

    found = study(everybody, Traffic.UNIFORM, half, calls)
    print(guilty(found))
    good &= _found_soon(found)

    found = study(everybody, Traffic.GUARDED, options.long_runs, options.long_calls)
    print(guilty(found))
    share = found.calls[:, -1].mean() / found.calls.sum(axis=1).mean()
    print(f"\nThe bad one got {share:.2%} of the calls, {found.calls[:, -1].mean():.0f} a run.")
    good &= caps(found)

    good &= alarms(identical, options.folded_runs, calls)
    if options.figure:
        options.figure.write_text(figure(same, alone), "utf-8")
    print(f"\nAll that must hold {'holds' if good else 'does NOT hold'}.")
    return int(not good)


def _are_spared(found: Found) -> bool:
    return bool((found.at["contest"] != NEVER).any(axis=1).mean() <= ALPHA)


def _found_soon(found: Found) -> bool:
    own = found.own["contest"][:, -1]
    return bool(np.median(np.where(own == NEVER, np.inf, own)) <= FEW)


if __name__ == "__main__":
    sys.exit(main())
