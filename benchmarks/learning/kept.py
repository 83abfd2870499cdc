"""Runs that are kept in a folder, so that a long comparison can be broken off and taken up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning import bundled
from benchmarks.learning.learners import Maker
from benchmarks.learning.roster import ROOT, Entry
from benchmarks.learning.run import Run, course, run
from benchmarks.learning.scenarios import SCENARIOS


def _said(line: str) -> None:
    print(line, flush=True)


FOLDER = ROOT / "benchmarks/learning/.kept"
LEAST = 3


def runs(
    world: str,
    entries: Mapping[str, Entry],
    seeds: Sequence[int],
    *,
    folder: Path = FOLDER,
    tell: Callable[[str], None] = _said,
    make: bool = True,
) -> dict[str, list[Run]]:
    """Return everybody's runs in a scenario or a bundled set, and make those that are missing.

    Args:
        world: The scenario's or the set's name.
        entries: Who takes part.
        seeds: One run a seed.
        folder: Where runs are kept.
        tell: Is told of each run that was made.
        make: False makes none: everybody's runs go up to the first seed that is missing, and
            who has fewer than ``LEAST`` is left out.
    """
    found: dict[str, list[Run]] = {name: [] for name in entries}
    missing: set[str] = set()
    for seed in seeds:
        hold = _Rows(world, seed) if world in bundled.COPIES else _Calls(world, seed)
        for name, entry in entries.items():
            file = folder / world / f"{name}-{seed}-{hold.digest}-{entry.fingerprint()}.json"
            if not file.exists() and not make:
                missing.add(name)
            if name in missing:
                continue
            if not file.exists():
                made = hold(entry.make)
                _write(file, made)
                tell(f"{world} {seed} {name}: {made.regret[-1]:.1f}")
            found[name].append(_read(file))
    return {name: some for name, some in found.items() if len(some) >= min(len(seeds), LEAST)}


class _Calls:
    """A simulated world; its digest is that of the numbers themselves."""

    def __init__(self, scenario: str, seed: int) -> None:
        self._seed, self.course = seed, course(SCENARIOS[scenario], seed)
        on = self.course
        self.digest = _digest(on.features, on.outcomes.reward, on.outcomes.reward_at_end, on.costs)

    def __call__(self, make: Maker) -> Run:
        return run(self.course, make, self._seed)


class _Rows:
    """A bundled set in a seed's order."""

    def __init__(self, name: str, seed: int) -> None:
        self._seed, self._rows = seed, bundled.rows(name, seed)
        self.digest = _digest(self._rows.features, self._rows.label)

    def __call__(self, make: Maker) -> Run:
        return bundled.run_rows(self._rows, make, self._seed)


def _digest(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:8]


def _write(file: Path, made: Run) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(made) | {"regret": made.regret.tolist()}), encoding="utf-8")
    fresh.replace(file)


def _read(file: Path) -> Run:
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Run(**kept | {"regret": np.array(kept["regret"])})


def curve(some: Sequence[Run], points: int = 20) -> Iterator[float]:
    """Yield the mean regret at ``points`` even moments."""
    mean = np.mean([r.regret for r in some], axis=0)
    step = len(mean) // points
    yield from (round(float(value), 2) for value in mean[step - 1 :: step])
