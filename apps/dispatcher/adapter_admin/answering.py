"""Answers a prompt that comes without a call, the way a call would: grounded, and checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from apps.core.errors import ConfigError
from apps.core.policy import PolicySlots
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.profile import Profile
from apps.dispatcher.services import Knowledge
from apps.dispatcher.turn import Answers
from apps.llm.base import Generator


@dataclass(frozen=True, slots=True)
class CallFreeAnswers:
    """Answers single prompts; each is a dialogue of its own.

    Attributes:
        profiles: By id.
        default: The profile of a prompt that names none.
        knowledge: The knowledge base.
        generator: Words the answers.
        slots: The base variant's.
    """

    profiles: Mapping[str, Profile]
    default: str
    knowledge: Knowledge
    generator: Generator
    slots: PolicySlots

    async def __call__(
        self, prompt: str, *, profile: str, language: str, adapter: str
    ) -> AsyncGenerator[str, None]:
        """Yield the answer sentence by sentence; see ``desk.Answerer``."""
        found = self.profiles.get(profile or self.default)
        if found is None or language not in found.office:
            raise ConfigError(
                f"There is no profile {profile!r} that speaks {language}.",
                hint=f"Profiles: {', '.join(self.profiles)}.",
            )
        answers = Answers(
            Conversation(language, self.slots),
            self.knowledge,
            self.generator,
            found.space,
            found.office[language],  # type: ignore[index]  # it was looked up just above
            spaces=found.spaces,
            adapter=adapter,
        )
        asked = await answers.prompt(answers.question(prompt))
        async with aclosing(answers.sentences(asked)) as sentences:
            async for sentence in sentences:
                yield sentence.text
