"""What a request cost: the server's own count of its tokens, or an estimate that says so."""

from __future__ import annotations

from apps.core.errors import EngineError
from apps.llm.chat_stream import Tally
from apps.llm.gateway.provider import Provider
from apps.llm.usage import Outcome, Usage

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of German and English text per token, roughly, with the common vocabularies."""

_CODES = {
    "llm_at_capacity": Outcome.AT_CAPACITY,
    "llm_rejected": Outcome.REJECTED,
    "llm_first_token_late": Outcome.LATE,
    "llm_first_sentence_late": Outcome.LATE,
    "llm_out_of_time": Outcome.STOPPED,
}


def outcome_of(error: EngineError, *, handed_out: bool) -> Outcome:
    """Return what became of a request that raised an error.

    Args:
        error: The error.
        handed_out: Whether the caller may have heard some of the answer.
    """
    if handed_out:
        return Outcome.BROKE_OFF
    return _CODES.get(error.code, Outcome.FAILED)


def tokens(count: int | None, size: int) -> int:
    """Return the server's count, or an estimate by the text's size in bytes."""
    return -(-size // BYTES_PER_TOKEN) if count is None else count


def bill(
    provider: Provider, tally: Tally, outcome: Outcome, *, adapter: str = "", code: str = ""
) -> Usage:
    """Return what a request cost.

    A request that no server took cost nothing. One that was stopped, or that broke off, cost what
    had been written until then: the last count that the server told, or an estimate.

    Args:
        provider: Who was asked.
        tally: What is known of the answer.
        outcome: What became of the request.
        adapter: The adapter that the prompt named.
        code: The error's, where there was one.
    """
    taken = bool(tally.model)
    read = tokens(tally.prompt_tokens, tally.prompt_bytes) if taken else 0
    written = tokens(tally.completion_tokens, tally.answer_bytes) if taken else 0
    told = tally.prompt_tokens is not None and tally.completion_tokens is not None
    first_ms = tally.first_token_ms
    return Usage(
        provider=provider.name,
        model=tally.model or provider.model,
        outcome=outcome,
        adapter=adapter,
        adapter_missing=taken and tally.adapter_missing,
        code=code,
        prompt_tokens=read,
        completion_tokens=written,
        estimated=taken and not told,
        cost_micros=provider.price.micros(read, written),
        first_token_ms=None if first_ms is None else round(first_ms, 1),
    )
