"""Runs that are kept in a folder, so that a long comparison can be broken off and taken up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.learning import bundled
from benchmarks.learning.learners import Maker
from benchmarks.learning.roster import ROOT, Entry
from benchmarks.learning.run import Course, Run, course, run
from benchmarks.learning.scenarios import SCENARIOS

FOLDER = ROOT / "benchmarks/learning/.kept"


def runs(
    world: str,
    entries: Mapping[str, Entry],
    seeds: Sequence[int],
    *,
    folder: Path = FOLDER,
    tell: Callable[[str], None] = print,
) -> dict[str, list[Run]]:
    """Return everybody's runs in a scenario or a bundled set, and make those that are missing.

    Args:
        world: The scenario's or the set's name.
        entries: Who takes part.
        seeds: One run a seed.
        folder: Where runs are kept.
        tell: Is told of each run that was made.
    """
    found: dict[str, list[Run]] = {name: [] for name in entries}
    for seed in seeds:
        hold = _Hold(world, seed)
        for name, entry in entries.items():
            file = folder / world / f"{name}-{seed}-{entry.fingerprint()}.json"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                made = hold(entry.make)
                text = json.dumps(asdict(made) | {"regret": made.regret.tolist()})
                fresh = file.with_suffix(".new")
                fresh.write_text(text, encoding="utf-8")
                fresh.replace(file)
                tell(f"{world} {seed} {name}: {made.regret[-1]:.1f}")
            found[name].append(_read(file))
    return found


def singles(scenario: str, seeds: Sequence[int], *, folder: Path = FOLDER) -> list[float]:
    """Return for each seed the regret of the one variant that is best for the whole run."""
    from benchmarks.learning.roster import WORLDS, code

    folder = folder / scenario
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"single-{code(WORLDS)[:12]}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for seed in seeds:
        if str(seed) not in known:
            known[str(seed)] = course(SCENARIOS[scenario], seed).single
            file.write_text(json.dumps(known), encoding="utf-8")
    return [known[str(seed)] for seed in seeds]


class _Hold:
    """A world that is only made when somebody is to run in it."""

    def __init__(self, world: str, seed: int) -> None:
        self._world, self._seed = world, seed
        self._course: Course | None = None

    def __call__(self, make: Maker) -> Run:
        if self._world in bundled.COPIES:
            return bundled.run_rows(bundled.rows(self._world, self._seed), make, self._seed)
        if self._course is None:
            self._course = course(SCENARIOS[self._world], self._seed)
        return run(self._course, make, self._seed)


def _read(file: Path) -> Run:
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Run(**kept | {"regret": np.array(kept["regret"])})


def curve(some: Sequence[Run], points: int = 20) -> Iterator[float]:
    """Yield the mean regret at ``points`` even moments."""
    mean = np.mean([r.regret for r in some], axis=0)
    step = len(mean) // points
    yield from (round(float(value), 2) for value in mean[step - 1 :: step])
