"""Keys that come as INFO requests, as some telephones and exchanges send them."""

from __future__ import annotations

import re

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.message import Request

TYPES = "application/dtmf-relay, application/dtmf"
MAX_BODY_BYTES = 200
_SIGNAL = re.compile(
    rb"^[ \t]*signal[ \t]*=[ \t]*([0-9*#])[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


def read_key(info: Request) -> str:
    """Return the key that an INFO is about; empty when it is about none.

    Raises:
        ProtocolError: Its body is of an unknown type.
    """
    body = info.body[:MAX_BODY_BYTES]
    match info.content_type:
        case "application/dtmf-relay":
            found = _SIGNAL.search(body)
            return found[1].decode() if found else ""
        case "application/dtmf":
            key = body.strip().decode("ascii", "replace")
            return key if key in tuple("0123456789*#") else ""
        case "":
            return ""
    raise ProtocolError("An INFO has a body of an unknown type.", code="unknown_type")
