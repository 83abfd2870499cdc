"""Answers real turns in the place of variants that no caller hears yet: scored, never played.

A turn is offered once its own answer has been said, so a shadow never competes with the caller of
that turn. One answer is made at a time, what finds no room is let go of, and nothing of it reaches
a call: it has the turn's prompt in other words, and leaves numbers alone behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np
import structlog

from apps.core.clock import loop_ms
from apps.core.errors import EngineError, StoreError
from apps.core.policy import Treatment
from apps.core.sentences import SentenceSplitter
from apps.llm.base import Generator
from apps.llm.prompt import Prompt
from apps.llm.scoring import AnswerScore, score_answer
from apps.store.database import Database
from apps.store.shadow import ShadowRow, append_shadow

MAX_WAITING = 16
"""Turns that wait to be answered; further ones are let go of."""
TIMEOUT_S = 30.0
"""An answer that takes longer is stopped, and has failed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShadowTurn:
    """A turn that has been answered: which one, what the generator was asked, whose call."""

    call_ref: str
    turn_id: int
    prompt: Prompt
    profile: str = ""


class Shadow:
    """The shadow of all of a server's calls.

    Args:
        generator: Words the answers, as it does the callers'.
        variants: Which variants are in the shadow of a profile's calls now, with what they try.
        db: Where results go.
        share: Of the turns, how many are answered in the shadow.
        rng: Source of randomness.
        observer: Told of each result, whether it passed; may be None.
    """

    def __init__(
        self,
        generator: Generator,
        variants: Callable[[str], Mapping[str, Treatment]],
        db: Database,
        *,
        share: float,
        rng: np.random.Generator | None = None,
        observer: Callable[[bool], None] | None = None,
    ) -> None:
        self._generator, self._variants, self._db = generator, variants, db
        self._share, self._rng = share, rng or np.random.default_rng()
        self._observer = observer
        self._waiting: asyncio.Queue[tuple[ShadowTurn, str]] = asyncio.Queue(MAX_WAITING)

    def offer(self, call_ref: str, turn_id: int, prompt: Prompt, profile: str = "") -> bool:
        """Offer a turn whose answer has been said; returns at once.

        Args:
            call_ref: Keyed hash of the call's id.
            turn_id: The turn.
            prompt: What the generator was asked.
            profile: The call's, for which a variant's adapter may not be.

        Returns:
            Whether some variant will answer it.
        """
        variants = sorted(self._variants(profile))
        if not variants or self._rng.random() >= self._share or self._waiting.full():
            return False
        variant = variants[int(self._rng.integers(len(variants)))]
        self._waiting.put_nowait((ShadowTurn(call_ref, turn_id, prompt, profile), variant))
        return True

    async def run(self) -> None:
        """Answer what was offered, for as long as the server runs."""
        while True:
            turn, variant = await self._waiting.get()
            try:
                await self._answer(turn, variant)
            except StoreError as error:
                log.warning("shadow_not_stored", variant=variant, reason=error.message)
            except Exception as error:  # a defect must not end the shadow for good
                # Its words, and where it arose, may hold the caller's.
                log.error("shadow_crashed", variant=variant, error=type(error).__name__)
            finally:
                self._waiting.task_done()

    async def settled(self) -> None:
        """Wait until everything that was taken is answered."""
        await self._waiting.join()

    async def _answer(self, turn: ShadowTurn, variant: str) -> None:
        tried = self._variants(turn.profile).get(variant)
        if tried is None:  # it has left the shadow meanwhile
            return
        adapter = tried.adapter if tried.adapter is not None else turn.prompt.adapter
        account = turn.prompt.account and turn.prompt.account.shadow()
        found = await self._scored(
            replace(turn.prompt, slots=tried.slots, adapter=adapter, account=account)
        )
        row = ShadowRow(
            variant, turn.call_ref, turn.turn_id, found.score, found.passed, found.checks
        )
        if await self._db.run(append_shadow, row) and self._observer is not None:
            self._observer(found.passed)

    async def _scored(self, prompt: Prompt) -> AnswerScore:
        began_ms, first_ms = loop_ms(), TIMEOUT_S * 1000
        splitter, sentences = SentenceSplitter(), list[str]()
        try:
            async with asyncio.timeout(TIMEOUT_S), aclosing(self._generator.stream(prompt)) as made:
                async for piece in made:
                    sentences += splitter.push(piece)
                    if sentences:
                        first_ms = min(first_ms, loop_ms() - began_ms)
            sentences += splitter.flush()
        except (EngineError, TimeoutError) as error:
            # The same turn has just had an answer, so a prompt that breaks the engine is the
            # variant's own doing.
            log.info("shadow_failed", error=type(error).__name__)
            return AnswerScore(False, 0.0, {"answered": False})
        return score_answer(prompt, sentences, min(first_ms, loop_ms() - began_ms))
