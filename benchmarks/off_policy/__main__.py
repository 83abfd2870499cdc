"""How often the 95 % intervals hold the truth: ``python -m benchmarks.off_policy``.

2,000 logs of a Thompson sampler that learned while it logged, with callers who never come back
and with callers who do; every estimator, its two intervals, and its root mean squared error. Logs
that ``evaluate`` would refuse are left out and counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

import numpy as np

from apps.rl.off_policy import Rules, Terms, bootstrap, delta, running_means
from apps.rl.off_policy.diagnostics import diagnose
from apps.rl.off_policy.evaluation import all_terms, refuse
from apps.rl.off_policy.log import Floats
from benchmarks.off_policy.logs import World, thompson_logs
from benchmarks.off_policy.targets import targets

WORLDS = {
    "callers who never come back": World(),
    "callers with three calls each": World(calls_each=3, caller_effect=0.3),
}
RULES = Rules(clip=10.0)
WANTED = (0.93, 0.97)
JUDGED = "stabilised DR"


def study(world: World, *, runs: int, drawn: int, seed: int) -> dict[tuple[str, str], Floats]:
    """Return by target and estimator one row a log that was not refused, shape (logs, 4).

    The columns: error; whether the delta interval held the truth, and the bootstrap's (NaN after
    the first ``drawn`` logs); the delta interval's width.
    """
    logged = thompson_logs(runs, world, seed=seed)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for run in range(runs):
        log, truth = logged.log(run), logged.truth[run]
        model = running_means(log)
        judged: list[tuple[str, float, Terms]] = []
        for policy, target in targets(truth).items():
            if refuse(diagnose(log, target), RULES) is None:
                terms = all_terms(log, target, model, RULES)
                judged += [(policy, float(target @ truth), t) for t in terms]
        resampled = (
            bootstrap([t for *_, t in judged], log.caller, seed=run, replicates=500)
            if run < drawn
            else [None] * len(judged)
        )
        for (policy, value, terms_), again in zip(judged, resampled, strict=True):
            near = delta(terms_, log.caller)
            held = np.nan if again is None else float(again.low <= value <= again.high)
            row = (terms_.value - value, near.low <= value <= near.high, held, near.high - near.low)
            found[policy, terms_.name].append(row)
    return {key: np.array(rows, float) for key, rows in found.items()}


def report(found: dict[tuple[str, str], Floats], runs: int) -> bool:
    """Print a study's table; return whether the estimate to go by covers as wanted."""
    print("| target | logs | estimator | bias | RMSE | delta covers | bootstrap covers | width |")
    print("|---|---|---|---|---|---|---|---|")
    good = True
    for (policy, name), rows in found.items():
        bias, covers = rows[:, 0].mean(), rows[:, 1].mean()
        rmse, width = np.sqrt(np.square(rows[:, 0]).mean()), rows[:, 3].mean()
        resampled = rows[~np.isnan(rows[:, 2]), 2]
        again = f"{resampled.mean():.3f}" if len(resampled) else "-"
        print(
            f"| {policy} | {len(rows)} | {name} | {bias:+.4f} | {rmse:.4f}"
            f" | {covers:.3f} | {again} | {width:.3f} |"
        )
        if name == JUDGED and len(rows) >= runs / 2:
            good &= WANTED[0] <= covers <= WANTED[1]
    return good


def main() -> int:
    """Run the study; return 1 where the estimate to go by misses the wanted coverage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--bootstrapped", type=int, default=500, help="logs that are resampled")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    for name, world in WORLDS.items():
        print(f"\n{name}, {options.runs} logs\n")
        found = study(
            world,
            runs=options.runs,
            drawn=min(options.bootstrapped, options.runs),
            seed=options.seed,
        )
        good &= report(found, options.runs)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
