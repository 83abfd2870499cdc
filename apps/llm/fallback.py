"""Falls back from one generator to another, but never after the first word was spoken.

Two voices in one answer would contradict each other; so an answer that breaks off once it has
begun is an error, which the call apologises for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import StrEnum

import structlog

from apps.core.errors import EngineError
from apps.llm.base import Generator
from apps.llm.prompt import Prompt

_log = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """What to do about a generator's failure."""

    FALL_BACK = "fall_back"
    GIVE_UP = "give_up"


def on_failure(spoken: str) -> Verdict:
    """Decide what to do when a generator fails.

    Args:
        spoken: What it has handed out of its answer so far.
    """
    return Verdict.GIVE_UP if spoken.strip() else Verdict.FALL_BACK


class FallbackGenerator:
    """Answers by the first generator, and by the second where the first one fails in time.

    Args:
        first: The one that should answer.
        second: The one that always can.
        on_fallback: Called at each fall back, for the metrics.
    """

    def __init__(
        self,
        first: Generator,
        second: Generator,
        *,
        on_fallback: Callable[[], None] = lambda: None,
    ) -> None:
        self._first = first
        self._on_fallback = on_fallback
        self._second = second
        self.name = first.name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield an answer; see Generator.

        Raises:
            EngineError: The first generator failed after it had begun to answer.
        """
        spoken = ""
        try:
            async with aclosing(self._first.stream(prompt)) as pieces:
                async for piece in pieces:
                    spoken += piece
                    yield piece
            return
        except EngineError as error:
            if on_failure(spoken) is Verdict.GIVE_UP:
                _log.error("answer broke off", generator=self._first.name, code=error.code)
                raise
            _log.warning(
                "generator falls back",
                generator=self._first.name,
                to=self._second.name,
                code=error.code,
                reason=error.message,
            )
            self._on_fallback()
        async with aclosing(self._second.stream(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Close both generators."""
        await self._first.close()
        await self._second.close()
