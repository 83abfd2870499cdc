"""Calls TOM by every real peer there is: `make test-doors`.

    python -m tests.doors [--peers .venv-doors] [--only sipp]

Each program says what it does as it does it; a table at the end has every part's verdict. A part
that could not be tried, because a tool is not there and cannot be installed, has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.doors.parts import RESULTS, ROOT, Result, missing, tell

PYTHON = sys.executable
TOM = str(Path(sys.executable).with_name("tom"))
RTVI = Path(__file__).parent / "rtvi"
LONGEST_S = 1200
CARRIERS = "tests/e2e/test_carrier_calls.py"
MIXED = "tests/e2e/test_every_door.py"


@dataclass(frozen=True)
class Program:
    """A program that tries something.

    Attributes:
        name: What the table calls it, unless it has parts.
        steps: Commands, one after another; each must end with 0.
        needs: Debian's programs that it needs.
        has_parts: Whether it tells its parts' verdicts itself.
    """

    name: str
    steps: Sequence[Sequence[str]]
    needs: Sequence[str] = ()
    has_parts: bool = False


def programs(peers: Path) -> list[Program]:
    """Return the programs; `peers` is the environment that has others' Python packages."""
    python, rtvi = str(peers / "bin" / "python"), peers / "rtvi"
    bundle = str(rtvi / "page.bundle.js")
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(rtvi)]
    esbuild = [str(rtvi / "node_modules" / ".bin" / "esbuild"), str(rtvi / "page.js")]
    call = [python, str(RTVI / "call.py"), "--tom", TOM, "--bundle", bundle]
    page = [python, "tests/e2e/page_in_browser.py", "--tom", TOM]
    pytest = [PYTHON, "-m", "pytest", "-q"]
    return [
        Program("Twilio's request validator", [[python, "-m", "tests.doors.carriers.validator"]]),
        Program("clients of the carriers and Asterisk", [[*pytest, CARRIERS]]),
        Program("the same call by every door; ten calls as it stops", [[*pytest, MIXED]]),
        Program("sipp", [[PYTHON, "-m", "tests.doors.sip.sipp_calls"]], ["sipp"], True),
        Program("baresip", [[PYTHON, "-m", "tests.doors.sip.baresip_calls"]], ["baresip"], True),
        Program("OpenAI SDK", [[PYTHON, "-m", "tests.doors.realtime.sdk"]], (), True),
        Program(
            "Pipecat's JavaScript client in Chromium",
            [npm, [*esbuild, "--bundle", "--log-level=error", f"--outfile={bundle}"], call],
            ["chromium", "npm"],
        ),
        Program("the call page in Chromium", [page], ["chromium"]),
    ]


def prepare(peers: Path) -> None:
    """Lay out the page that is bundled with Pipecat's client, where its packages are installed."""
    (peers / "rtvi").mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "page.js"):
        shutil.copy(RTVI / name, peers / "rtvi" / name)


def run(program: Program) -> list[Result]:
    """Run one program; returns its parts' verdicts, or its own."""
    tell(f"· {program.name}")
    began = time.monotonic()
    if why := missing(program.needs):
        return [Result(program.name, 0.0, why)]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        code = _all(program.steps, {**os.environ, RESULTS: str(results)})
        lines = results.read_text().splitlines() if results.exists() else []
    parts = [Result(**json.loads(line)) for line in lines]
    if program.has_parts and (code == 0 or any(part.why for part in parts)):
        return parts or [Result(program.name, 0.0, "it tried nothing")]
    why = f"ended with {code}" if code else ""
    return [*parts, Result(program.name, time.monotonic() - began, why)]


def _all(steps: Sequence[Sequence[str]], environment: dict[str, str]) -> int:
    """Run commands until one fails; returns its exit status."""
    for step in steps:
        try:
            done = subprocess.run(
                step, cwd=ROOT, env=environment, timeout=LONGEST_S, check=False
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            tell(f"  {error}")
            done = 1
        if done:
            return done
    return 0


def main() -> int:
    """Run everything; returns 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.doors")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-doors")
    parser.add_argument("--only", default="", help="part of a program's name")
    options = parser.parse_args()
    peers = options.peers.resolve()
    prepare(peers)
    wanted = [p for p in programs(peers) if options.only.lower() in p.name.lower()]
    results = [result for program in wanted for result in run(program)]
    width = max((len(result.name) for result in results), default=0)
    tell("")
    for result in results:
        verdict = f"FAILED  {result.why}" if result.why else "passed"
        tell(f"{result.name:{width}}  {result.seconds:4.0f} s  {verdict}")
    failed = sum(bool(result.why) for result in results)
    tell(
        f"\n{len(results)} parts, {failed} failed." if failed else f"\n{len(results)} parts passed."
    )
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
