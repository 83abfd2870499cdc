"""A detector in a process of its own: the event loop and its memory have nothing to do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from threading import Lock, Timer
from typing import Any

from apps.core.errors import DetectorUnavailable, RedactionFailed
from apps.core.privacy.spec import DetectorSpec
from apps.core.redaction import Finding, Kind

_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONHOME", "TZ")


class ProcessDetector:
    """Asks a process, which is started when it is first needed and again after it has ended.

    ``find`` waits: call it in a thread. It takes texts one after the other.

    Args:
        spec: What the process makes.
        answers_within_s: After so long it is killed, and the text counts as not looked at.
        starts_within_s: The same for its start, which imports Presidio and loads models.
        program: What is run; the spec is its last argument.
    """

    def __init__(
        self,
        spec: DetectorSpec,
        *,
        answers_within_s: float = 30.0,
        starts_within_s: float = 120.0,
        program: Sequence[str] = (sys.executable, "-m", "apps.core.privacy.worker"),
    ) -> None:
        self._command = [*program, spec.to_json()]
        self._answers_within_s, self._starts_within_s = answers_within_s, starts_within_s
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()
        self._closed = False

    def find(self, text: str, language: str) -> list[Finding]:
        """Return what is personal in a text; see ``Detector``.

        Raises:
            DetectorUnavailable: It does not start, ended, took too long, or was closed.
            RedactionFailed: It failed on this text.
        """
        with self._lock:
            process = self._running()
            asked = json.dumps([text, language])
            told = self._asked(process, asked, self._answers_within_s)
        if "findings" not in told:
            raise RedactionFailed(f"The detector failed on a text ({told.get('error')}).")
        return [Finding(Kind(k), start, end, value) for k, start, end, value in told["findings"]]

    def close(self) -> None:
        """End the process for good; whoever waits for an answer gets ``DetectorUnavailable``."""
        self._closed = True
        process = self._process
        if process is not None:  # whoever holds the lock waits for it, and lets go at its end
            process.kill()
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[str]:
        self._refuse_closed()
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries may print what they read
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
            self._refuse_closed()  # close may not have seen this process
            told = self._asked(self._process, "", self._starts_within_s)
            if "ready" not in told:
                self._end()
                raise DetectorUnavailable(
                    f"The detector does not start: {told.get('error')}",
                    hint="`tom config check` looks at TOM_PRIVACY_MODELS.",
                )
        return self._process

    def _refuse_closed(self) -> None:
        if self._closed:
            self._end()
            raise DetectorUnavailable("The detector was closed.")

    def _asked(
        self, process: subprocess.Popen[str], line: str, within_s: float
    ) -> Mapping[str, Any]:
        """Write a line where there is one, and return the answer."""
        assert process.stdin is not None
        assert process.stdout is not None
        killer = Timer(within_s, process.kill)
        killer.daemon = True
        killer.start()
        try:
            if line:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            answer = process.stdout.readline()
            told: Mapping[str, Any] = json.loads(answer)
        except (OSError, ValueError):
            self._end()
            raise DetectorUnavailable(
                f"The detector ended, or gave no answer within {within_s:g} s."
            ) from None
        finally:
            killer.cancel()
        return told

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not yet written goes nowhere
                    continue
