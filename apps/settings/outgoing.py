"""Calls that TOM makes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup


class OutgoingSettings(SettingsGroup):
    """Calls that TOM makes."""

    outgoing_caller_id: str = Field(
        "",
        description="The number that callees see; Twilio needs one of your own. The SIP account's"
        " when empty.",
    )
    outgoing_ring_s: float = Field(30.0, ge=5, le=120, description="So long it may ring.")
    outgoing_prefixes: str = Field(
        "",
        description="Beginnings of the numbers that may be called, separated by commas, such as"
        " `+49,+43`; all may when empty.",
    )
    outgoing_holidays: str = Field(
        "",
        description="Days without outgoing calls, separated by commas: `12-25` each year,"
        " `2027-03-26` once.",
    )
    outgoing_max_per_day: int = Field(3, ge=1, description="Attempts per number and day.")
    outgoing_retries: int = Field(
        2, ge=0, le=10, description="Further attempts where nobody was reached."
    )
    outgoing_retry_s: float = Field(
        900.0, ge=10, description="Wait before the first of them; each further one waits double."
    )
    answering_machine: Literal["hangup", "message", "ignore"] = Field(
        "hangup",
        description="Where a machine picks up: hang up, leave one short message after its beep, or"
        " talk to it like to anybody.",
    )
