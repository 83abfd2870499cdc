"""An answer in the making: its passages, its first sentence, and the beginning of its speech.

A draft works in a task of its own, so that it can begin before anybody knows whether it is wanted.
It reads the call and changes nothing in it. Once it is taken, whoever took it goes on from where
it stands: the rest of the first sentence's audio and the answer's other sentences come from the
same engines' streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ
from apps.core.clock import loop_ms
from apps.core.errors import EngineError
from apps.dispatcher.turn import Answers, Question, Sentence, Stages
from apps.llm.answer import AnswerPlan, plan_answer
from apps.llm.prompt import Prompt
from apps.llm.usage import Account
from apps.voice.tts.base import Speech, WordMark

HELD_BYTES = 3 * SAMPLE_RATE_HZ * SAMPLE_BYTES
"""So much of the first sentence's audio waits to be taken; the synthesiser waits after that."""

NOTHING = Sentence("")
"""Of an answer that says nothing, the first sentence."""

Voice = Callable[[str], Speech]


class Draft:
    """One answer in the making.

    Args:
        answers: Finds and words it.
        question: What it answers.
        voice: Speaks a sentence, or None in a typed call.
        tasks: The call's task group.
        on_failed: Called when it fails while it is only a guess; None for one that is wanted.
            A guess that failed is made anew when it is taken.
        account: What it costs is put down to this.

    Attributes:
        began_ms: Loop time at which it was begun.
        stages: When its stages were reached.
        prompt: What the generator was asked (once it is ready).
        plan: What the answer rests on (once it is ready).
    """

    prompt: Prompt
    plan: AnswerPlan

    def __init__(
        self,
        answers: Answers,
        question: Question,
        voice: Voice | None,
        tasks: asyncio.TaskGroup,
        on_failed: Callable[[], None] | None = None,
        account: Account | None = None,
    ) -> None:
        self.question, self.began_ms, self.stages = question, loop_ms(), Stages()
        self._answers, self._voice, self._on_failed = answers, voice, on_failed
        self._account = account
        self._first = NOTHING
        self._speech: Speech | None = None
        self._rest: AsyncGenerator[Sentence, None] | None = None
        self._pieces: deque[bytes | WordMark] = deque()
        self._left_open = AsyncExitStack()
        self._error: EngineError | None = None
        self._ready, self._taken = asyncio.Event(), asyncio.Event()
        if on_failed is None:
            self._taken.set()
        self._task = tasks.create_task(self._run(), name="draft")

    @property
    def is_guess(self) -> bool:
        """Whether it was begun ahead, and has neither failed nor been put to use since."""
        return self._on_failed is not None

    def settle(self) -> None:
        """Say that it was put to use."""
        self._on_failed = None

    def take(self, turn_id: int | None = None) -> None:
        """Say that it is wanted: it is now its taker's, who closes it.

        Args:
            turn_id: The turn that it answers.
        """
        if self._account is not None:
            self._account.settle(turn_id)
        self._taken.set()

    def drop(self) -> None:
        """Say that it is not wanted; its task closes what it has open, and ends."""
        if self._account is not None:
            self._account.settle(None)
        self._task.cancel()

    async def ready(self) -> None:
        """Wait until its first sentence can be said without a gap.

        Raises:
            EngineError: It failed before that.
        """
        await self._ready.wait()
        if self._error is not None and not self._pieces:
            raise self._error

    async def ready_within(self, wait_ms: float) -> bool:
        """Wait for at most so long, and tell whether it is ready; an error counts as ready."""
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return, or raise, at once."""
        return self._ready.is_set()

    async def sentences(self) -> AsyncGenerator[tuple[Sentence, Speech | None], None]:
        """Yield the answer's sentences; the first one with its speech where there is a voice.

        Raises:
            EngineError: The answer broke off.
        """
        if self._first.text:
            yield self._first, None if self._speech is None else self._begun(self._speech)
        await asyncio.wait([self._task])
        if self._rest is not None:
            async for sentence in self._rest:
                yield sentence, None

    async def aclose(self) -> None:
        """Stop it, and close the engines' streams; to be called by whoever took it."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._left_open.aclose()

    # --- the task

    async def _run(self) -> None:
        try:
            while not await self._made():
                await self._taken.wait()
        except EngineError as error:
            self._error = error
        finally:
            self._ready.set()

    async def _made(self) -> bool:
        """Make the answer up to where it waits to be taken; False when a guess has failed."""
        try:
            async with AsyncExitStack() as streams:
                await self._open(streams)
                await self._taken.wait()
                self._left_open = streams.pop_all()
        except EngineError:
            if self._on_failed is None or (self._ready.is_set() and self._taken.is_set()):
                raise
            self._on_failed()
            self._on_failed = None
            self._forget()
            return False
        return True

    async def _open(self, streams: AsyncExitStack) -> None:
        self.prompt = replace(await self._answers.prompt(self.question), account=self._account)
        self.plan = plan_answer(self.prompt)
        self.stages.retrieved = loop_ms()
        self._rest = self._answers.sentences(self.prompt)
        await streams.enter_async_context(aclosing(self._rest))
        self._first = await anext(self._rest, NOTHING)
        self.stages.worded = loop_ms()
        if self._voice is not None and self._first.text:
            self._speech = self._voice(self._first.text)
            await streams.enter_async_context(aclosing(self._speech))
            await self._hold(self._speech)
        self._ready.set()

    async def _hold(self, speech: Speech) -> None:
        """Keep the beginning of the first sentence's audio, until it is taken or enough."""
        held = 0
        async for piece in speech:
            self._pieces.append(piece)
            if not isinstance(piece, bytes):
                continue
            held += len(piece)
            if not self._ready.is_set():
                self.stages.spoken = loop_ms()
                self._ready.set()
            if self._taken.is_set() or held >= HELD_BYTES:
                return

    async def _begun(self, speech: Speech) -> Speech:
        """Yield the first sentence's audio: what is held, then what is still to come."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._task.done():
                break
            await asyncio.wait([self._task])
        if self._error is not None:
            raise self._error
        async for piece in speech:
            yield piece

    def _forget(self) -> None:
        self.stages, self._first, self._speech, self._rest = Stages(), NOTHING, None, None
        self._pieces.clear()
        self._ready.clear()
