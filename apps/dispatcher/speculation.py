"""Answers begun before it is certain that the caller has finished.

While turn-taking still waits whether the caller goes on, the answer to the words so far is drafted:
retrieval, wording, and the speech of its first sentence. If the final words ask the same, the
answer goes on from there; otherwise the draft is thrown away. Nothing of a draft is played, told,
stored or counted as an answer before it is taken, and what has a side effect (a goodbye, a
handover, a rating) is never drafted: only questions are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial

from apps.core.clock import loop_ms
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.conversation import Ask
from apps.dispatcher.draft import Draft, Voice
from apps.dispatcher.turn import Answers, Question, Stages
from apps.llm.usage import Account
from apps.monitor.metrics import Metrics

TRIES = 3
"""Drafts for one utterance of the caller: whoever pauses at every word costs no more than this."""


class Waste(StrEnum):
    """Why a draft was thrown away."""

    WENT_ON = "went_on"
    OTHER_WORDS = "other_words"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    ENDED = "ended"


class Speculator:
    """Drafts of one call: at most one at a time is a guess.

    `begin` and `drop` return at once and may be called at any moment, as often as one likes.

    Args:
        answers: Finds and words the call's answers.
        voice: Speaks a sentence, or None in a typed call.
        log: The call's event log.
        metrics: The server's metrics.
        enabled: False makes no guesses; answers are then begun when they are wanted.
        new_account: Opens an account for what one answer costs; None where nobody counts.
    """

    def __init__(
        self,
        answers: Answers,
        voice: Voice | None,
        log: CallLog,
        metrics: Metrics,
        *,
        enabled: bool = True,
        new_account: Callable[[], Account] | None = None,
    ) -> None:
        self._answers, self._voice = answers, voice
        self._log, self._metrics, self._enabled = log, metrics, enabled
        self._new_account = new_account
        self._tasks: asyncio.TaskGroup | None = None
        self._guess: Draft | None = None
        self._utterance: int | None = None
        self._tries = 0

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Let drafts be made, in the call's task group."""
        self._tasks = tasks

    def begin(self, text: str, utterance_id: int | None = None) -> None:
        """Draft the answer to what the caller may have said, if it is a question.

        Args:
            text: All words that are to be answered, so far.
            utterance_id: The caller's utterance; a new one may be guessed anew.
        """
        if not self._enabled or self._tasks is None:
            return
        if utterance_id != self._utterance:
            self._utterance, self._tries = utterance_id, 0
        asked = self._asked(text)
        question = self._answers.question(asked) if asked else None
        if self._guess is not None:
            if question is not None and question.same_as(self._guess.question):
                return
            self.drop(Waste.OTHER_WORDS)
        if question is None or self._tries >= TRIES:
            return
        self._tries += 1
        self._log.note("speculation.started", text=question.asked)
        failed = partial(self._wasted, Waste.FAILED)
        self._guess = self._draft(question, self._tasks, failed)

    def drop(self, why: Waste = Waste.WENT_ON) -> None:
        """Throw the guess away, if there is one."""
        guess, self._guess = self._guess, None
        if guess is not None:
            if guess.is_guess:
                self._wasted(why)
            guess.drop()

    def stop(self) -> None:
        """Throw the guess away and make no more: the call is over."""
        self.drop(Waste.ENDED)
        self._tasks = None

    @asynccontextmanager
    async def answering(
        self, asked: str, turn_id: int | None = None
    ) -> AsyncGenerator[Draft, None]:
        """Give the draft of a question that was really asked, and close it afterwards.

        It is the guess where that was right, else one that is begun now.

        Args:
            asked: The question, in the caller's words.
            turn_id: The turn that answers it.
        """
        draft = self._taken(asked)
        draft.take(turn_id)
        try:
            yield draft
        finally:
            if draft.is_guess:
                self._wasted(Waste.INTERRUPTED)
            await draft.aclose()

    def use(self, draft: Draft, turn_id: int, stages: Stages) -> None:
        """Note that a draft that is ready is about to be heard.

        Args:
            draft: One that `answering` gave.
            turn_id: The turn that it is said in.
            stages: The turn's; they get the draft's.
        """
        made = draft.stages
        stages.retrieved, stages.worded, stages.spoken = made.retrieved, made.worded, made.spoken
        if not draft.is_guess:
            return
        now_ms = loop_ms()
        wanted_ms = now_ms if stages.understood is None else stages.understood
        spoken_ms = now_ms if made.spoken is None else made.spoken
        won_ms = round(min(wanted_ms, spoken_ms) - draft.began_ms, 1)
        draft.settle()
        self._log.note("speculation.used", turn_id, won_ms=won_ms)
        self._metrics.speculation_used(won_ms)

    def _taken(self, asked: str) -> Draft:
        if self._tasks is None:
            raise RuntimeError("the call is over")
        question = self._answers.question(asked)
        guess, self._tries = self._guess, 0
        if guess is None or not guess.question.same_as(question):
            self.drop(Waste.OTHER_WORDS)
            return self._draft(question, self._tasks)
        self._guess = None
        return guess

    def _draft(
        self,
        question: Question,
        tasks: asyncio.TaskGroup,
        on_failed: Callable[[], None] | None = None,
    ) -> Draft:
        account = self._new_account() if self._new_account is not None else None
        return Draft(self._answers, question, self._voice, tasks, on_failed, account)

    def _asked(self, text: str) -> str | None:
        """Return the question that words are, or None when they are none."""
        answers = self._answers
        meaning = answers.conversation.understand(text, person=answers.person)
        return meaning.reply.question if isinstance(meaning.reply, Ask) else None

    def _wasted(self, why: Waste) -> None:
        self._log.note("speculation.wasted", why=why.value)
        self._metrics.speculation_wasted(why.value)
