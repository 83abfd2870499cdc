"""A real vLLM server, started as in production but on the processor, and watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.ports import free_port
from tests.metrics_text import values
from tests.processes import command, descendants

START_S = 400.0
STOP_S = 20.0
MODEL = "tiny"
START = Path(__file__).parents[2] / "deploy" / "vllm" / "start.sh"
ENVIRONMENT = {
    "SERVE_NAME": MODEL,
    # More than the tests ever load: see "On the processor" in docs/vllm.md.
    "SERVE_MAX_LORAS": "16",
    "SERVE_MAX_CPU_LORAS": "16",
    "SERVE_MAX_LORA_RANK": "16",
    "SERVE_MAX_MODEL_LEN": "2048",
    "SERVE_MAX_NUM_SEQS": "8",
    "SERVE_MAX_QUEUED": "12",
    "SERVE_EXTRA": "--dtype float32 --enforce-eager",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # One thread computes, on whichever core is free: two would spin for each other where others
    # compute, too.
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""What differs from production: a processor instead of a GPU, and less of everything."""


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
        return sum(values(httpx.get(self.url + "/metrics", timeout=10).text, name, **labels))

    @property
    def busy(self) -> float:
        """Answers under way or waiting."""
        return self.metric("vllm:num_requests_running") + self.metric("vllm:num_requests_waiting")

    def engine(self) -> list[int]:
        """The processes that compute, below the API server."""
        return [pid for pid in descendants(self.process.pid) if command(pid).startswith("VLLM")]

    def _signal(self, which: signal.Signals) -> None:
        for pid in self.engine():
            with suppress(ProcessLookupError):
                os.kill(pid, which)

    def pause(self) -> None:
        """Stop the engine where it stands: requests are taken, and no token comes."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def slowed(self, share: float = 0.2) -> Iterator[None]:
        """Let the engine compute for a share of the time, as on a machine that is too small."""
        over = threading.Event()

        def throttle() -> None:
            while not over.is_set() and self.alive:
                self.pause()
                over.wait(0.05 * (1 - share))
                self.go_on()
                over.wait(0.05 * share)

        thread = threading.Thread(target=throttle)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def kill(self) -> None:
        """Kill every process of it without any warning."""
        below = descendants(self.process.pid)
        self.process.kill()
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def stop(self) -> None:
        """Ask it to stop, and make sure that it has."""
        if self.alive:
            self.go_on()
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        self.kill()


def start(python: Path, model: Path, log: Path) -> Vllm:
    """Start a server and wait until it answers."""
    port = free_port()
    began = time.monotonic()
    asked = {"SERVE_PYTHON": str(python), "SERVE_MODEL": str(model), "SERVE_PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [START],
            env={**os.environ, **ENVIRONMENT, **asked},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
        )
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
