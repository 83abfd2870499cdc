"""The doors that others stand before: carriers, Realtime clients, Asterisk."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from apps.settings.base import SettingsGroup


class CarrierSettings(SettingsGroup):
    """The doors that others stand before: carriers, Realtime clients, Asterisk."""

    # --- carriers: Twilio, Telnyx, Vonage
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+(/[^\s]*)?)?$",
        description="How carriers reach this server, such as `https://tom.example.org`; what they"
        " sign is checked over it. A request's own host when empty.",
    )
    twilio_auth_token: str = Field(
        "",
        description="Checks Twilio's signatures; without it Twilio's door is open to this machine"
        " alone.",
        json_schema_extra={"secret": True},
    )
    twilio_account_sid: str = Field(
        "", description="Twilio's account; with the token, callers can be handed over."
    )
    twilio_api_url: str = Field("https://api.twilio.com", description="Twilio's API.")
    telnyx_public_key: str = Field(
        "",
        description="Checks Telnyx' signatures, as its portal shows it; without it Telnyx' door is"
        " open to this machine alone.",
    )
    telnyx_api_key: str = Field(
        "",
        description="Telnyx' API key; with it, callers can be handed over.",
        json_schema_extra={"secret": True},
    )
    telnyx_api_url: str = Field("https://api.telnyx.com", description="Telnyx' API.")
    vonage_signature_secret: str = Field(
        "",
        description="Checks Vonage's signatures; without it Vonage's door is open to this machine"
        " alone.",
        json_schema_extra={"secret": True},
    )
    vonage_application_id: str = Field(
        "", description="Vonage's voice application; with its key, callers can be handed over."
    )
    vonage_private_key: Path | None = Field(
        None, description="File of that application's private key as PEM."
    )
    vonage_api_url: str = Field("https://api.nexmo.com", description="Vonage's API.")

    # --- OpenAI Realtime clients
    realtime_key: str = Field(
        "",
        description="The API key of OpenAI Realtime clients; without it they come from this machine"
        " alone, or with the operator token.",
        json_schema_extra={"secret": True},
    )

    # --- Asterisk
    asterisk_password: str = Field(
        "",
        description="Opens Asterisk's doors to other machines; without it to this machine alone.",
        json_schema_extra={"secret": True},
    )
    audiosocket_host: str = Field("127.0.0.1", description="Address that AudioSocket listens on.")
    audiosocket_port: int | None = Field(
        None, ge=0, le=65535, description="Its port, usually 9092; AudioSocket is off when unset."
    )
