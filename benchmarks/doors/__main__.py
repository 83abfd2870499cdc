"""The doors: calls at once on one core, and how late audio is by going through each.

python -m benchmarks.doors            about 9 minutes; writes results.json
python -m benchmarks.doors --quick    about 85 seconds, too short for figures to quote
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.doors.ends import DOORS
from benchmarks.doors.table import added_table, load_table, verdicts
from benchmarks.doors.wires import Ports
from benchmarks.pipecat.__main__ import machine
from benchmarks.pipecat.lines import make_lines
from benchmarks.pipecat.recipe import save_lines
from benchmarks.pipecat.servers import CLIENT_CORE, Watched, environment_of, watched
from benchmarks.pipecat.table import is_broken, together
from benchmarks.ports import free_port

STEPS: Mapping[str, Sequence[int]] = {
    "websocket": (20, 60, 100),
    "twilio": (20, 60, 80),
    "sip": (20, 60, 80),
    "webrtc": (5, 10, 20, 25),
}
QUICK_CALLS = 3
QUICK = ("--calls", "3", "--good-s", "2", "--bad-s", "3", "--after-s", "1", "--at-once")
RESULTS = Path(__file__).with_name("results.json")
SCRIPT = ("question", "barge-in", "follow-up")
POLICY = """
variants:
  v1a:
    name: Brief
    description: Every call has the same policy, so that steps can be compared.
    parameters:
      greeting: brief
      tone: factual
      length: medium
      inquiry_mode: direct
      barge_in_sensitivity: medium
deployment:
  traffic_split: {new_variants: 0.1, uncertain_variants: 0.05, base_variant: v1a}
  blacklist_threshold: {reward_mean: -0.2, min_pulls: 20}
"""


class Bench:
    """Runs servers and callers, each side on its core, and says what it does.

    Args:
        folder: Where their files go.
        quick: Short calls.
    """

    def __init__(self, folder: Path, quick: bool) -> None:
        self._folder, self._quick = folder, quick
        self._lines = folder / "lines.json"
        self._began = time.monotonic()
        said = SCRIPT[:1] if quick else SCRIPT
        save_lines([x for x in asyncio.run(make_lines()) if x.name in said], self._lines)
        self._policies = folder / "policies.yaml"
        self._policies.write_text(POLICY, encoding="utf-8")

    def load(self, doors: Sequence[str], steps: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """Hold calls by each door in turn, with a server each; when quick, with one for all."""
        found: dict[str, Any] = {}
        for group in (doors,) if self._quick else [(door,) for door in doors]:
            with self._server(f"load-{group[0]}") as (server, ports):
                for door in group:
                    found[door] = self._load(door, steps[door], server, ports)
        return found

    def _load(
        self, door: str, steps: Sequence[int], server: Watched, ports: Ports
    ) -> list[dict[str, Any]]:
        """Hold calls by a door, more at each step."""
        self._client("load", ports, "--door", door, "--calls", "0")
        time.sleep(0.5)
        idle_mb, began = server.samples[-1].mb, time.monotonic()
        found: list[dict[str, Any]] = []
        for calls in steps:
            self.say(f"{door}: {calls} calls at once")
            told = self._client("load", ports, "--door", door, "--calls", str(calls))
            cpu = server.cpu_share(told["all_talk_from_s"], told["all_talk_until_s"])
            told |= {
                "cpu_per_call": None if cpu is None else cpu / calls,
                "idle_mb": round(idle_mb, 1),
                "mb_per_call": round((server.peak_mb(began) - idle_mb) / calls, 2),
            }
            step = together([told])
            step["broken"] = is_broken(step, found[0] if found else step)
            found.append(step)
        return found

    def added(self, doors: Sequence[str]) -> dict[str, Any]:
        """Return what each door adds to the way of a caller's voice and back."""
        with self._server("echo", "--echo") as (_, ports):
            self.say(f"there and back: {', '.join(doors)}")
            shorter = QUICK if self._quick else ()
            return self._client("added", ports, "--doors", *doors, *shorter)

    def say(self, text: str) -> None:
        """Print where the run is."""
        print(f"{time.monotonic() - self._began:4.0f} s  {text}", flush=True)

    @contextmanager
    def _server(self, name: str, *options: str) -> Iterator[tuple[Watched, Ports]]:
        ports = Ports(free_port(), free_port(socket.SOCK_DGRAM))
        command = [sys.executable, "-m", "benchmarks.doors.server", str(ports.http), *options]
        environment = environment_of(self._folder, self._lines) | {
            "RL_POLICIES_PATH": str(self._policies),
            "TOM_SIP": "true",
            "TOM_SIP_HOST": "127.0.0.1",
            "TOM_SIP_PORT": str(ports.sip),
            "TOM_SIP_TRANSPORTS": "udp",
            "TOM_SIP_RTP_PORTS": "30000-30999",
            "TOM_SIP_CALLS_PER_MINUTE": "100000",
        }
        with watched(command, ports.http, environment, self._folder / f"{name}.log") as server:
            yield server, ports

    def _client(self, module: str, ports: Ports, *options: str) -> dict[str, Any]:
        out = self._folder / "client.json"
        out.write_text("{}", encoding="utf-8")
        command = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-m"]
        places = ["--http", str(ports.http), "--sip", str(ports.sip), "--out", str(out)]
        lines = ["--lines", str(self._lines)] if module == "load" else []
        subprocess.run(
            [*command, f"benchmarks.doors.{module}", *options, *places, *lines], check=True
        )
        told: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return told


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few and short calls")
    parser.add_argument("--doors", nargs="+", choices=list(DOORS), default=list(DOORS))
    parser.add_argument("--steps", type=int, nargs="+", help="calls at once, for all doors")
    parser.add_argument("--only", choices=("load", "added"), help="one half of it")
    parser.add_argument("--logs", type=Path, help="a folder that keeps the servers' logs")
    parser.add_argument("--out", type=Path, help=f"{RESULTS.name}, but for --quick")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    asked = read_arguments()
    steps = {
        door: asked.steps or ((QUICK_CALLS,) if asked.quick else STEPS[door]) for door in DOORS
    }
    out = asked.out or (None if asked.quick else RESULTS)
    load: dict[str, Any] = {}
    added: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if asked.logs is not None:
            asked.logs.mkdir(parents=True, exist_ok=True)
        bench = Bench(asked.logs or Path(folder), asked.quick)
        if asked.only != "added":
            load = bench.load(asked.doors, steps)
        if asked.only != "load":
            added = bench.added(asked.doors)
        bench.say("done\n")
    tables = [load_table(load)] * bool(load) + [added_table(added)] * bool(added)
    print("\n\n".join([*tables, "\n".join(verdicts(load, added))]))
    if out is not None:
        result = {"machine": machine(), "load": load, "added": added}
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
