"""Processes of this machine, seen from outside."""

from __future__ import annotations

import re
from pathlib import Path


def children() -> dict[int, list[int]]:
    """The processes right below each process that has any."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
            except OSError:  # it ended meanwhile
                continue
            if parent := re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE):
                found.setdefault(int(parent[1]), []).append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """The processes below a process, at any depth."""
    below, found, to_visit = children(), [], [pid]
    while to_visit:
        next_below = below.get(to_visit.pop(), [])
        found += next_below
        to_visit += next_below
    return found


def command(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
