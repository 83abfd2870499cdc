"""Session timers (RFC 4028): a call whose other end has vanished is noticed, and ended."""

from __future__ import annotations

from dataclasses import dataclass

from apps.voice.doors.sip.message import Request, Response

MIN_SE_S = 90
DEFAULT_S = 1800
MAX_S = 86_400


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """What was agreed.

    Attributes:
        interval_s: So long a session lives without being refreshed.
        we_refresh: Whether this side refreshes it.
    """

    interval_s: int
    we_refresh: bool

    @property
    def refresh_after_s(self) -> float:
        """When this side refreshes: after half the time."""
        return self.interval_s / 2

    @property
    def expires_after_s(self) -> float:
        """When a session that the peer did not refresh is given up, somewhat before its end."""
        return self.interval_s - min(32.0, self.interval_s / 3)


def too_small(request: Request) -> bool:
    """Tell whether a request wants to be refreshed more often than this side does."""
    wanted = request.number("session-expires")
    return wanted is not None and wanted < MIN_SE_S


def agree(request: Request) -> tuple[SessionTimer | None, tuple[tuple[str, str], ...]]:
    """Return what is agreed with a peer's INVITE or UPDATE, and the answer's headers for it.

    A peer that does not speak of session timers is refreshed by this side, so that its vanishing
    is noticed all the same.
    """
    supports = "timer" in request.headers.tokens("supported")
    wanted = request.number("session-expires")
    interval_s = max(min(wanted or DEFAULT_S, MAX_S), MIN_SE_S, request.number("min-se") or 0)
    refresher = _refresher(request.headers.get("session-expires"))
    if not supports:
        return SessionTimer(interval_s, we_refresh=True), _lines(interval_s, "uas", required=False)
    who = refresher or "uac"
    return SessionTimer(interval_s, who == "uas"), _lines(interval_s, who, required=who == "uac")


def agreed(response: Response) -> SessionTimer | None:
    """Return what a 2xx to this side's INVITE or UPDATE agrees to; None without a timer."""
    interval_s = response.number("session-expires")
    if not interval_s:
        return None
    refresher = _refresher(response.headers.get("session-expires"))
    return SessionTimer(max(interval_s, MIN_SE_S), refresher != "uas")


def offered(interval_s: int = DEFAULT_S) -> tuple[tuple[str, str], ...]:
    """Return the headers by which this side's INVITE offers a timer."""
    return (("session-expires", f"{interval_s}"), ("min-se", f"{MIN_SE_S}"))


def _refresher(value: str) -> str:
    for part in value.split(";")[1:]:
        name, _, who = part.partition("=")
        if name.strip().lower() == "refresher" and who.strip().lower() in ("uac", "uas"):
            return who.strip().lower()
    return ""


def _lines(interval_s: int, who: str, *, required: bool) -> tuple[tuple[str, str], ...]:
    lines = (("session-expires", f"{interval_s};refresher={who}"),)
    return (*lines, ("require", "timer")) if required else lines
