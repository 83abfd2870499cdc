"""Our off-policy estimators beside obp's with known truth, for the same results as the bandits'."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.off_policy.__main__ import JUDGED, WORLDS, study
from benchmarks.off_policy.beside_obp import RUNS, errors, furthest, ours, peer, theirs
from benchmarks.off_policy.logs import World, fixed_logs, thompson_logs

COVERAGE_RUNS = 2000


def beside_obp() -> dict[str, Any]:
    """Return values' differences, RMSE over logs with known truth, and our intervals' coverage."""
    others = theirs(peer())
    squares: dict[str, Any] = {}
    for what, logs in (("learned", thompson_logs), ("did not learn", fixed_logs)):
        found = errors(others | ours(), logs(RUNS, World(), seed=2))
        for policy in dict.fromkeys(policy for policy, _ in found):
            squared = {name: e**2 for (p, name), e in found.items() if p == policy}
            squares[f"{what}, {policy}"] = _behind(squared)
    return {
        "furthest": furthest(ours(), others, seed=1),
        "runs": RUNS,
        "rmse": squares,
        "coverage": {name: _coverage(world) for name, world in WORLDS.items()},
    }


def _behind(squared: dict[str, Any]) -> dict[str, list[float]]:
    """Return RMSE, and how far above the best in standard errors of the difference."""
    best = min(squared, key=lambda name: float(squared[name].mean()))
    made = {}
    for name, square in squared.items():
        above = square - squared[best]
        error = float(above.std(ddof=1)) / len(above) ** 0.5
        behind = float(above.mean()) / error if error else 0.0
        made[name] = [round(float(square.mean()) ** 0.5, 4), round(behind, 1)]
    return made


def _coverage(world: World) -> dict[str, Any]:
    found = study(world, runs=COVERAGE_RUNS, drawn=0, seed=1)
    return {
        policy: {
            "logs": len(rows),
            "bias": round(float(rows[:, 0].mean()), 4),
            "rmse": round(float(np.sqrt(np.square(rows[:, 0]).mean())), 4),
            "covers": round(float(rows[:, 1].mean()), 4),
        }
        for (policy, name), rows in found.items()
        if name == JUDGED
    }
