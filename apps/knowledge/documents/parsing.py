"""Who parses documents: a process of its own that is killed when one takes too long or too much."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from apps.core.errors import DocumentError
from apps.core.privacy import DetectorSpec
from apps.core.redaction import Detector
from apps.knowledge.documents.reading import Passage, Summary, Task, read

_LONGEST_LINE = 8 << 20
_STARTS_WITHIN_S, _DETECTOR_STARTS_WITHIN_S = 10.0, 120.0
# Keys and passwords in the environment are nothing for a process that reads what strangers wrote.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONHOME", "TZ")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's passages, without personal data."""

    passages: tuple[Passage, ...]
    summary: Summary


class Parser(Protocol):
    """Reads documents."""

    async def parse(self, task: Task) -> Parsed:
        """Read one document.

        Raises:
            DocumentError: It cannot be read; nothing else is harmed.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class LocalParser:
    """Reads documents in this process: for tests, and for files that TOM made itself.

    Args:
        detector: Finds personal data that has no pattern.
    """

    def __init__(self, detector: Detector | None = None) -> None:
        self._detector = detector

    async def parse(self, task: Task) -> Parsed:
        """Read one document."""
        found = list(read(task, self._detector))
        summary = found.pop()
        assert isinstance(summary, Summary)
        return Parsed(tuple(p for p in found if isinstance(p, Passage)), summary)

    async def close(self) -> None:
        """Nothing is held."""


class ProcessParser:
    """Reads documents in a process that serves one after the other.

    It is started when it is first needed, and again after it was killed, has died, or has said
    that a document left it short of memory.

    Args:
        detector: What it finds personal data with that has no pattern; None for patterns alone.
    """

    def __init__(self, detector: DetectorSpec | None = None) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._arguments = [] if detector is None else [detector.to_json()]
        self._starts_within_s = _STARTS_WITHIN_S if detector is None else _DETECTOR_STARTS_WITHIN_S

    async def start(self) -> None:
        """Start the process before it is needed, so that the first document waits for nothing."""
        await self._running()

    async def parse(self, task: Task) -> Parsed:
        """Read one document.

        Raises:
            DocumentError: It cannot be read: the reader's own codes, and ``timeout``, ``crashed``.
        """
        process = await self._running()
        assert process.stdin is not None
        try:
            async with asyncio.timeout(task.limits.parse_s + self._starts_within_s):
                process.stdin.write(json.dumps(task.to_dict()).encode() + b"\n")
                with contextlib.suppress(ConnectionError):  # its end says more
                    await process.stdin.drain()
                return await self._answer(process)
        except TimeoutError:
            await self.close()
            raise _timeout(task) from None
        except _Ended:
            status = await process.wait()
            self._process = None
            raise _timeout(task) if status == -signal.SIGXCPU else _crashed(status) from None
        except asyncio.CancelledError:
            await self.close()  # half an answer is still in the pipe
            raise

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            # The pipes close in callbacks of the loop.
            await asyncio.sleep(0)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "apps.knowledge.documents.worker",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # parsers print what they read
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                limit=_LONGEST_LINE,
                start_new_session=True,
            )
        return self._process

    async def _answer(self, process: asyncio.subprocess.Process) -> Parsed:
        """Gather a document's passages until its summary comes."""
        assert process.stdout is not None
        passages: list[Passage] = []
        while True:
            try:
                line = await process.stdout.readline()
                told: Mapping[str, Any] = json.loads(line) if line else {}
            except ValueError:  # a line without end, or no JSON: it is not our program any more
                await self.close()
                raise _crashed(0) from None
            if not told:
                raise _Ended
            passages += [
                Passage(t, tuple(h), p, lang) for t, h, p, lang in told.get("passages", ())
            ]
            if "summary" in told:
                return Parsed(tuple(passages), Summary(**told["summary"]))
            if "error" in told:
                if told.get("spent"):
                    await self.close()
                error = told["error"]
                raise DocumentError(error["message"], hint=error["hint"], code=error["code"])


class _Ended(Exception):
    """The process closed its output."""


def _timeout(task: Task) -> DocumentError:
    return DocumentError(
        f"The document could not be read within {task.limits.parse_s:g} s.",
        hint="Divide it, or raise TOM_KB_PARSE_S.",
        code="timeout",
    )


def _crashed(status: int) -> DocumentError:
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return DocumentError(
        f"The parser ended on this document ({how}).",
        hint="Save it anew, in this format or another.",
        code="crashed",
    )
