"""What a provider is: where it is, what it serves, how long it may take, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import floor
from urllib.parse import urlsplit

EMBEDDED = "embedded"
"""The name of the embedded answerer, which ends every list."""


class Kind(StrEnum):
    """How a provider is spoken to; all but the last by the OpenAI chat API."""

    VLLM = "vllm"
    OLLAMA = "ollama"
    OPENAI = "openai"
    EMBEDDED = "embedded"

    @property
    def serves_adapters(self) -> bool:
        """Whether adapters are asked for as models of their own."""
        return self is Kind.VLLM

    @property
    def counts_as_it_goes(self) -> bool:
        """Whether every piece can bring the count of tokens so far, so that a stopped one does."""
        return self is Kind.VLLM


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost, in the currency's unit per million of them."""

    prompt: float = 0.0
    completion: float = 0.0

    def micros(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return what tokens cost, in millionths of the currency's unit, rounded half up.

        A price per million tokens is a price in millionths per token, so nothing is divided.
        """
        return floor(prompt_tokens * self.prompt + completion_tokens * self.completion + 0.5)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the list.

    Attributes:
        name: What metrics, the store and operators call it.
        kind: How it is spoken to.
        url: Its base URL, with or without ``/v1``; empty for the embedded one.
        model: The base model's name there.
        api_key: Sent as a bearer token when not empty; in no ``repr``.
        first_token_s: Deadline of its first token.
        total_s: Deadline of its whole answer.
        price: What its tokens cost.
        max_concurrent: So many answers at once at most; 0 for any number.
    """

    name: str
    kind: Kind
    url: str = field(default="", repr=False)
    model: str = ""
    api_key: str = field(default="", repr=False)
    first_token_s: float = 2.0
    total_s: float = 30.0
    price: Price = Price()
    max_concurrent: int = 0

    @property
    def host(self) -> str:
        """Where it is, without what may be secret in its URL: fit to be shown."""
        parts = urlsplit(self.url)
        if not parts.hostname:
            return ""
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    @property
    def root(self) -> str:
        """The server's URL without ``/v1``."""
        return self.url.rstrip("/").removesuffix("/v1")


EMBEDDED_PROVIDER = Provider(EMBEDDED, Kind.EMBEDDED)
