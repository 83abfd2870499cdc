"""A real vLLM server on this machine's processor, watched from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 400.0
STOP_S = 20.0
MODEL = "tiny"
FLAGS = (
    "--served-model-name", MODEL,
    "--host", "127.0.0.1",
    "--dtype", "float32",
    "--enforce-eager",
    "--max-model-len", "2048",
    "--max-num-seqs", "8",
    "--enable-prefix-caching",
    "--enable-lora", "--max-lora-rank", "16", "--max-loras", "2", "--max-cpu-loras", "4",
)  # fmt: skip
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    # One thread computes: two would spin for each other on a machine that does something else too.
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Vllm:
    """A vLLM server that runs.

    Attributes:
        process: The API server; the engine is its child.
        url: Where it listens.
        log: What it and its engine print.
        start_s: How long it took from the start to the first answer of /health.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    start_s: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels."""
        total = 0.0
        for line in httpx.get(self.url + "/metrics", timeout=10).text.splitlines():
            series, _, value = line.rpartition(" ")
            found = dict(re.findall(r'(\w+)="([^"]*)"', series))
            if series.partition("{")[0] == name and labels.items() <= found.items():
                total += float(value)
        return total

    @property
    def busy(self) -> float:
        """Answers under way or waiting."""
        return self.metric("vllm:num_requests_running") + self.metric("vllm:num_requests_waiting")

    def engine(self) -> list[int]:
        """The processes that compute, below the API server."""
        return [pid for pid in descendants(self.process.pid) if _name(pid).startswith("VLLM")]

    def pause(self) -> None:
        """Stop the engine where it stands: requests are taken, and no token comes."""
        for pid in self.engine():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        for pid in self.engine():
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill every process of it without any warning."""
        for pid in (self.process.pid, *descendants(self.process.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(STOP_S)

    def stop(self) -> None:
        """Ask it to stop, and make sure that it has."""
        if self.alive:
            self.go_on()
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        self.kill()


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
            except OSError:  # it ended meanwhile
                continue
            if found := re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE):
                parents.setdefault(int(found[1]), []).append(int(entry.name))
    found_below, to_visit = [], [pid]
    while to_visit:
        children = parents.get(to_visit.pop(), [])
        found_below += children
        to_visit += children
    return found_below


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def start(python: Path, model: Path, log: Path) -> Vllm:
    """Start a server and wait until it answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *FLAGS],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=log.parent,
        )  # fmt: skip
    server = Vllm(process, f"http://127.0.0.1:{port}", log)
    try:
        while not _healthy(server.url):
            assert server.alive, f"vLLM ended:\n{log.read_text(errors='replace')[-4000:]}"
            assert time.monotonic() - began < START_S, "vLLM does not start"
            time.sleep(0.25)
    except BaseException:
        server.kill()
        raise
    server.start_s = time.monotonic() - began
    return server


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url + "/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def serving(python: Path, model: Path, log: Path) -> Iterator[Vllm]:
    """Serve a model; nothing of the server is left afterwards."""
    server = start(python, model, log)
    try:
        yield server
    finally:
        server.stop()
