"""`tom serve` in a process of its own, which is started, and killed.

Processes are forked from one that has imported everything, so that a start takes what a start
does, and not the seconds that Python's imports take.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from apps.cli import app
from benchmarks.kills.home import Home, clean_environment

START_S = 120.0


class Server:
    """One life of a server.

    Args:
        home: Its installation.
    """

    def __init__(self, home: Home) -> None:
        self._address = home.folder / "address"
        self._address.unlink(missing_ok=True)
        self.log = home.folder / "server.log"
        self.admin = f"http://127.0.0.1:{home.settings.adapter_admin_port}"
        self.token = home.token
        self._process: ForkServerProcess = _context().Process(
            target=_serve, args=(home.environment, str(self._address), str(self.log))
        )
        self._process.start()

    @property
    def url(self) -> str:
        """Where it takes calls; empty before it does."""
        try:
            return self._address.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    async def ready(self) -> bool:
        """Wait until it takes calls; False when it has ended before.

        Raises:
            TimeoutError: It does neither.
        """
        async with asyncio.timeout(START_S):
            while not self.url:
                if not self._process.is_alive():
                    return False
                await asyncio.sleep(0.01)
        return True

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    async def kill(self) -> bool:
        """Kill it; returns whether it was alive until then."""
        was_alive = self._process.is_alive()
        self._signal(signal.SIGKILL)
        await self.ended()
        return was_alive and self._process.exitcode == -signal.SIGKILL

    async def ended(self) -> int | None:
        """Wait for its end; returns its exit status."""
        await asyncio.to_thread(self._process.join, START_S)
        return self._process.exitcode

    def _signal(self, number: signal.Signals) -> None:
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.kills.server"])
    return context


def said_by(home: Home, *words: str) -> str:
    """Run a `tom` command; returns what it prints."""
    file = home.folder / "said"
    file.unlink(missing_ok=True)
    process = _context().Process(target=_run, args=(home.environment, words, str(file)))
    process.start()
    process.join(START_S)
    return file.read_text(encoding="utf-8")


def _serve(environment: Mapping[str, str], address: str, log: str) -> None:
    """Be the server."""
    _run(environment, ("serve", "--port", "0", "--ready-file", address), log)


def _run(environment: Mapping[str, str], words: Sequence[str], output: str) -> None:
    """Be `tom`."""
    clean_environment()
    os.environ.update(environment, COLUMNS="200")
    os.chdir(Path(output).parent)
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    app(list(words))


def warm_up() -> float:
    """Let the process that others are forked from import everything; returns the seconds."""
    began = time.monotonic()
    process = _context().Process(target=_nothing)
    process.start()
    process.join()
    return time.monotonic() - began


def _nothing() -> None:
    """Do nothing."""
