"""What a carrier is told to do with a call: TwiML, which TeXML follows, and Vonage's NCCO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from apps.core.errors import TransferFailed
from apps.core.person import telephone_number

MAX_SUMMARY_CHARS = 300
"""A summary travels in a SIP header, which must not grow without end."""

REJECT_BUSY = '<Reject reason="busy"/>'
HANG_UP = "<Hangup/>"


def document(*verbs: str) -> str:
    """Return a whole document of these verbs."""
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'


def connect(attributes: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """Return the verb that brings a call's audio to a stream, both ways."""
    inner = "".join(
        f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in parameters.items()
    )
    named = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    return f"<Connect><Stream{named}>{inner}</Stream></Connect>"


def dial(target: str, summary: str) -> str:
    """Return the verb that connects a call to a person.

    Args:
        target: A telephone number or a SIP address.
        summary: For the person; travels to a SIP address as the header X-TOM-Summary.

    Raises:
        TransferFailed: The target is neither.
    """
    if number := telephone_number(target):
        return f"<Dial><Number>{escape(number)}</Number></Dial>"
    uri = sip_uri(target)
    header = f"{'&' if '?' in uri else '?'}X-TOM-Summary={quote(summary[:MAX_SUMMARY_CHARS])}"
    return f"<Dial><Sip>{escape(uri + header)}</Sip></Dial>"


def connect_person(target: str, summary: str, called: str) -> list[dict[str, Any]]:
    """Return the NCCO that connects a call to a person.

    Args:
        target: A telephone number or a SIP address.
        summary: For the person, as above.
        called: The number that was called, which the person is shown.

    Raises:
        TransferFailed: The target is neither.
    """
    if number := telephone_number(target):
        endpoint: dict[str, Any] = {"type": "phone", "number": number.lstrip("+")}
    else:
        header = {"X-TOM-Summary": quote(summary[:MAX_SUMMARY_CHARS])}
        endpoint = {"type": "sip", "uri": sip_uri(target), "headers": header}
    action: dict[str, Any] = {"action": "connect", "endpoint": [endpoint]}
    return [action | ({"from": called} if called else {})]


def sip_uri(target: str) -> str:
    """Return a target that is a SIP address.

    Raises:
        TransferFailed: It is none.
    """
    if not target.lower().startswith(("sip:", "sips:")):
        raise TransferFailed("The profile's hand-over target is no number and no SIP address.")
    return target
