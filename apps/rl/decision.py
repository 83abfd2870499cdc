"""What a call was given, and how probable that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.core.policy import PolicySlots


@dataclass(frozen=True, slots=True)
class Decision:
    """The variant of one call.

    Attributes:
        variant: Its id.
        propensity: The probability with which it was chosen, after the guard.
        propensities: The same of every variant.
        stages: Every variant's stage (``base``, ``new``, ...).
        why: Why it was chosen, in a sentence.
        learns: Whether this call's reward counts.
        state_version: The last feedback event that the choice knew of.
        slots: What the variant sets.
        adapter: Served name of the adapter that words the call's answers; None for the base model.
        watched: Whether the call is one of those on which adapters are compared.
    """

    variant: str
    propensity: float
    propensities: Mapping[str, float]
    stages: Mapping[str, str]
    why: str
    learns: bool
    state_version: int
    slots: PolicySlots
    adapter: str | None = None
    watched: bool = False
