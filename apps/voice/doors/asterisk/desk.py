"""What the dialplan and the doors leave for each other: before a call, and after it.

An Asterisk's audio carries no more than the call's UUID, so its dialplan tells the desk beforehand
whom the call is for, and asks it afterwards where the caller is to be put through to. Pure: the
time is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from apps.core.errors import AtCapacity
from apps.voice.doors.base import CallRequest

ANNOUNCED_S = 60.0
"""So long after it was announced a call may come."""
KEPT_S = 60.0
"""So long after a call its hand-over can be asked for."""
MAX_NOTES = 2000


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Note(Generic[T]):
    what: T
    until_s: float


@dataclass(slots=True)
class Desk:
    """One Asterisk's notes, by the calls' UUIDs; of bounded number, each read once."""

    _announced: dict[UUID, _Note[CallRequest]] = field(default_factory=dict)
    _handed: dict[UUID, _Note[str]] = field(default_factory=dict)

    def announce(self, call: UUID, request: CallRequest, now_s: float) -> None:
        """Note whom a call is for that will come.

        Raises:
            AtCapacity: Too many calls were announced that have not come.
        """
        self._announced = _fresh(self._announced, now_s)
        if len(self._announced) >= MAX_NOTES:
            raise AtCapacity("Too many calls were announced.", hint="Call again in a minute.")
        self._announced[call] = _Note(request, now_s + ANNOUNCED_S)

    def claim(self, call: UUID, now_s: float) -> CallRequest | None:
        """Return whom a call is for, once; None when nobody announced it."""
        note = self._announced.pop(call, None)
        return note.what if note is not None and now_s < note.until_s else None

    def hand_over(self, call: UUID, target: str, now_s: float) -> None:
        """Note where a call's caller is to be put through to."""
        self._handed = _fresh(self._handed, now_s)
        while len(self._handed) >= MAX_NOTES:
            del self._handed[next(iter(self._handed))]
        self._handed[call] = _Note(target, now_s + KEPT_S)

    def handed_over(self, call: UUID, now_s: float) -> str:
        """Return where a call's caller is to be put through to, once; empty for nowhere."""
        note = self._handed.pop(call, None)
        return note.what if note is not None and now_s < note.until_s else ""


def _fresh(notes: dict[UUID, _Note[T]], now_s: float) -> dict[UUID, _Note[T]]:
    return {call: note for call, note in notes.items() if now_s < note.until_s}
