"""How a worker is started and looked after, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.errors import EngineUnavailable
from apps.voice.workers.serve import NICE_VARIABLE
from apps.voice.workers.stream import DEFAULT_BACKLOG_BYTES


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How a worker is started and looked after.

    Attributes:
        name: The engine's name in logs and metrics.
        module: The program, started as ``python -m module args``.
        args: Its arguments.
        nice: Added to its niceness: engines yield to the audio's own process.
        env: Environment variables it gets besides this process's.
        ready_timeout_s: Until it must have loaded and warmed its engine.
        stall_s: It is killed when it turns no message for so long; None never asks.
        grace_s: Time it gets to end by itself before it is terminated, and again before a kill.
        backlog_bytes: Payload that one stream may have sent and the worker not yet handled.
    """

    name: str
    module: str
    args: tuple[str, ...] = ()
    nice: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 60.0
    stall_s: float | None = 30.0
    grace_s: float = 2.0
    backlog_bytes: int = DEFAULT_BACKLOG_BYTES


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker said when it was ready."""

    name: str
    version: str
    loaded: Mapping[str, Any]
    warm_up_ms: float
    pid: int

    @classmethod
    def from_header(cls, header: Mapping[str, Any], pid: int) -> WorkerInfo:
        """Read the header of a READY frame."""
        loaded = header.get("loaded")
        return cls(
            name=str(header.get("name", "")),
            version=str(header.get("version", "")),
            loaded=loaded if isinstance(loaded, dict) else {},
            warm_up_ms=float(header.get("warm_up_ms", 0.0)),
            pid=pid,
        )


async def launch(spec: WorkerSpec) -> asyncio.subprocess.Process:
    """Start the program, its three streams piped.

    Raises:
        EngineUnavailable: The system starts no process.
    """
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            spec.module,
            *spec.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **spec.env, NICE_VARIABLE: str(spec.nice)},
            start_new_session=True,  # Ctrl-C in the terminal is ours alone: we drain first
        )
    except OSError as error:
        raise EngineUnavailable(
            f"The {spec.name} worker cannot be started: {error.strerror}."
        ) from error
