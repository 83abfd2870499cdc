"""What the real peers' programs share: parts with a verdict each, and tools that must be there."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e.servers import Running, running

ROOT = Path(__file__).parents[2]
RESULTS = "DOORS_RESULTS"
"""Environment variable: the file to which results are added, for whoever runs several programs."""
DEBIAN = {"baresip": "baresip-core", "sipp": "sip-tester", "chromium": "chromium", "npm": "npm"}
"""Program to package."""

Part = Callable[[Running, Path], Awaitable[None]]


class Failed(Exception):
    """Something is not as it must be."""


def check(holds: bool, otherwise: str) -> None:
    """Raise `Failed` with a sentence unless something holds."""
    if not holds:
        raise Failed(otherwise)


def tell(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Result:
    """A part's verdict; `why` is empty when it passed."""

    name: str
    seconds: float
    why: str = ""

    def keep(self) -> None:
        """Say it, and add it to the file of results where there is one."""
        verdict = f"FAILED: {self.why}" if self.why else "passed"
        tell(f"  {self.name}: {verdict} ({self.seconds:.0f} s)")
        if path := os.environ.get(RESULTS):
            with Path(path).open("a") as results:
                results.write(json.dumps(asdict(self)) + "\n")


@dataclass(frozen=True)
class Fuzzed:
    """How a protocol stood damaged messages; `wrong` is empty when it did."""

    protocol: str
    messages: int
    seconds: float
    grown_mb: float
    beside: str
    wrong: str = ""

    def tell(self) -> None:
        """Say it in a line of the table."""
        verdict = f"FAILED: {self.wrong}" if self.wrong else "passed"
        tell(
            f"{self.protocol:18}{self.messages:8} in {self.seconds:4.0f} s "
            f"{self.grown_mb:+6.1f} MB  {verdict:8} call beside: {self.beside}"
        )


def missing(tools: Iterable[str]) -> str:
    """Install what is not there; returns a sentence when that cannot be done."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    packages = [DEBIAN[tool] for tool in lacking]
    if not lacking:
        return ""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"{', '.join(lacking)} not installed; as root: apt-get install {' '.join(packages)}"
    tell(f"  installing {' '.join(packages)}")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"{' '.join(packages)} could not be installed: {last}"
    return ""


def run_parts(parts: Mapping[str, Part], *, needs: Iterable[str] = (), **settings: str) -> int:
    """Run parts at a server of their own, one after another; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="part of a name")
    only = parser.parse_args().only.lower()
    wanted = {name: part for name, part in parts.items() if only in name.lower()}
    if why := missing(needs):
        for name in wanted:
            Result(name, 0.0, why).keep()
        return 1
    settings = {"TOM_SIP_HOST": "127.0.0.1", "TOM_SIP_PORT": "0", **settings}
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder / "server", ROOT / "data" / "cache", **settings) as server:
            for number, (title, part) in enumerate(wanted.items()):
                failed += bool(_run(title, part, server, folder / str(number)))
            for complaint in sorted(set(server.complaints())):
                failed += 1
                Result("the server's log", 0.0, complaint).keep()
    return 1 if failed else 0


def _run(title: str, part: Part, server: Running, folder: Path) -> str:
    began, why = time.monotonic(), ""
    try:
        asyncio.run(_of(part, server, folder))
    except Failed as failure:
        why = str(failure)
    except Exception as error:
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"[:200]
    Result(title, time.monotonic() - began, why).keep()
    return why


async def _of(part: Part, server: Running, folder: Path) -> None:
    async with asyncio.timeout(180):
        await part(server, folder)
