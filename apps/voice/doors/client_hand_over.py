"""A hand-over that the client itself carries out, by a function of its own."""

from __future__ import annotations

import asyncio

from apps.core.errors import TransferFailed

TRANSFER_S = 10.0
"""So long a hand-over waits for what came of it."""


class ClientHandOver:
    """What came of one call's hand-overs, as the client tells."""

    def __init__(self) -> None:
        self._worked: asyncio.Future[bool] | None = None

    def begin(self) -> None:
        """Expect to be told of a hand-over, which is about to be asked for."""
        self._worked = asyncio.get_running_loop().create_future()

    def told(self, *, worked: bool) -> None:
        """Take what came of it; only the first time counts."""
        if self._worked is not None and not self._worked.done():
            self._worked.set_result(worked)

    async def outcome(self) -> None:
        """Wait for what came of it; a client that says nothing may have done it all the same.

        Raises:
            TransferFailed: The client says that it failed.
        """
        assert self._worked is not None
        try:
            async with asyncio.timeout(TRANSFER_S):
                worked = await self._worked
        except TimeoutError:
            return
        if not worked:
            raise TransferFailed("The client could not hand the caller over.")
