"""One turn: from the caller's words to the assistant's voice, stage by stage.

rewrite → retrieve → generate → check → speak. `Answers` does all but the last for one
call, without changing anything in it, so that they can be done before it is certain that they are
wanted; every stage's share of the waiting time is measured.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from apps.core.passages import Citation, Passage, Within
from apps.core.person import ANYBODY, Person
from apps.core.sentences import SentenceSplitter, split_sentences
from apps.core.words import words
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.services import Knowledge
from apps.llm.base import Generator
from apps.llm.citing import rests_on, spoken_source, without_marks
from apps.llm.grounding import Sources, Violation, check
from apps.llm.leaks import leaks
from apps.llm.prompt import Exchange, Prompt, assemble
from apps.llm.rewrite import follows_up, rewrite, stay_on_topic

PASSAGES = 5


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
        """Return for how many milliseconds the caller waited for each stage, and for it alone.

        What was done ahead (speculation) was not waited for: a stage that was reached before the
        one in front of it has a share of 0. Stages that were not reached are left out.
        """
        marks = (
            self.voice_ended,
            self.caller_ended,
            self.understood,
            self.retrieved,
            self.worded,
            self.spoken,
            self.played,
        )
        waited: dict[str, float] = {}
        before = marks[0]
        for name, mark in zip(self.NAMES, marks[1:], strict=True):
            after = mark if mark is None or before is None else max(mark, before)
            if before is not None and after is not None:
                waited[name] = round(after - before, 1)
            before = after
        return waited

    def total_ms(self) -> float | None:
        """Return the time from the caller's last sound to the first frame sent."""
        if self.voice_ended is None or self.played is None:
            return None
        return round(self.played - self.voice_ended, 1)


@dataclass(frozen=True, slots=True)
class Question:
    """All that an answer depends on and that changes within a call.

    Attributes:
        asked: The caller's words.
        full: The question that they mean, a follow-up rewritten.
        history: What was said before, oldest first.
    """

    asked: str
    full: str
    history: tuple[Exchange, ...]

    def same_as(self, other: Question) -> bool:
        """Tell whether both have the same answer: the same words, at the same point of a call."""
        same_words = words(self.full) == words(other.full)
        return same_words and self.history == other.history


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, as it may be spoken.

    Attributes:
        text: The sentence.
        blocked: The sentence that it stands in the place of; empty for one that was sound.
        violations: What was wrong with that.
        rests_on: The passages that it was made from.
    """

    text: str
    blocked: str = ""
    violations: tuple[Violation, ...] = ()
    rests_on: tuple[Passage, ...] = ()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """What its passages are cited by."""
        return tuple(passage.cited for passage in self.rests_on)


class NameSources(StrEnum):
    """When an answer names its source without being asked to."""

    NEVER = "never"
    DOCUMENTS = "documents"
    ALWAYS = "always"

    def names(self, passage: Passage) -> bool:
        """Tell whether the source of a passage is named."""
        return self is NameSources.ALWAYS or (self is NameSources.DOCUMENTS and passage.of_document)


@dataclass(frozen=True, slots=True)
class Answers:
    """Finds and words the answers of one call; changes nothing in it.

    Args:
        conversation: The call's memory.
        knowledge: The knowledge base.
        generator: Words the answers.
        profile: The profile's knowledge folder.
        office: Its name in the call's language.
        person: Who could take the call over now.
        spaces: The knowledge spaces whose documents are searched.
        call_ref: Keyed hash of the call's id.
        name_sources: When an answer names its source without being asked to.
        adapter: Served name of the adapter that words the answers; empty for the base model.
    """

    conversation: Conversation
    knowledge: Knowledge
    generator: Generator
    profile: str
    office: str
    person: Person = ANYBODY
    spaces: tuple[str, ...] = ()
    call_ref: str = ""
    name_sources: NameSources = NameSources.NEVER
    adapter: str = ""

    def question(self, asked: str) -> Question:
        """Return what the caller's words ask at this point of the dialogue."""
        history = self.conversation.history
        return Question(asked, rewrite(asked, history, self.conversation.language), history)

    async def prompt(self, question: Question) -> Prompt:
        """Find the passages that may answer a question, and assemble the prompt."""
        language = self.conversation.language
        found = await self.knowledge.search(
            question.full,
            language=language,
            profile=self.profile,
            k=PASSAGES,
            within=self._within(question),
        )
        return assemble(
            self.conversation.slots,
            stay_on_topic(found, question.full, question.history, language),
            question.history,
            question.full,
            language=language,
            office=self.office,
            person=self.person,
            adapter=self.adapter,
        )

    def _within(self, question: Question) -> Within:
        """Return what may be searched; a follow-up looks near what the last answer was made of."""
        last = self.conversation.last
        follows: tuple[str, ...] = ()
        if last is not None and follows_up(
            question.asked, question.full, question.history, self.conversation.language
        ):
            follows = tuple(passage.entry_id for passage in last.rests_on)
        return Within(self.spaces, follows=follows, call_ref=self.call_ref)

    async def sentences(self, prompt: Prompt) -> AsyncGenerator[Sentence, None]:
        """Yield the answer sentence by sentence, its source among them; close it to stop early.

        A source that is named stands behind what it is of, before a question that ends the answer.

        Raises:
            EngineError: No answer could be made, or it broke off.
        """
        unnamed: list[Passage] = []
        async with aclosing(self._checked(prompt)) as checked:
            async for sentence in checked:
                if unnamed and not sentence.rests_on and sentence.text.endswith("?"):
                    yield self._source(unnamed)
                    unnamed = []
                unnamed += filter(self.name_sources.names, sentence.rests_on)
                yield sentence
        if unnamed:
            yield self._source(unnamed)

    def _source(self, passages: list[Passage]) -> Sentence:
        cited = [passage.cited for passage in passages]
        return Sentence(spoken_source(cited, self.conversation.language))

    async def _checked(self, prompt: Prompt) -> AsyncGenerator[Sentence, None]:
        """Yield the answer's sentences, each one checked.

        Where nothing covers the question no generator is asked: it could only invent.

        A figure that stands in no source, or a piece of the prompt, ends the answer
        (docs/grounding.md): in its place comes the line that says so, and the generator is
        stopped. What follows an invented figure rests on it.

        Raises:
            EngineError: No answer could be made, or it broke off.
        """
        if prompt.grounding is None:
            for line in split_sentences(prompt.dont_know()):
                yield Sentence(line)
            return
        sources = Sources.of(prompt)
        async with aclosing(self._made(prompt)) as made:
            async for sentence in made:
                violations = (*check(sentence, sources), *leaks(sentence, prompt))
                if violations:
                    lines = split_sentences(prompt.no_detail())
                    yield Sentence(lines[0], sentence, violations)
                    for line in lines[1:]:
                        yield Sentence(line)
                    return
                yield Sentence(sentence, rests_on=rests_on(sentence, prompt.facts))

    async def _made(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the generator's sentences as they are complete."""
        splitter = SentenceSplitter()
        async with aclosing(self.generator.stream(prompt)) as pieces:
            async for piece in pieces:
                for sentence in splitter.push(piece):
                    yield without_marks(sentence)
        for sentence in splitter.flush():
            yield without_marks(sentence)
