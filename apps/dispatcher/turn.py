"""One turn: from the caller's words to the assistant's voice, stage by stage.

rewrite → retrieve → generate → speak. Each sentence is spoken as soon as it is complete, and every
stage's share of the waiting time is measured. A turn is cancelled from outside (barge-in, hang-up);
nothing here swallows that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from apps.core.clock import loop_ms
from apps.core.sentences import SentenceSplitter
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.services import Knowledge
from apps.llm.answer import AnswerPlan, plan_answer
from apps.llm.base import Generator
from apps.llm.prompt import Prompt, assemble
from apps.llm.rewrite import rewrite, stay_on_topic

PASSAGES = 5


SpeakSentence = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Stages:
    """When each stage of a turn was reached, in loop milliseconds; None when it was not.

    Attributes:
        voice_ended: The caller's last sound.
        caller_ended: Turn-taking decided that the caller had finished.
        understood: The final transcript was there.
        retrieved: The passages were there.
        worded: The first sentence was complete.
        spoken: The first audio was there.
        played: The first frame was sent.
    """

    voice_ended: float | None = None
    caller_ended: float | None = None
    understood: float | None = None
    retrieved: float | None = None
    worded: float | None = None
    spoken: float | None = None
    played: float | None = None

    NAMES = ("endpoint", "stt", "retrieve", "generate", "speak", "playout")

    def shares(self) -> dict[str, float]:
        """Return each stage's milliseconds; stages that were not reached are left out."""
        marks = (
            self.voice_ended,
            self.caller_ended,
            self.understood,
            self.retrieved,
            self.worded,
            self.spoken,
            self.played,
        )
        return {
            name: round(after - before, 1)
            for name, before, after in zip(self.NAMES, marks, marks[1:], strict=False)
            if before is not None and after is not None
        }

    def total_ms(self) -> float | None:
        """Return the time from the caller's last sound to the first frame sent."""
        if self.voice_ended is None or self.played is None:
            return None
        return round(self.played - self.voice_ended, 1)


@dataclass(slots=True)
class Turn:
    """Answers questions of one call.

    Args:
        conversation: The call's memory.
        knowledge: The knowledge base.
        generator: Words the answers.
        profile: The call's profile.
        office: Its name in the call's language.
        person_available: Whether somebody could take the call over now.
    """

    conversation: Conversation
    knowledge: Knowledge
    generator: Generator
    profile: str
    office: str
    person_available: bool = True
    stages: Stages = field(default_factory=Stages)

    async def answer(self, turn_id: int, asked: str, speak: SpeakSentence) -> AnswerPlan:
        """Find the answer and speak it, sentence by sentence."""
        prompt, plan = await self._prepare(asked)
        self.conversation.note_answer(turn_id, asked, prompt.question, plan, prompt.passages)
        async with aclosing(self._sentences(prompt)) as sentences:
            async for sentence in sentences:
                if self.stages.worded is None:
                    self.stages.worded = loop_ms()
                self.conversation.note_said(turn_id, sentence)
                await speak(sentence)
        return plan

    async def _prepare(self, asked: str) -> tuple[Prompt, AnswerPlan]:
        conversation = self.conversation
        question = rewrite(asked, conversation.history, conversation.language)
        found = await self.knowledge.search(
            question, language=conversation.language, profile=self.profile, k=PASSAGES
        )
        passages = stay_on_topic(found, question, conversation.history, conversation.language)
        self.stages.retrieved = loop_ms()
        prompt = assemble(
            conversation.slots,
            passages,
            conversation.history,
            question,
            language=conversation.language,
            office=self.office,
            person_available=self.person_available,
        )
        return prompt, plan_answer(prompt)

    async def _sentences(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        splitter = SentenceSplitter()
        async with aclosing(self.generator.stream(prompt)) as pieces:
            async for piece in pieces:
                for sentence in splitter.push(piece):
                    yield sentence.strip()
        for sentence in splitter.flush():
            yield sentence.strip()
