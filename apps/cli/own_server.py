"""A server of one's own for one command: started on a free loopback port, stopped afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from apps.core.errors import EngineUnavailable

START_S = 120.0
STOP_S = 45.0
# Nobody scrapes it, and a metrics port that is set belongs to the server that runs all the time.
_QUIET = {"PROMETHEUS_ENABLED": "false", "TOM_SIP": "false", "TOM_DRAIN_S": "15"}


@asynccontextmanager
async def own_server(environment: Mapping[str, str], log_file: Path) -> AsyncGenerator[str, None]:
    """Run `tom serve` as a process and yield its address, ``http://127.0.0.1:PORT``.

    Args:
        environment: Settings that differ from this process's.
        log_file: Where its log goes.

    Raises:
        EngineUnavailable: It did not start; the end of its log is in the error.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tom-") as folder, log_file.open("wb") as log:
        ready = Path(folder) / "address"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "apps.cli", "serve", "--host", "127.0.0.1", "--port", "0"),
            "--no-tls",
            *("--ready-file", str(ready)),
            env={**os.environ, **_QUIET, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield await _address(process, ready, log_file)
        finally:
            await _stop(process)


async def _address(process: asyncio.subprocess.Process, ready: Path, log_file: Path) -> str:
    try:
        async with asyncio.timeout(START_S):
            while not (ready.exists() and ready.stat().st_size):
                if process.returncode is not None:
                    raise EngineUnavailable(
                        "The server did not start.", hint=_tail(log_file) or f"See {log_file}."
                    )
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise EngineUnavailable(
            f"The server did not start within {START_S:.0f} s.", hint=_tail(log_file)
        ) from None
    return ready.read_text(encoding="utf-8")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log_file: Path, lines: int = 5) -> str:
    text = log_file.read_text(encoding="utf-8", errors="replace") if log_file.exists() else ""
    return "\n".join(text.strip().splitlines()[-lines:])
