"""What a generator is: a prompt in, an answer out as it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from apps.llm.prompt import Prompt


class Generator(Protocol):
    """Answers prompts; shared by all calls."""

    name: str

    def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the answer in pieces; joined they are the whole. Close it to stop early.

        Raises:
            EngineError: No answer could be made, or it broke off.
        """
        ...

    async def close(self) -> None:
        """Free what the generator holds."""
        ...
