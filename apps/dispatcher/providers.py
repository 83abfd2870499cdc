"""The operator's hand on the providers: what they are doing, and which are asked first or not."""

from __future__ import annotations

import asyncio

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import StoreError
from apps.llm.gateway.choice import ProviderChoice, check_choice, read_choice
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.status import describe
from apps.store.database import Database
from apps.store.llm_choice import load_choice, save_choice

FOLLOW_S = 5.0
"""So long until a process takes over what an operator told another one."""

log = structlog.get_logger(__name__)


class ProviderDesk:
    """Shows and changes the providers of a running server; changes are kept in the store.

    Args:
        gateway: The providers.
        db: Where changes are kept, and shared with the other processes of the store.
        currency: Of their prices.
    """

    def __init__(self, gateway: Gateway, db: Database, currency: str) -> None:
        self._gateway, self._db, self._currency = gateway, db, currency

    def status(self) -> dict[str, object]:
        """Return the providers as JSON."""
        providers = describe(self._gateway, loop_ms() / 1000)
        choice = self._gateway.choice.as_dict()
        return {"providers": providers, "choice": choice, "currency": self._currency}

    async def change(
        self, *, first: list[str] | None = None, off: list[str] | None = None
    ) -> dict[str, object]:
        """Change which providers are asked, for answers from now on, and keep that.

        Args:
            first: Those that are asked before all others, in order; None leaves them as they are.
            off: Those that are not asked at all; None leaves them as they are.

        Returns:
            What `status` says then.

        Raises:
            ConfigError: It names one that is not in the list.
            StoreError: It cannot be kept; nothing has changed.
        """
        now = self._gateway.choice
        choice = ProviderChoice(
            now.first if first is None else tuple(first),
            now.off if off is None else frozenset(off),
        )
        check_choice(self._gateway.providers, choice)
        await self._db.run(save_choice, choice.as_dict())
        self._follow(choice)
        return self.status()

    async def take_over(self) -> None:
        """Take over what is kept.

        Raises:
            StoreError: It cannot be read.
        """
        self._follow(read_choice(await self._db.query(load_choice)))

    def _follow(self, choice: ProviderChoice) -> None:
        if choice != self._gateway.choice:
            self._gateway.use(choice)
            log.info("providers", order=[p.name for p in self._gateway.order()])

    async def follow(self) -> None:
        """Take over what other processes are told, for as long as this runs."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.take_over()
            except StoreError as error:
                log.warning("providers_not_followed", reason=error.message)
