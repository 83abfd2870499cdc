"""What an answer cost, and who it was made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one request to a provider."""

    ANSWERED = "answered"
    STOPPED = "stopped"
    """Nobody wanted more of it: the caller spoke, hung up, or a draft was thrown away."""
    LATE = "late"
    FAILED = "failed"
    BROKE_OFF = "broke_off"
    """It failed after its first sentence had been handed out."""
    AT_CAPACITY = "at_capacity"
    REJECTED = "rejected"
    """The server is well, and will not have this request."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One request to one provider.

    Attributes:
        provider: Its name in the list.
        model: The model that was asked, by the server's own name for it.
        adapter: The adapter that the prompt named; empty for none.
        adapter_missing: Whether the provider answered without it.
        outcome: What became of the request.
        code: The error's code where there was one.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        estimated: Whether the tokens are an estimate; the server told none.
        cost_micros: Their price in millionths of the currency's unit.
        first_token_ms: Until the first text was there; None when there was none.
        purpose: ``answer`` for a caller, ``shadow`` for one that nobody hears.
    """

    provider: str
    model: str
    outcome: Outcome
    adapter: str = ""
    adapter_missing: bool = False
    code: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_micros: int = 0
    first_token_ms: float | None = None
    purpose: str = "answer"


class Account:
    """Who one answer is made for; takes what its requests cost.

    An answer may be begun before anybody knows which turn it belongs to, if to any. What it costs
    is held until that is settled.

    Args:
        post: Takes each usage with the turn that it belongs to, or None.
        purpose: What the answer is for; see `Usage`.
    """

    __slots__ = ("_held", "_post", "_purpose", "_settled", "_turn_id")

    def __init__(
        self, post: Callable[[Usage, int | None], None], *, purpose: str = "answer"
    ) -> None:
        self._post, self._purpose = post, purpose
        self._held: list[Usage] = []
        self._settled = False
        self._turn_id: int | None = None

    def book(self, usage: Usage) -> None:
        """Take what one request cost."""
        usage = replace(usage, purpose=self._purpose)
        if self._settled:
            self._post(usage, self._turn_id)
        else:
            self._held.append(usage)

    def settle(self, turn_id: int | None) -> None:
        """Say which turn the answer belongs to, or None for none; what is said first counts."""
        if self._settled:
            return
        self._settled, self._turn_id = True, turn_id
        held, self._held = self._held, []
        for usage in held:
            self._post(usage, turn_id)

    def shadow(self) -> Account:
        """Return an account of the same turn for an answer that nobody will hear."""
        account = Account(self._post, purpose="shadow")
        account.settle(self._turn_id)
        return account
