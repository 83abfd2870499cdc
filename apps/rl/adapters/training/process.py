"""A training as its own process, followed from here: no torch is imported on this side."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import ValidationError

from apps.core.errors import EngineUnavailable, TrainingFailed
from apps.rl.adapters.training.events import Failed, TrainingEvent, read_event

_LOG = logging.getLogger(__name__)
_NEEDED = ("torch", "transformers", "peft", "trl", "datasets")
_LINE_BYTES = 16 * 2**20
"""The last line holds the record, with a hash of every call behind it."""
_GRACE_S = 120.0
"""A checkpoint of a large adapter takes a while to write."""

STOPPED = 3
"""Exit status of a training that was asked to stop and can go on later."""


def require_train_extra() -> None:
    """Refuse where nothing can be trained, without importing anything.

    Raises:
        EngineUnavailable: torch, transformers, PEFT, TRL or datasets is not installed.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineUnavailable(
            f"Training needs packages that are not installed: {', '.join(missing)}.",
            hint="pip install 'tom-voice[train]' (on a CPU, PyTorch's CPU build first).",
        )


def train_command(
    config: str, out: Path, overrides: Sequence[str] = (), *, fresh: bool = False
) -> list[str]:
    """Return the arguments that train an adapter; see ``follow``.

    Args:
        config: A profile's name, or a YAML file.
        out: The run's folder; the adapter comes to lie in its folder ``adapter``.
        overrides: ``key=value`` each.
        fresh: Begin anew whatever lies there.
    """
    sets = [word for override in overrides for word in ("--set", override)]
    return ["run", "--config", config, "--out", str(out), *sets, *(["--fresh"] if fresh else [])]


@asynccontextmanager
async def follow(
    arguments: Sequence[str],
    *,
    python: str | None = None,
    grace_s: float = _GRACE_S,
    debug: bool = False,
) -> AsyncIterator[AsyncIterator[TrainingEvent]]:
    """Start a training process and give what it says.

    Leaving the block early, by a cancellation too, asks it to stop at a checkpoint, waits for that,
    and kills it when it takes too long.

    Args:
        arguments: From ``train_command`` and its like.
        python: The interpreter that has the ``train`` extra; this one's by default.
        grace_s: How long a stop may take.
        debug: Let libraries and tracebacks on to this process's standard error; they may quote
            examples.

    Yields:
        The events, the last of them ``Finished``, ``Evaluated`` or ``Stopped``.

    Raises:
        EngineUnavailable: This interpreter is to do it, and has no ``train`` extra.
        TrainingFailed: From the iterator: it ended without a result; with the code it gave.
    """
    if python is None:
        require_train_extra()
    process = await asyncio.create_subprocess_exec(
        python or sys.executable,
        *("-m", "apps.rl.adapters.training", *(["--debug"] if debug else []), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if debug else asyncio.subprocess.DEVNULL,
        limit=_LINE_BYTES,
        start_new_session=True,
    )
    events = _events(process)
    try:
        yield events
    finally:
        await events.aclose()
        await _ended(process, grace_s)


async def _events(
    process: asyncio.subprocess.Process,
) -> AsyncGenerator[TrainingEvent, None]:
    assert process.stdout is not None
    async for line in process.stdout:
        try:
            event = read_event(line)
        except ValidationError:
            _LOG.warning("training.unknown_line")
            continue
        if isinstance(event, Failed):
            raise TrainingFailed(event.message, hint=event.hint, code=event.code)
        yield event
    status = await process.wait()
    if status not in (0, STOPPED):
        raise TrainingFailed(
            f"The training process ended with status {status}.",
            code="training_died",
            hint="Start it again: it goes on from its last checkpoint. A status of -9 means that "
            "it was killed, most often for memory.",
        )


async def _ended(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """Ask a process to stop and wait; kill it when it takes too long, or when that is cancelled."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    impatience = asyncio.get_running_loop().call_later(grace_s, process.kill)
    try:
        await _drained(process)
    except asyncio.CancelledError:
        process.kill()
        raise
    finally:
        impatience.cancel()


async def _drained(process: asyncio.subprocess.Process) -> None:
    """Read what is still said, since a process that nobody reads would wait for ever."""
    assert process.stdout is not None
    while await process.stdout.read(2**16):
        pass
    await process.wait()
