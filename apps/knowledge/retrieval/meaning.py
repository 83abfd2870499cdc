"""Gets a question's vector while the turn waits, and does not wait for a server that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog

from apps.core.errors import TomError
from apps.knowledge.index.base import Embedder, Vectors

# After so many questions in a row without a vector in time, none waits for one for so long.
MISSES = 3
REST_S = 30.0
# Of a retrieval's deadline: as long as documents wait for their first stage.
_SHARE = 0.7

log = structlog.get_logger(__name__)


class QuestionMeaning:
    """What a model makes of questions, as long as it is in time.

    Args:
        embedder: Makes the vectors.
        deadline_ms: Of a whole retrieval; a vector is waited for a part of it.
        clock: Seconds that only grow.
    """

    def __init__(
        self, embedder: Embedder, deadline_ms: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._embedder, self._wait_s = embedder, deadline_ms * _SHARE / 1000
        self._clock = clock
        self._missed = 0
        self._rests_until = 0.0

    @property
    def resting(self) -> bool:
        """Whether the last vectors were missing, and so none is waited for now."""
        return self._clock() < self._rests_until

    async def of(self, question: str) -> Vectors | None:
        """Return a question's vector, shape (d,); None where there is none in time."""
        if self.resting:
            return None
        try:
            async with asyncio.timeout(self._wait_s):
                (vector,) = await self._embedder.embed([question])
        except TimeoutError:
            self._miss("late")
            return None
        except TomError as error:
            self._miss(error.code)
            return None
        self._missed = 0
        return vector if vector.any() else None

    def _miss(self, why: str) -> None:
        self._missed += 1
        if self._missed >= MISSES:
            self._missed, self._rests_until = 0, self._clock() + REST_S
            log.warning("meanings_missed", why=why, in_a_row=MISSES, words_alone_for_s=REST_S)
