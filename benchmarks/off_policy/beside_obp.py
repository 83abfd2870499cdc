"""The same logs through ours and through obp 0.5.7: ``python -m benchmarks.off_policy.beside_obp``.

obp stays out of this project's environment. Once::

    python -m venv PEER
    PEER/bin/pip install --no-deps --ignore-requires-python obp==0.5.7
    PEER/bin/pip install numpy scipy scikit-learn pandas matplotlib seaborn tqdm pyyaml sqlalchemy

and then, from the project's root, with ``PEER/bin/python``. It exits with 1 where a value differs
by more than 1e-10.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from apps.rl.off_policy import Log, dm, dr, ips, running_means, snips, stabilised_dr, switch_dr
from apps.rl.off_policy.log import Floats
from benchmarks.off_policy.logs import Runs, World, fixed_logs, thompson_logs
from benchmarks.off_policy.targets import targets

TOLERANCE = 1e-10
CLIP, TAU = 5.0, 4.0
AGREED = 20
RUNS = 500
Estimators = dict[str, Callable[[Log, Floats, Floats], float]]


class _Empty(type):
    """Classes that have whatever is asked of them, all of it empty."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty(name, (), {})


class _Absent(ModuleType):
    """A module that is not installed: everything in it is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or _Empty(name, (), {})


def peer() -> ModuleType:
    """Return obp's estimators.

    obp imports torch for its learners, which are not used here: a stand-in will do.
    """
    if importlib.util.find_spec("torch") is None:
        for name in ("torch", "torch.nn", "torch.nn.functional", "torch.optim"):
            sys.modules[name] = _Absent(name)
    return importlib.import_module("obp.ope")


def theirs(ope: ModuleType) -> Estimators:
    """Return obp's estimators; those that ours have a name for bear it."""
    made = {
        "IPS": ope.InverseProbabilityWeighting(),
        "clipped IPS": ope.InverseProbabilityWeighting(lambda_=CLIP),
        "SNIPS": ope.SelfNormalizedInverseProbabilityWeighting(),
        "DM": ope.DirectMethod(),
        "DR": ope.DoublyRobust(),
        "Switch-DR": ope.SwitchDoublyRobust(lambda_=TAU),
        "obp SNDR": ope.SelfNormalizedDoublyRobust(),
        "obp DRos": ope.DoublyRobustWithShrinkage(lambda_=100.0),
        "obp SG-IPW": ope.SubGaussianInverseProbabilityWeighting(lambda_=0.05),
        "obp SG-DR": ope.SubGaussianDoublyRobust(lambda_=0.05),
    }
    return {name: _value(estimator) for name, estimator in made.items()}


def ours() -> Estimators:
    """Return ours."""
    return {
        "IPS": lambda log, target, _: ips(log, target).value,
        "clipped IPS": lambda log, target, _: ips(log, target, clip=CLIP).value,
        "SNIPS": lambda log, target, _: snips(log, target).value,
        "DM": lambda log, target, model: dm(log, target, model).value,
        "DR": lambda log, target, model: dr(log, target, model).value,
        "Switch-DR": lambda log, target, model: switch_dr(log, target, model, tau=TAU).value,
        "stabilised DR": lambda log, target, model: stabilised_dr(log, target, model).value,
    }


def furthest(mine: Estimators, others: Estimators, *, seed: int) -> dict[str, float]:
    """Return each common estimator's largest difference, over contextual logs drawn by a seed."""
    rng = np.random.default_rng(seed)
    gaps = dict.fromkeys((name for name in mine if name in others), 0.0)
    for _ in range(AGREED):
        n, k = int(rng.integers(50, 3000)), int(rng.integers(2, 15))
        p, target = (rng.dirichlet(np.ones(k), n) * 0.9 + 0.1 / k for _ in range(2))
        chosen = np.minimum((rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1), k - 1)
        log = Log(chosen, rng.uniform(-1, 1, n), p[np.arange(n), chosen], k, p)
        model = rng.uniform(-1, 1, (n, k))
        for name in gaps:
            gap = abs(mine[name](log, target, model) - others[name](log, target, model))
            gaps[name] = max(gaps[name], gap)
    return gaps


def errors(estimators: Estimators, logged: Runs) -> dict[tuple[str, str], Floats]:
    """Return every estimator's errors, by target and name, shape (runs,)."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in range(len(logged.truth)):
        log, truth = logged.log(run), logged.truth[run]
        model = running_means(log)
        for policy, target in targets(truth).items():
            for name, estimate in estimators.items():
                error = estimate(log, target, model) - float(target @ truth)
                found.setdefault((policy, name), []).append(error)
    return {key: np.array(values) for key, values in found.items()}


def report(found: dict[tuple[str, str], Floats]) -> None:
    """Print RMSE, and how far it is above the best one's in standard errors of the difference."""
    for policy in dict.fromkeys(policy for policy, _ in found):
        squares = {name: e**2 for (p, name), e in found.items() if p == policy}
        best = min(squares, key=lambda name: float(squares[name].mean()))
        print(f"\n| {policy} | RMSE | above the best, standard errors |\n|---|---|---|")
        for name, square in sorted(squares.items(), key=lambda item: float(item[1].mean())):
            above = square - squares[best]
            error = float(above.std(ddof=1)) / len(above) ** 0.5
            behind = float(above.mean()) / error if error else 0.0
            print(f"| {name} | {float(square.mean()) ** 0.5:.4f} | {behind:.1f} |")


def main() -> int:
    """Compare; return 1 where a value differs."""
    others = theirs(peer())
    gaps = furthest(ours(), others, seed=1)
    print("| estimator | largest difference |\n|---|---|")
    for name, gap in gaps.items():
        print(f"| {name} | {gap:.1e} |")
    for what, logs in (("learned", thompson_logs), ("did not learn", fixed_logs)):
        print(f"\nLogs of policies that {what}, {RUNS} of each:")
        report(errors(others | ours(), logs(RUNS, World(), seed=2)))
    return int(max(gaps.values()) > TOLERANCE)


def _value(estimator: Any) -> Callable[[Log, Floats, Floats], float]:
    def value(log: Log, target: Floats, model: Floats) -> float:
        known = {
            "reward": log.reward,
            "action": log.chosen,
            "pscore": log.propensity,
            "action_dist": np.array(log.policy(target))[:, :, None],
            "estimated_rewards_by_reg_model": model[:, :, None],
        }
        return float(estimator.estimate_policy_value(**known))

    return value


if __name__ == "__main__":
    sys.exit(main())
