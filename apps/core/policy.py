"""The slots of a policy: what a prompt variant may change about a call.

The bandit chooses a variant (apps/rl); its slots reach the prompt, the voice and the turn-taking.
Values come from ``docs/policies/prompt_variants.yaml``, whose schema these enums are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.core.errors import ConfigError


class Greeting(StrEnum):
    """How the call is opened."""

    FORMAL = "formal"
    FRIENDLY = "friendly"
    BRIEF = "brief"


class Tone(StrEnum):
    """How an answer sounds: its words, and the voice's rate and pitch."""

    FACTUAL = "factual"
    WARM = "warm"
    LIVELY = "lively"


class Length(StrEnum):
    """How much of the answer is told at once."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


class InquiryMode(StrEnum):
    """What follows an answer: nothing, a check that it helped, or an offer of what comes next."""

    DIRECT = "direct"
    CONFIRM = "confirm"
    PROACTIVE = "proactive"


class BargeInSensitivity(StrEnum):
    """How readily the assistant falls silent when the caller speaks over it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class PolicySlots:
    """The five slots of a prompt variant; the defaults are the base variant's (v1a)."""

    greeting: Greeting = Greeting.FORMAL
    tone: Tone = Tone.FACTUAL
    length: Length = Length.MEDIUM
    inquiry_mode: InquiryMode = InquiryMode.DIRECT
    barge_in_sensitivity: BargeInSensitivity = BargeInSensitivity.MEDIUM

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, object]) -> PolicySlots:
        """Build slots from a variant's ``parameters``.

        Raises:
            ConfigError: A slot is unknown, or its value is.
        """
        kinds = {
            "greeting": Greeting,
            "tone": Tone,
            "length": Length,
            "inquiry_mode": InquiryMode,
            "barge_in_sensitivity": BargeInSensitivity,
        }
        unknown = sorted(set(parameters) - set(kinds))
        if unknown:
            raise ConfigError(
                f"Unknown policy slot {unknown[0]!r}.", hint=f"Slots are {', '.join(kinds)}."
            )
        values = {}
        for name, value in parameters.items():
            try:
                values[name] = kinds[name](str(value))
            except ValueError:
                raise ConfigError(
                    f"Policy slot {name} cannot be {value!r}.",
                    hint=f"Choose one of {', '.join(kinds[name])}.",
                ) from None
        return cls(**values)  # type: ignore[arg-type]  # each value was made by its slot's enum

    def as_dict(self) -> dict[str, str]:
        """Return the slots as plain strings."""
        return {
            "greeting": self.greeting.value,
            "tone": self.tone.value,
            "length": self.length.value,
            "inquiry_mode": self.inquiry_mode.value,
            "barge_in_sensitivity": self.barge_in_sensitivity.value,
        }


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is tried on a call: the policy's slots, and the adapter that words its answers.

    Attributes:
        slots: The policy's.
        adapter: The name under which a server serves it; None for the base model.
    """

    slots: PolicySlots = PolicySlots()
    adapter: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return it as plain strings; without an adapter, the slots alone."""
        adapter = {} if self.adapter is None else {"adapter": self.adapter}
        return {**self.slots.as_dict(), **adapter}
