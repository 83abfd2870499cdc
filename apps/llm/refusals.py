"""What a language server's refusal means: no room, a request that it will not have, or a fault."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from apps.core.clock import utc_now
from apps.core.errors import EngineError, EngineUnavailable

_NO_ROOM = (429, 503)
_NOT_THIS_REQUEST = (400, 413, 422)


class ServerBusy(EngineError):
    """A server that has no room for another answer: not a failure.

    Args:
        retry_after_s: When it says that there will be room; None where it does not say.
    """

    code = "llm_at_capacity"

    def __init__(self, retry_after_s: float | None) -> None:
        super().__init__("The language server has no room for another answer.")
        self.retry_after_s = retry_after_s


class RequestRejected(EngineError):
    """A server that is well, and will not have this request: it may be too long for its model."""

    code = "llm_rejected"


def refused(response: httpx.Response) -> EngineError:
    """Return the error that a response without success means; its body is not read."""
    status = response.status_code
    if status in _NO_ROOM:
        return ServerBusy(retry_after_s(response.headers.get("retry-after", ""), utc_now()))
    if status in _NOT_THIS_REQUEST:
        return RequestRejected(
            f"The language server will not have this request (HTTP {status}).",
            hint="The prompt may be too long for its model: raise the server's longest length.",
        )
    return EngineUnavailable(
        f"The language server answered with HTTP {status}.",
        hint="Check the provider's URL, model and key.",
        code="llm_refused",
    )


def retry_after_s(header: str, now: datetime) -> float | None:
    """Return what a Retry-After header says, in seconds from now; None when it says nothing.

    It is a number of seconds or a date (RFC 9110, 10.2.3); a date that has passed is 0.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
