"""Starts a server on a core of its own, and watches its processor time and memory in /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ports import free_port

SERVER_CORE, CLIENT_CORE = 0, 1
PEER_PYTHON = Path(".venv-pipecat/bin/python")
START_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_S = 0.2

KINDS: Mapping[str, tuple[str, Path, Mapping[str, str]]] = {
    "tom": ("benchmarks.pipecat.tom_server", Path(sys.executable), {}),
    "pipecat-silence": (
        "benchmarks.pipecat.pipecat_server",
        PEER_PYTHON,
        {"BENCH_TURNS": "silence"},
    ),
    "pipecat-smart": ("benchmarks.pipecat.pipecat_server", PEER_PYTHON, {"BENCH_TURNS": "smart"}),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment: monotonic seconds, processor seconds so far, resident MB."""

    at_s: float
    cpu_s: float
    mb: float


@dataclass(slots=True)
class Watched:
    """A running server and what was seen of it."""

    process: subprocess.Popen[bytes]
    port: int
    samples: list[Sample] = field(default_factory=list)

    def cpu_share(self, from_s: float, until_s: float) -> float | None:
        """Return how much of a core it took between two moments; None of less than a second."""
        inside = [s for s in self.samples if from_s <= s.at_s <= until_s]
        if len(inside) < 2 or inside[-1].at_s - inside[0].at_s < 1.0:
            return None
        return (inside[-1].cpu_s - inside[0].cpu_s) / (inside[-1].at_s - inside[0].at_s)

    def peak_mb(self, from_s: float) -> float:
        """Return the most memory since a moment."""
        return max((s.mb for s in self.samples if s.at_s >= from_s), default=0.0)


@contextmanager
def running(kind: str, lines: Path, folder: Path) -> Iterator[Watched]:
    """Run a server of one kind, pinned to its core, until the end."""
    module, python, extra = KINDS[kind]
    port = free_port()
    environment = environment_of(folder, lines) | dict(extra)
    command = [str(python), "-m", module, str(port)]
    with watched(command, port, environment, folder / f"{kind}.log") as server:
        yield server


@contextmanager
def watched(
    command: Sequence[str], port: int, environment: Mapping[str, str], log_path: Path
) -> Iterator[Watched]:
    """Run any server that takes connections at a port, pinned to its core, until the end."""
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command],
            env=dict(environment),
            stdout=log,
            stderr=log,
        )
    server, stop = Watched(process, port), threading.Event()
    watching = threading.Thread(target=_watch, args=(server, stop), daemon=True)
    try:
        _await_port(process, port)
        watching.start()
        yield server
    finally:
        stop.set()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def environment_of(folder: Path, lines: Path) -> dict[str, str]:
    """Return the environment of a server that keeps its files in a folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TOM_", "RL_", "PROM"))}
    return inherited | {
        "BENCH_LINES": str(lines),
        "OMP_NUM_THREADS": "1",
        "TOM_DATA_DIR": str(folder / "tom"),
        "RL_FEEDBACK_DB_PATH": str(folder / "feedback.db"),
        "RL_BANDIT_STATE_PATH": str(folder / "bandit_state.json"),
        "RL_CANDIDATES_PATH": str(folder / "candidates"),
        "RL_SEED": "1",
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_LLM_ENGINE": "embedded",
        "TOM_ORIGIN": "test",
        "TOM_MAX_CALLS": "1000",
    }


def _watch(server: Watched, stop: threading.Event) -> None:
    while not stop.wait(_SAMPLE_S):
        with suppress(OSError, IndexError, ValueError):
            server.samples.append(_sample(server.process.pid))


def _sample(pid: int) -> Sample:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    cpu_s = (int(stat[11]) + int(stat[12])) / _TICKS
    return Sample(time.monotonic(), cpu_s, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"The server ended at once with {process.returncode}; see its log.")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    raise SystemExit("The server does not take calls.")
