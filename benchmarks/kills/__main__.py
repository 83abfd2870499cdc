"""``kill -9`` of a serving TOM at random moments: ``python -m benchmarks.kills --runs 200``.

One installation lives through all of them. Each server takes typed calls that are rated, routes
prompts, drives adapters' roll-outs and learns, while documents are written beside it, until it is
killed: in its work, while it starts, or while it stops. After each kill everything that was
acknowledged must be there, once; and store, index, registry and snapshots must be sound.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from apps.monitor.logs import configure_logging
from benchmarks.kills.home import clean_environment
from benchmarks.kills.series import Toll, kill_often


def main() -> int:
    """Print what was found; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start none after")
    parser.add_argument("--folder", type=Path, help="an empty folder, which is kept")
    args = parser.parse_args()
    clean_environment()
    configure_logging("error")
    folder = args.folder or Path(tempfile.mkdtemp(prefix="tom-kills-"))
    progress = Console(stderr=True)
    with progress.status("Starting") as status:
        toll = asyncio.run(
            kill_often(
                folder,
                runs=args.runs,
                seed=args.seed,
                until_s=60 * args.minutes,
                say=lambda said: (
                    status.update(said) if progress.is_terminal else print(said, flush=True)
                ),
            )
        )
    show(toll)
    print(f"What it left is in {folder}.")
    return int(bool(toll.wrong))


def show(toll: Toll) -> None:
    """Print a table of what came of a series."""
    table = Table("", "", box=None, show_header=False)
    moments = ", ".join(f"{n} in {moment}" for moment, n in sorted(toll.moments.items()))
    table.add_row("servers killed", f"{toll.kills} ({moments}) in {toll.seconds:.0f} s")
    for what, number in toll.told.counts().items():
        table.add_row(f"{what}, acknowledged", f"{number}")
    for kind in ("lost", "doubled", "changed"):
        table.add_row(kind, str(sum(f": {kind}: " in sentence for sentence in toll.wrong)))
    told = ("lost: ", "doubled: ", "changed: ")
    table.add_row("inconsistent", str(sum(not any(t in s for t in told) for s in toll.wrong)))
    counted = {
        "adapters": toll.states,
        "batches": toll.batches,
        "left on the disk": toll.litter,
    }
    for what, found in counted.items():
        table.add_row(what, ", ".join(f"{n} {name}" for name, n in found.items()))
    console = Console()
    console.print(table)
    for sentence in toll.wrong[:20]:
        console.print(f"  {sentence}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
