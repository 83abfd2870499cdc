"""Are the trainer's candidates truly good: ``python -m benchmarks.trainer``.

Each scenario is logged by three policies; the trainer learns from the log, and all 243 combinations
of slots are held against the simulator's truth. ``--shuffled`` gives every call another call's
reward: what is offered then is offered for nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from apps.rl.simulator import Scenario
from apps.rl.trainer import Gathered, Known, TooLittle, train
from apps.rl.trainer.features import ALL_SLOTS
from apps.rl.trainer.training import Training
from benchmarks.learning.scenarios import SCENARIOS
from benchmarks.trainer.logs import POLICIES, Floats, simulate, truth_of

_FIRST_SEED = 1000  # those below are for tuning
_TOP = 24  # a tenth of 243
_WORTH = 0.005  # gains below this are none
_SHOWN = (
    "best_in_top",
    "in_top",
    "better",
    "gain",
    "possible",
    "beats_served",
    "correlation",
    "rmse",
    "covered",
    "slots_supported",
    "slots_rmse",
    "slots_covered",
    "r2",
    "r2_means",
    "slope",
    "left_out",
    "left_out_plain",
)


@dataclass(frozen=True, slots=True)
class Result:
    """One training held against the truth; NaN for what there is none of.

    Attributes:
        offered: How many candidates were exported.
        best_in_top: Whether the first one is truly among the top tenth of all combinations.
        in_top: The share of the exported ones that are.
        better: The share of them that are truly better than the base variant.
        gain: Their true mean gain over the base variant.
        beats_served: Whether the best of them truly beats the best variant served.
        possible: The true gain of the best combination of all.
        correlation: Of expected and true rewards over all combinations that nobody serves.
        rmse: Of the expected gains of these.
        covered: How often the 95 % interval of such a gain holds the truth.
        slots_supported: For how many of them the log itself says something.
        slots_rmse: The error of what it says.
        slots_covered: How often the 95 % interval of that holds the truth.
        r2: Of the model on held-out calls.
        r2_means: The same of the variants' means.
        slope: Of the calibration.
        left_out: Error on variants that were left out.
        left_out_plain: That of the mean of all others.
        seconds: How long it took.
    """

    offered: int
    best_in_top: float
    in_top: float
    better: float
    gain: float
    beats_served: float
    possible: float
    correlation: float
    rmse: float
    covered: float
    slots_supported: int
    slots_rmse: float
    slots_covered: float
    r2: float
    r2_means: float
    slope: float
    left_out: float
    left_out_plain: float
    seconds: float


def judge(scenario: Scenario, gathered: Gathered, truth: Floats) -> Result | None:
    """Train on a log and hold it against the truth; None where it was too little."""
    begun = time.perf_counter()
    found = train(gathered, Known(scenario.base, scenario.variants, {}))
    seconds = time.perf_counter() - begun
    if isinstance(found, TooLittle):
        return None
    return _result(scenario, found, truth, seconds)


def _result(scenario: Scenario, found: Training, truth: Floats, seconds: float) -> Result:
    gains = truth - truth[ALL_SLOTS.index(scenario.variants[scenario.base])]
    rank = (-truth).argsort().argsort()
    at = [ALL_SLOTS.index(c.score.slots) for c in found.candidates]
    new = np.array([not s.served for s in found.scores])
    expected = np.array([s.gain for s in found.scores])
    error = np.array([s.gain_error for s in found.scores])
    miss = (expected - gains)[new]
    told = [
        (i, s.off_policy)
        for i, s in enumerate(found.scores)
        if not s.served and s.off_policy is not None and s.off_policy.interval is not None
    ]
    wrong = [e.value - gains[i] for i, e in told if e.value is not None]
    held = [e.interval.low <= gains[i] <= e.interval.high for i, e in told if e.interval]
    validation, none = found.validation, float("nan")
    return Result(
        offered=len(at),
        best_in_top=float(rank[at[0]] < _TOP) if at else none,
        in_top=float((rank[at] < _TOP).mean()) if at else none,
        better=float((gains[at] > 0).mean()) if at else none,
        gain=float(gains[at].mean()) if at else none,
        beats_served=float(gains[at].max() > gains[~new].max() + _WORTH) if at else none,
        possible=float(gains.max()),
        correlation=float(np.corrcoef(expected[new], gains[new])[0, 1]),
        rmse=float(np.sqrt(np.square(miss).mean())),
        covered=float((np.abs(miss) <= 1.96 * error[new]).mean()),
        slots_supported=len(told),
        slots_rmse=float(np.sqrt(np.mean(np.square(wrong)))) if wrong else none,
        slots_covered=float(np.mean(held)) if held else none,
        r2=validation.r2,
        r2_means=validation.r2_means,
        slope=validation.slope,
        left_out=validation.left_out_rmse[0],
        left_out_plain=validation.left_out_rmse[1],
        seconds=seconds,
    )


def shuffled(gathered: Gathered, seed: int) -> Gathered:
    """Return the calls with each other's rewards."""
    order = np.random.default_rng(seed).permutation(len(gathered.calls))
    calls = gathered.calls
    mixed = [
        replace(c, reward=calls[i].reward, components=calls[i].components)
        for c, i in zip(calls, order, strict=True)
    ]
    return replace(gathered, calls=tuple(mixed))


def table(rows: Sequence[tuple[str, Sequence[Result | None]]]) -> str:
    """Return results as a Markdown table, means over the seeds."""
    head = "| log | exported | first in top tenth | all in top tenth | better than base | true gain"
    head += (
        " | possible | beats best served | correlation | RMSE | 95 % holds | log says | its RMSE"
    )
    head += " | its 95 % holds | R² | of means | slope | left out | of mean |\n|" + "---|" * (
        len(_SHOWN) + 2
    )
    lines = [head]
    for name, found in rows:
        seen = [r for r in found if r is not None]
        if not seen:
            lines.append(f"| {name} | too little |" + " |" * len(_SHOWN))
            continue
        exported = np.mean([bool(r and r.offered) for r in found])

        def mean(field: str, among: Sequence[Result] = seen) -> str:
            values = np.array([getattr(r, field) for r in among], float)
            return f"{np.nanmean(values):.3f}" if np.isfinite(values).any() else "-"

        lines.append(f"| {name} | {exported:.0%} | " + " | ".join(map(mean, _SHOWN)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", nargs="*", default=["stationary", "confounded", "opposite"])
    parser.add_argument("--calls", nargs="*", type=int, default=[1000, 4000])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shuffled", action="store_true", help="rewards that nothing explains")
    parser.add_argument("--keep", type=Path, help="a JSON file for every single result")
    options = parser.parse_args()
    rows: list[tuple[str, list[Result | None]]] = []
    for name in options.scenario:
        seeds = range(_FIRST_SEED, _FIRST_SEED + options.seeds)
        truth = {seed: truth_of(SCENARIOS[name], seed) for seed in seeds}
        for policy in POLICIES:
            for calls in options.calls:
                found = []
                for seed in seeds:
                    log = simulate(SCENARIOS[name], seed, calls, policy)
                    log = shuffled(log, seed) if options.shuffled else log
                    found.append(judge(SCENARIOS[name], log, truth[seed]))
                rows.append((f"{name}, {policy}, {calls}", found))
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    print()
    print(table(rows))
    if options.keep:
        kept = {name: [None if r is None else asdict(r) for r in found] for name, found in rows}
        options.keep.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
