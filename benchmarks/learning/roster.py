"""Who takes part in the comparison, and which code each run of theirs rests on.

Other libraries are loaded when their learner is asked for, so that the rest needs none of them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.learning.learners import Learner, Task

ROOT = Path(__file__).resolve().parents[2]
HERE = "benchmarks/learning"
PLAIN = (f"{HERE}/learners.py",)
OURS = (f"{HERE}/ours.py", "apps/rl/posterior.py", "apps/rl/policies")
GUARD = (
    f"{HERE}/guarded.py",
    "apps/rl/guard",
    "apps/rl/propensity.py",
    "apps/rl/variants.py",
    "apps/rl/policies",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One learner with its parameters.

    Attributes:
        where: Module and name of what makes it, with a colon between.
        sources: Files and folders that its choices depend on, from the project's root.
        options: Parameters of its own.
        note: Where the parameters are from.
    """

    where: str
    sources: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def make(self, task: Task) -> Learner:
        """Return it, new."""
        module, _, name = self.where.partition(":")
        learner: Learner = getattr(import_module(module), name)(task, **self.options)
        return learner

    def fingerprint(self) -> str:
        """Return what changes as soon as its choices might turn out otherwise."""
        told = (self.where, sorted(self.options.items()), code(self.sources))
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


@cache
def code(sources: Iterable[str]) -> str:
    """Return a digest of what Python files say, whatever their comments and layout."""
    digest = hashlib.sha256()
    for source in sources:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(ast.dump(ast.parse(file.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()


GRID = "the best of the grid"


def _peer(module: str, name: str, note: str, **options: Any) -> Entry:
    source = f"{HERE}/peers/{module}.py"
    return Entry(f"benchmarks.learning.peers.{module}:{name}", (source,), options, note)


def _plain(name: str, note: str) -> Entry:
    return Entry(f"benchmarks.learning.learners:{name}", PLAIN, {}, note)


def _ours(name: str, note: str = "", **options: Any) -> Entry:
    return Entry(f"benchmarks.learning.ours:{name}", OURS, options, note)


def _guarded(name: str, note: str = "", **options: Any) -> Entry:
    return Entry(f"benchmarks.learning.guarded:{name}", GUARD, options, note)


SIMULATED: Mapping[str, Entry] = {
    "tom-nig": _ours("nig", "the product's default"),
    "tom-linear": _ours("linear", "the product's"),
    "tom-linear-ucb": _ours("linear_ucb", "the product's"),
    "tom-beta": _ours("BetaThompson", "first version"),
    "mabwiser-ts": _peer("mabwiser", "thompson", GRID, threshold=0.4),
    "mabwiser-lints": _peer("mabwiser", "lin_ts", GRID, alpha=0.1),
    "mabwiser-linucb": _peer("mabwiser", "lin_ucb", GRID, alpha=0.1),
    "vw-squarecb": _peer("vw", "squarecb", GRID, gamma=1000.0),
    "vw-regcb": _peer("vw", "regcb", GRID, mellowness=0.01),
    "river-linucb": _peer("river", "LinUcb", f"{GRID}, and its default"),
    "river-bayesucb": _peer("river", "BayesUcb", GRID, threshold=0.4),
    "tensorzero": _peer("tensorzero", "TrackAndStop", GRID, epsilon=0.2),
    "ab-then-commit": _plain("TestThenCommit", f"{GRID}: the best after 20 % of the calls"),
    "epsilon-greedy": _plain("EpsilonGreedy", f"{GRID}: 10 %"),
    "uniform": _plain("Uniform", ""),
}

GUARDED: Mapping[str, Entry] = {
    "tom-guarded": _guarded("Guarded", "the product's default, behind the deploy guard"),
}
"""None of the others has a guard, so these are not compared with them."""

BUNDLED: Mapping[str, Entry] = {
    "tom-linear-ucb": _ours("Disjoint", "tuned, seeds 0 to 15", optimism=0.7, scale=2.5, sd=0.3),
    "tom-linear": _ours(
        "Disjoint", "tuned, seeds 0 to 15", optimism=None, width=0.2, scale=4.0, sd=0.3
    ),
    "mabwiser-lints": _peer("mabwiser", "lin_ts", GRID, alpha=0.1),
    "mabwiser-linucb": _peer("mabwiser", "lin_ucb", GRID, alpha=0.25),
    "vw-squarecb": _peer("vw", "squarecb", GRID, gamma=1000.0, rate=0.1),
    "vw-regcb": _peer("vw", "regcb", GRID, mellowness=0.0001, rate=0.1),
    "river-linucb": _peer("river", "LinUcb", GRID, beta=4.0),
    "epsilon-greedy": _plain("EpsilonGreedy", f"{GRID}: 10 %"),
    "uniform": _plain("Uniform", ""),
}

OURS_SIMULATED = tuple(name for name in SIMULATED if name.startswith("tom-"))
OURS_BUNDLED = tuple(name for name in BUNDLED if name.startswith("tom-"))
