"""TOM and Pipecat 1.14 in turn, each on one core with the callers on another: see README.md.

python -m benchmarks.pipecat            about 40 minutes
python -m benchmarks.pipecat --quick    about 5 minutes, too short for figures to quote
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pipecat.lines import make_lines
from benchmarks.pipecat.recipe import save_lines
from benchmarks.pipecat.servers import CLIENT_CORE, KINDS, PEER_PYTHON, running
from benchmarks.pipecat.table import is_broken, table, together

STEPS = (1, 5, 10, 14, 20, 40, 60, 80, 100)
QUICK_STEPS = (1, 5)
RESULTS = Path(__file__).with_name("results.json")
PLOT = Path(__file__).with_name("results.svg")
ENOUGH_SCRIPTS = 3
"""A single call says the script again until it was said so often, for enough answers."""


def one_run(kind: str, calls: int, cycles: int, lines: Path, folder: Path) -> dict[str, Any]:
    """Hold calls with a fresh server, and return what both ends measured."""
    with running(kind, lines, folder) as server:
        _client(server.port, 1, 0, lines, folder)  # what is loaded at the first call
        began = time.monotonic()
        time.sleep(0.5)
        idle_mb = server.samples[-1].mb
        measured = _client(server.port, calls, cycles, lines, folder)
        cpu = server.cpu_share(measured["all_talk_from_s"], measured["all_talk_until_s"])
        return measured | {
            "kind": kind,
            "cpu_per_call": cpu / calls if cpu is not None else None,
            "idle_mb": round(idle_mb, 1),
            "mb_per_call": round((server.peak_mb(began) - idle_mb) / calls, 2),
        }


def _client(port: int, calls: int, cycles: int, lines: Path, folder: Path) -> dict[str, Any]:
    out = folder / "client.json"
    asked = {"port": port, "calls": calls, "cycles": cycles, "lines": lines, "out": out}
    options = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    command = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-m", "benchmarks.pipecat.client"]
    subprocess.run([*command, *options], check=True)
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def compare(
    kinds: Sequence[str], steps: Sequence[int], rounds: int, scripts: int, folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """Go through the steps, the kinds in turn, until each has broken; print as it goes."""
    lines = folder / "lines.json"
    save_lines(asyncio.run(make_lines()), lines)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    alive = list(kinds)
    for calls in steps:
        cycles = max(1, scripts // calls)
        runs = []
        for number in range(rounds):
            for kind in alive:
                print(f"{calls} at once, round {number + 1}: {kind}", flush=True)
                runs.append(one_run(kind, calls, cycles, lines, folder))
        for kind in tuple(alive):
            step = together([run for run in runs if run["kind"] == kind])
            found[kind].append(step)
            if is_broken(step, found[kind][0]):
                step["broken"] = True
                alive.remove(kind)
        print("\n" + table(found), flush=True)
        if not alive:
            break
    return found


def machine() -> Mapping[str, Any]:
    """Return what the figures were measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
        "on": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few calls, one round")
    parser.add_argument("--rounds", type=int, default=2, help="how often each kind at each step")
    parser.add_argument("--steps", type=int, nargs="*", help="calls at once")
    parser.add_argument("--kinds", nargs="*", choices=sorted(KINDS), help="only these")
    parser.add_argument("--out", type=Path, help=f"{RESULTS.name}, but for --quick")
    asked = parser.parse_args()
    steps = asked.steps or (QUICK_STEPS if asked.quick else STEPS)
    out = asked.out or (None if asked.quick else RESULTS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rounds, scripts = (1, 1) if asked.quick else (asked.rounds, ENOUGH_SCRIPTS)
        found = compare(asked.kinds or list(KINDS), steps, rounds, scripts, Path(folder))
    print(f"\n{time.monotonic() - began:.0f} s")
    if out is not None:
        result = {"machine": machine(), "kinds": found}
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        plot = [str(PEER_PYTHON), "-m", "benchmarks.pipecat.plot", str(out), str(PLOT)]
        subprocess.run(plot, check=True)


if __name__ == "__main__":
    main()
