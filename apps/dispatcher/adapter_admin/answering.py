"""Answers a prompt that comes without a call, the way a call would: grounded, and checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from apps.core.errors import ConfigError
from apps.core.policy import PolicySlots
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.metering import usage_row
from apps.dispatcher.profile import Profile
from apps.dispatcher.services import Knowledge
from apps.dispatcher.turn import Answers
from apps.llm.base import Generator
from apps.llm.usage import Account, Usage
from apps.store.llm_usage import UsageRow


@dataclass(frozen=True, slots=True)
class CallFreeAnswers:
    """Answers single prompts; each is a dialogue of its own.

    Attributes:
        profiles: By id.
        default: The profile of a prompt that names none.
        knowledge: The knowledge base.
        generator: Words the answers.
        slots: The base variant's.
        put_usage: Takes what answers cost; None where nobody keeps it.
    """

    profiles: Mapping[str, Profile]
    default: str
    knowledge: Knowledge
    generator: Generator
    slots: PolicySlots
    put_usage: Callable[[UsageRow], None] | None = None

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
        account = Account(self._cost, purpose="generate")
        account.settle(None)  # there is no call, and no turn
        asked = replace(await answers.prompt(answers.question(prompt)), account=account)
        async with aclosing(answers.sentences(asked)) as sentences:
            async for sentence in sentences:
                yield sentence.text

    def _cost(self, usage: Usage, turn_id: int | None) -> None:
        if self.put_usage is not None:
            self.put_usage(usage_row(usage, None, turn_id))
