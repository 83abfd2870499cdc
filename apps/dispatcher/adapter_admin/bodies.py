"""What the adapters' listener takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_PROMPT_CHARS = 4000
Name = Annotated[str, Field(min_length=1, max_length=120)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoadAdapter(_Body):
    """Which adapter the language server is to load: one that the registry has."""

    adapter: Name


class ChangeAdapter(_Body):
    """Which adapter is to be rolled out, or taken back, and why."""

    adapter: Name
    why: str = Field("", max_length=300)


class RoutePrompt(_Body):
    """A prompt whose route is asked for."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARS)


class Generate(RoutePrompt):
    """A prompt that is to be answered.

    Attributes:
        adapter: ``auto`` lets the router decide, ``base`` asks the base model, anything else is a
            loaded adapter's id or served name.
        profile: Whose knowledge it is answered from; the server's default when empty.
        language: The answer's.
        stream: Whether the answer comes as server-sent events.
    """

    adapter: Name = "auto"
    profile: str = Field("", max_length=120)
    language: Literal["de", "en"] = "en"
    stream: bool = True


class UpdateFeedback(_Body):
    """How good a routed answer was: a rating in stars, or a reward."""

    decision_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    rating: int | None = Field(None, ge=1, le=5)
    reward: float | None = Field(None, ge=-1.0, le=1.0)

    @model_validator(mode="after")
    def _one_of_them(self) -> UpdateFeedback:
        if (self.rating is None) == (self.reward is None):
            raise ValueError("send either a rating or a reward")
        return self

    @property
    def value(self) -> float:
        """The reward in [-1, 1]; three stars are 0."""
        return (self.rating - 3) / 2 if self.rating is not None else float(self.reward or 0.0)
