"""Handing a call over by REFER, and what its NOTIFYs tell (RFC 3515)."""

from __future__ import annotations

import asyncio
import re

from apps.voice.doors.sip.message import Request

_FRAGMENT = re.compile(rb"\s*SIP/2\.0\s+([1-6]\d\d)")


class Progress:
    """How far a hand-over has got; settled once, as whether it worked."""

    def __init__(self) -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def notified(self, notify: Request) -> None:
        """Take a NOTIFY: its body is the status line of the call to the person."""
        match = _FRAGMENT.match(notify.body)
        status = int(match[1]) if match else 0
        state = notify.headers.get("subscription-state").partition(";")[0].strip().lower()
        if status >= 200:
            self._settle(worked=status < 300)
        elif state == "terminated":  # nothing more will be told
            self._settle(worked=False)

    def left(self) -> None:
        """Take the peer's hanging up, which is what a blind transfer looks like from here."""
        self._settle(worked=True)

    def _settle(self, *, worked: bool) -> None:
        if not self.done.done():
            self.done.set_result(worked)
