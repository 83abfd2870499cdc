"""The audit log of routing: a line of JSON for each decision, in files that are rotated.

What a line says of the prompt is a setting: nothing but its length, its keyed hash (so that the
same prompt can be recognised), or its text without personal data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import RedactionFailed
from apps.core.ids import keyed_hash

MAX_TEXT = 2000


class Shown(StrEnum):
    """How much of a prompt the audit log keeps."""

    LENGTH = "length"
    HASH = "hash"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class AuditRules:
    """How the log is kept.

    Attributes:
        shown: See ``Shown``.
        max_bytes: A file that would grow beyond this is put aside first.
        files: So many that were put aside are kept, the oldest go.
    """

    shown: Shown = Shown.HASH
    max_bytes: int = 5_000_000
    files: int = 10


class AuditLog:
    """Appends to ``path``; ``path.1`` is the newest of those put aside.

    Args:
        path: The file; its folder is made.
        rules: How it is kept.
        hash_key: Key of the prompts' hashes.
        redact: Takes the personal data out of a text.
    """

    def __init__(
        self,
        path: Path,
        rules: AuditRules,
        *,
        hash_key: bytes,
        redact: Callable[[str], str],
    ) -> None:
        self._path, self._rules = path, rules
        self._key, self._redact = hash_key, redact
        self._lock = Lock()  # it may be written to in several threads
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, event: str, prompt: str | None = None, **facts: Any) -> None:
        """Write one line, durable against the end of the process.

        Args:
            event: What happened, e.g. ``route``.
            prompt: What was asked, as far as the rules show it.
            **facts: Anything that JSON can say; nothing personal.
        """
        line = {"event": event, "hour": utc_hour(utc_now()).isoformat(), **facts}
        if prompt is not None:
            line |= self._told(prompt)
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        with self._lock:
            if self._size() + len(data) > self._rules.max_bytes:
                self._rotate()
            # One write of whole lines to a file opened for appending: processes do not mix theirs.
            opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(opened, data)
            finally:
                os.close(opened)

    def _told(self, prompt: str) -> Mapping[str, object]:
        told: dict[str, object] = {"chars": len(prompt)}
        if self._rules.shown is Shown.HASH:
            told["prompt_hash"] = keyed_hash(prompt, self._key, purpose="prompt")
        elif self._rules.shown is Shown.REDACTED:
            try:
                told["prompt"] = self._redact(prompt)[:MAX_TEXT]
            except RedactionFailed as error:  # nobody knows what is in it
                told["withheld"] = error.code
        return told

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> None:
        if self._rules.files < 1:
            self._path.unlink(missing_ok=True)
            return
        for number in range(self._rules.files - 1, 0, -1):
            older = self._aside(number)
            if older.exists():
                older.replace(self._aside(number + 1))
        if self._path.exists():
            self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
