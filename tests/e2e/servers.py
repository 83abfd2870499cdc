"""Real servers: `tom serve` as a process, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from apps.store.database import Database, open_database
from tests.metrics_text import values
from tests.processes import children, command

START_S = 90.0
STOP_S = 40.0


@dataclass
class Running:
    """A server that runs in a folder of its own."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    environment: dict[str, str]

    @property
    def calls(self) -> str:
        """Where calls are made."""
        return self.url.replace("http://", "ws://") + "/v1/call"

    def ready(self) -> dict[str, Any]:
        """What /readyz says, with the HTTP status as `code`."""
        answer = httpx.get(self.url + "/readyz", timeout=10)
        return {"code": answer.status_code, **answer.json()}

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series on /metrics; 0 when there is none."""
        text = httpx.get(self.url + "/metrics", timeout=10).text
        return next(values(text, name, **labels), 0.0)

    def children(self, program: str) -> list[int]:
        """The server's worker processes that run a program."""
        return [pid for pid in children().get(self.process.pid, []) if program in command(pid)]

    def log(self) -> list[dict[str, Any]]:
        """The log's lines; one that is no JSON would be somebody's stray output."""
        lines = (self.folder / "server.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def complaints(self) -> list[str]:
        """The log's events of the levels error and above, and tracebacks of any level."""
        bad = ("error", "critical")
        return [x["event"] for x in self.log() if x["level"] in bad or "exception" in x]

    def database(self) -> Database:
        """The server's database."""
        return open_database(self.folder / "feedback.db")

    def kill(self) -> None:
        """Kill it without any warning."""
        self.process.kill()
        self.process.wait(STOP_S)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(STOP_S)


def environment_of(folder: Path, **settings: str) -> dict[str, str]:
    """Settings that keep a server, or a command, within a folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TOM_", "RL_", "PROM"))}
    return {
        **inherited,
        "TOM_DATA_DIR": str(folder),
        "RL_FEEDBACK_DB_PATH": str(folder / "feedback.db"),
        "RL_CANDIDATES_PATH": str(folder / "candidates"),
        "RL_BANDIT_STATE_PATH": str(folder / "bandit_state.json"),
        "TOM_MODELS_DIR": str(folder / "models"),
        "TOM_LOG_FORMAT": "json",
        **settings,
    }


def start(folder: Path, model_cache: Path | None = None, **settings: str) -> Running:
    """Start a server; it may find what an earlier one left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if model_cache is not None and not (folder / "cache").exists():
        model_cache.mkdir(parents=True, exist_ok=True)
        (folder / "cache").symlink_to(model_cache)
    address, environment = folder / "address", environment_of(folder, **settings)
    address.unlink(missing_ok=True)
    command = [sys.executable, "-m", "apps.cli", "serve", "--port", "0"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--ready-file", str(address)], env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or _has(address), START_S)
        assert process.poll() is None, (folder / "server.log").read_text()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Running(process, address.read_text(), folder, environment)


def _has(address: Path) -> bool:
    return address.exists() and address.stat().st_size > 0


@contextmanager
def running(folder: Path, model_cache: Path | None = None, **settings: str) -> Iterator[Running]:
    """Run a server; afterwards it must stop by itself, with nothing to complain of in its log."""
    server = start(folder, model_cache, **settings)
    try:
        yield server
        server.terminate()
        assert server.exit_code() == 0
    finally:
        if server.process.poll() is None:
            server.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that comes from another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
