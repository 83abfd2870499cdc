"""Mean ratings with most of them missing, against the truth.

``python -m benchmarks.learning.missing``: calls of the simulator, every variant as often as any
other. The truth of a variant is the mean of the stars that everybody who was asked *would* give;
the simulator knows it. Few rate, and not at random: by the stars they would give, and by their
mood, which no feature shows. docs/missing-ratings.md has the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.rl.missing import RatedCalls, estimates, from_events
from apps.rl.simulator import Calls, Outcomes, Ratings, Scenario, World
from apps.store.feedback import FeedbackKind, FeedbackRow
from benchmarks.learning.scenarios import DELAYED_MISSING, STATIONARY

_BY_CONTEXT = Ratings(offered=0.7, base=-0.8, extremes=0.0, happy=0.0, mood=0.0)
WORLDS = {
    "delayed_missing": DELAYED_MISSING,
    "stationary": STATIONARY,
    "at_random": replace(STATIONARY, name="missing_at_random", ratings=_BY_CONTEXT),
}
"""``at_random``: who answers is up to what can be seen of the call (see ``_silenced``)."""
KINDS = ("complete_case", "ipw", "dr")


@dataclass(frozen=True, slots=True)
class Errors:
    """What three estimates of all variants' mean ratings were like in one world.

    Attributes:
        bias: Mean over variants of estimate less truth, by kind.
        squared: Mean of the squared distance.
        covered: Share of the intervals that hold the truth.
        answer_rate: Share of the asked that answered.
    """

    bias: dict[str, float]
    squared: dict[str, float]
    covered: dict[str, float]
    answer_rate: float


def simulated(
    scenario: Scenario, seed: int, *, at_random: bool = False
) -> tuple[RatedCalls, NDArray[np.float64]]:
    """Return a world's calls as the store would tell them, and each variant's true mean stars."""
    world = World(scenario, seed)
    calls = world.calls(scenario.calls)
    outcomes = world.outcomes(calls)
    rng = np.random.default_rng([seed, 5])
    chosen = rng.integers(len(world.ids), size=len(calls))
    rows = list(_events(world, calls, outcomes, chosen, rng if at_random else None))
    found = from_events(rows, world.ids)
    every = np.arange(len(calls))
    asked = outcomes.offered[every, chosen] & ~outcomes.abandoned[every, chosen]
    felt = outcomes.felt[every, chosen]
    truth = [float(felt[asked & (chosen == v)].mean()) for v in range(len(world.ids))]
    return found, np.array(truth)


def _events(
    world: World,
    calls: Calls,
    outcomes: Outcomes,
    chosen: NDArray[np.int64],
    silence: np.random.Generator | None,
) -> Iterator[FeedbackRow]:
    for i, variant in enumerate(chosen):
        outcome = outcomes.of(i, int(variant))
        if outcome.reward is None:
            continue
        signals, rating = outcome.signals.model_dump(), outcome.signals.user_rating
        if silence is not None:
            rating = _silenced(
                outcome.rating_offered, int(outcomes.felt[i, variant]), signals, silence
            )
        signals["user_rating"] = rating
        yield FeedbackRow(
            f"c{i}",
            FeedbackKind.FEEDBACK,
            world.ids[variant],
            outcome.reward,
            call_ref=f"c{i}",
            rating=rating,
            rating_offered=outcome.rating_offered,
            rating_answered=rating is not None,
            context=calls.context(world.scenario, i),
            signals=signals,
            subject=f"s{calls.subject[i]}",
            seq=i + 1,
        )


def _silenced(
    offered: bool, felt: int, signals: dict[str, object], rng: np.random.Generator
) -> int | None:
    """Return the stars of a caller whose answering is up to what the signals say, and chance."""
    solved, barge_ins = signals["resolution"] is True, int(str(signals["barge_in_count"]))
    chance = 1.0 / (1.0 + np.exp(1.6 - 2.0 * solved + 0.5 * min(barge_ins, 3)))
    return felt if offered and rng.random() < chance else None


def errors(scenario: Scenario, seed: int, *, at_random: bool = False) -> Errors:
    """Return how far the estimates are from the truth in one world."""
    calls, truth = simulated(scenario, seed, at_random=at_random)
    found = list(estimates(calls).values())
    bias, squared, covered = {}, {}, {}
    for kind in KINDS:
        values = [getattr(e, kind) for e in found]
        known = [(v, t) for v, t in zip(values, truth, strict=True) if v is not None]
        off = np.array([v.value - t for v, t in known])
        bias[kind], squared[kind] = float(off.mean()), float(np.square(off).mean())
        inside = [v.interval.low <= t <= v.interval.high for v, t in known]
        covered[kind] = float(np.mean(inside))
    rate = float(calls.answered.sum() / calls.asked.sum())
    return Errors(bias, squared, covered, rate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.missing")
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    options = parser.parse_args(arguments)
    print("| world | answered | estimate | bias, stars | RMSE, stars | intervals with the truth |")
    print("|" + "---|" * 6)
    for name in options.worlds:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        runs = [errors(WORLDS[name], seed, at_random=name == "at_random") for seed in seeds]
        rate = np.mean([run.answer_rate for run in runs])
        for kind in KINDS:
            bias = [run.bias[kind] for run in runs]
            rmse = np.sqrt(np.mean([run.squared[kind] for run in runs]))
            held = 100 * np.mean([run.covered[kind] for run in runs])
            error = np.std(bias, ddof=1) / len(bias) ** 0.5 if len(bias) > 1 else float("nan")
            print(
                f"| {name} | {100 * rate:.0f} % | {kind.replace('_', ' ')} "
                f"| {np.mean(bias):+.3f} ± {1.96 * error:.3f} | {rmse:.3f} | {held:.0f} % |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
