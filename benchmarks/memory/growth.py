"""What a process holds, read from Linux, and how that grows from call to call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at one moment.

    Attributes:
        calls: How many calls it has served by then.
        resident_kb: Its resident memory, its children's not counted, in kibibytes.
        files: Open file descriptors, sockets included.
        threads: Its threads.
        children: Its child processes.
    """

    calls: int
    resident_kb: int
    files: int
    threads: int
    children: int


@dataclass(frozen=True, slots=True)
class Bound:
    """What may be more at the end than after the warm-up.

    Attributes:
        kb_per_call: Resident memory, in kibibytes a call.
        others: File descriptors, threads and child processes, each: none may be lost by a call.
    """

    kb_per_call: float = 20.0
    others: int = 2


def look(pid: int, calls: int) -> Held:
    """Return what a process holds now.

    Raises:
        FileNotFoundError: There is no such process, or this is not Linux.
    """
    status = (PROC / str(pid) / "status").read_text(encoding="utf-8")
    return Held(
        calls=calls,
        resident_kb=_number(status, "VmRSS"),
        files=len(list((PROC / str(pid) / "fd").iterdir())),
        threads=_number(status, "Threads"),
        children=len(children_of(pid)),
    )


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    found = []
    for status in PROC.glob("[0-9]*/status"):
        try:
            parent = _number(status.read_text(encoding="utf-8"), "PPid")
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if parent == pid:
            found.append(int(status.parent.name))
    return found


def growth_kb(seen: Sequence[Held]) -> float:
    """Return by how much resident memory grows a call: the slope of the line of least squares."""
    calls = [float(held.calls) for held in seen]
    memory = [float(held.resident_kb) for held in seen]
    slope, _ = np.polyfit(calls, memory, 1)
    return float(slope)


def complaints(seen: Sequence[Held], bound: Bound) -> list[str]:
    """Return what has grown beyond the bound, in words.

    Args:
        seen: What was held after the warm-up and later; at least two.
        bound: What may have been added.
    """
    found = []
    if (kb := growth_kb(seen)) > bound.kb_per_call:
        found.append(f"{kb:.1f} KiB of memory a call, {bound.kb_per_call:g} are allowed")
    for name in ("files", "threads", "children"):
        more = getattr(seen[-1], name) - getattr(seen[0], name)
        if more > bound.others:
            found.append(f"{more} {name} more than after the warm-up, {bound.others} are allowed")
    return found


def _number(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0
