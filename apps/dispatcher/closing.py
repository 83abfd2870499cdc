"""The end of a call: the policy's own closing question, and the rating that answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from apps.core.policy import PolicySlots
from apps.dispatcher.rating import parse_rating
from apps.llm.style import Line, wording

__all__ = ["ask_feedback", "closing_question", "on_the_line", "parse_rating"]


class LiveCaller(Protocol):
    """A caller who is on the line and can be asked."""

    async def rate(self) -> int | None:
        """Close the call with the rating question; returns the rating, or None without one."""
        ...


_on_the_line: dict[str, LiveCaller] = {}


@contextmanager
def on_the_line(call_id: str, caller: LiveCaller) -> Iterator[None]:
    """Make a live call known to `ask_feedback` while it lasts."""
    _on_the_line[call_id] = caller
    try:
        yield
    finally:
        del _on_the_line[call_id]


def closing_question(slots: PolicySlots, language: str) -> str:
    """Return the rating question in a policy's words."""
    return wording(language).line(Line.RATING_QUESTION, slots)


async def ask_feedback(call_id: str, session_context: Mapping[str, object]) -> int | None:
    """Ask a live caller for their rating and end the call (seed 004).

    The rating is stored with the call's other signals when the call is settled. Where no caller is
    on the line there is nobody to ask: nothing is asked, and nothing is stored.

    Args:
        call_id: The call's id.
        session_context: What the caller's side knows of the session; the live call knows better,
            so it serves for nothing here and is taken for seed 004's signature.

    Returns:
        The rating, 1 to 5; None when there is no live caller, or they gave none.
    """
    caller = _on_the_line.get(call_id)
    return await caller.rate() if caller is not None else None
