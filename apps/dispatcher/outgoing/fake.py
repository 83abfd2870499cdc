"""A dialer without a network, for tests and trials: it returns the doors that it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from apps.core.errors import DialFailed, DialResult
from apps.voice.doors.base import Door

Answer = Callable[[], Door] | DialResult


class FakeDialer:
    """Answers each attempt in turn; when nothing is left, it rings in vain.

    Args:
        answers: Of each attempt: what makes the door, or why there is none.
        rings_s: So long it rings before that.
    """

    name = "fake"

    def __init__(self, answers: Iterable[Answer] = (), rings_s: float = 1.0) -> None:
        self._answers, self._rings_s = list(answers), rings_s
        self.dialled: list[str] = []
        self.cancelled = 0

    async def dial(self, target: str, *, caller_id: str, timeout_s: float) -> Door:
        """Ring, and answer as told.

        Raises:
            DialFailed: So it was told, or nothing is left to answer.
        """
        self.dialled.append(target)
        answer = self._answers.pop(0) if self._answers else "no_answer"
        in_vain = answer == "no_answer"
        try:
            await asyncio.sleep(timeout_s if in_vain else self._rings_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, str):
            raise DialFailed("Nobody answered.", code=answer)
        return answer()
