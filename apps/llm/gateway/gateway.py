"""Answers by the first provider that can, and by the embedded answerer where none can.

Another provider is asked only as long as nothing of the answer has been handed out: two voices in
one answer would contradict each other. Text is handed out from the first whole sentence on, since
nothing shorter is spoken; so an answer that breaks off within its first sentence is begun anew by
the next provider, without a word said twice. One that breaks off later is an error, which the call
apologises for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

import structlog

from apps.core.errors import EngineError
from apps.core.sentences import SentenceSplitter
from apps.llm.base import Generator
from apps.llm.chat_stream import Tally
from apps.llm.gateway import board as boards
from apps.llm.gateway.bill import bill, outcome_of
from apps.llm.gateway.board import Seat
from apps.llm.gateway.breaker import Policy
from apps.llm.gateway.choice import ProviderChoice, arranged
from apps.llm.gateway.provider import EMBEDDED, Kind, Provider
from apps.llm.openai import OpenAiGenerator
from apps.llm.prompt import Prompt
from apps.llm.refusals import ServerBusy
from apps.llm.usage import Outcome, Usage

_log = structlog.get_logger(__name__)


class Observer(Protocol):
    """What watches a gateway."""

    def used(self, usage: Usage) -> None:
        """A request has ended."""
        ...

    def fell_back(self) -> None:
        """An answer came from another provider than the first."""
        ...


class Gateway:
    """All providers of a server, shared by its calls.

    Args:
        providers: In order; the embedded answerer last.
        embedded: That one.
        servers: A client for each other provider, by name.
        patience_s: All servers together have so long for an answer's first sentence.
        policy: When a server that fails is left alone.
        observer: Told of every request; may be None.
    """

    name = "gateway"

    def __init__(
        self,
        providers: Sequence[Provider],
        embedded: Generator,
        servers: Mapping[str, OpenAiGenerator],
        *,
        patience_s: float = 6.0,
        policy: Policy | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.providers = tuple(providers)
        self._embedded, self._servers = embedded, servers
        self._patience_s, self.policy = patience_s, policy or Policy()
        self._observer = observer
        self._board = {name: Seat() for name in servers}
        self._choice = ProviderChoice()
        self._order = arranged(self.providers, self._choice)

    # --- answering

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield an answer; see Generator.

        Raises:
            EngineError: A provider failed after it had begun to answer.
        """
        order = self._order  # a turn that is under way keeps to the order it began with
        until_s = _now_s() + self._patience_s
        tried: list[str] = []
        while (provider := self._next(order, tried, until_s)).kind is not Kind.EMBEDDED:
            tried.append(provider.name)
            begun = False
            try:
                async with aclosing(self._ask(provider, prompt, until_s)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            begun = True
                            self._answered_by(provider, order)
                        yield piece
                return
            except EngineError as error:
                if begun:
                    _log.error("answer broke off", provider=provider.name, code=error.code)
                    raise
                _log.warning(
                    "generator falls back",
                    provider=provider.name,
                    code=error.code,
                    reason=error.message,
                )
        self._answered_by(provider, order)
        async with aclosing(self._embedded.stream(prompt)) as pieces:
            async for piece in pieces:
                yield piece
        self._book(prompt, _embedded_usage(prompt))

    def _next(self, order: Sequence[Provider], tried: Sequence[str], until_s: float) -> Provider:
        now_s = _now_s()
        if now_s >= until_s:
            return order[-1]
        return boards.choose(order, self._board, tried, now_s, self.policy).provider

    async def _ask(
        self, provider: Provider, prompt: Prompt, until_s: float
    ) -> AsyncGenerator[str, None]:
        """Yield one provider's answer, from its first sentence on."""
        name, tally = provider.name, Tally()
        self._board[name], ticket = boards.begin(self._board[name], _now_s(), self.policy)
        outcome, code, handed_out = Outcome.STOPPED, "", False
        retry_after_s: float | None = None
        try:
            async with aclosing(self._servers[name].stream(prompt, tally)) as pieces:
                opening = await _opening(pieces, provider, until_s)
                handed_out = True
                yield opening
                async for piece in pieces:
                    yield piece
            outcome = Outcome.ANSWERED
        except EngineError as error:
            outcome, code = outcome_of(error, handed_out=handed_out), error.code
            if isinstance(error, ServerBusy):
                retry_after_s = error.retry_after_s
            raise
        except Exception as error:  # a defect must not end the call: the next provider answers
            # Its words, and where it arose, may hold the caller's.
            _log.error("provider_crashed", provider=name, error=type(error).__name__)
            outcome, code = Outcome.FAILED, "llm_defect"
            raise EngineError("A fault ended the answer.", code=code) from None
        finally:
            before = self._board[name]
            self._board[name] = boards.end(
                before,
                ticket,
                outcome,
                _now_s(),
                self.policy,
                spoke=tally.first_token_ms is not None,
                retry_after_s=retry_after_s,
            )
            state = self._board[name].breaker.state
            if state is not before.breaker.state:
                _log.warning("provider_breaker", provider=name, state=state.value)
            self._book(prompt, bill(provider, tally, outcome, adapter=prompt.adapter, code=code))

    def _answered_by(self, provider: Provider, order: Sequence[Provider]) -> None:
        if provider is not order[0] and self._observer is not None:
            self._observer.fell_back()

    def _book(self, prompt: Prompt, usage: Usage) -> None:
        if usage.adapter_missing:
            _log.warning(
                "adapter_missing", provider=usage.provider, adapter=usage.adapter, to=usage.model
            )
        if prompt.account is not None:
            prompt.account.book(usage)
        if self._observer is not None:
            self._observer.used(usage)

    # --- operators

    def use(self, choice: ProviderChoice) -> None:
        """Ask the providers in another order, from the next answer on.

        Names that are not in the list are passed over; `check_choice` finds them.
        """
        self._choice, self._order = choice, arranged(self.providers, choice)

    @property
    def choice(self) -> ProviderChoice:
        """What an operator changed."""
        return self._choice

    def order(self) -> tuple[Provider, ...]:
        """Return the providers that the next answer is asked of, in order."""
        return self._order

    def seat(self, name: str) -> Seat:
        """Return what is known of a server."""
        return self._board[name]

    async def probe(self, name: str) -> None:
        """Ask a server whether it is well, and remember what it says."""
        provider = next(p for p in self.providers if p.name == name)
        path = "/api/tags" if provider.kind is Kind.OLLAMA else "/v1/models"
        trouble = await self._servers[name].probe(path)
        self._board[name] = boards.probed(self._board[name], trouble)

    async def close(self) -> None:
        """Close every client."""
        for server in self._servers.values():
            await server.close()
        await self._embedded.close()


def _embedded_usage(prompt: Prompt) -> Usage:
    missing = bool(prompt.adapter)
    return Usage(EMBEDDED, "", Outcome.ANSWERED, adapter=prompt.adapter, adapter_missing=missing)


async def _opening(pieces: AsyncGenerator[str, None], provider: Provider, until_s: float) -> str:
    """Return an answer's text up to where its first sentence is whole.

    Raises:
        EngineError: It was not there in time, or the answer is blank.
    """
    began_s = _now_s()
    splitter, text = SentenceSplitter(), ""
    try:
        async with asyncio.timeout_at(until_s):
            async for piece in pieces:
                text += piece
                if any(sentence.strip() for sentence in splitter.push(piece)):
                    return text
    except TimeoutError as error:
        # One that was asked late, because others had used up the time, has not failed.
        fair = until_s - began_s >= provider.first_token_s
        raise EngineError(
            "The language server's first sentence took too long.",
            hint="Raise TOM_LLM_PATIENCE_S or make the server faster.",
            code="llm_first_sentence_late" if fair else "llm_out_of_time",
        ) from error
    if not text.strip():
        raise EngineError("The language server answered nothing.", code="llm_empty")
    return text


def _now_s() -> float:
    return asyncio.get_running_loop().time()
