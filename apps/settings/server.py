"""The server, and whom it trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from apps.settings.base import AS_JSON, SettingsGroup


class ServerSettings(SettingsGroup):
    """The server, and whom it trusts."""

    # --- server
    http_host: str = Field("127.0.0.1", description="Address that HTTP and WebSocket listen on.")
    http_port: int = Field(8080, ge=0, le=65535, description="Their port; 0 picks a free one.")
    max_calls: int = Field(
        8, ge=1, description="Calls at once; one more is refused with a clear `busy`."
    )
    door_max_calls: Annotated[dict[str, int], *AS_JSON] = Field(
        {}, description='The same for single doors by name, as JSON such as `{"sip": 20}`.'
    )
    drain_s: float = Field(
        30.0, ge=0, description="Seconds that live calls have left once the server is told to stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Transcripts and ids appear at `debug` alone."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")
    operator_token: str = Field(
        "",
        description="Opens operators' details from other machines; generated when empty.",
        json_schema_extra={"secret": True},
    )

    # --- trust
    tls_cert: Path | None = Field(
        None, description="Certificate chain as PEM; serves HTTPS and wss together with the key."
    )
    tls_key: Path | None = Field(None, description="Its private key as PEM.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of your reverse proxies, separated by commas: only"
        " theirs X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    trust_loopback: bool = Field(
        True,
        description="Whoever asks from this machine is an operator; false where a proxy on it"
        " brings other people's requests without saying so.",
    )
    allowed_origins: str = Field(
        "",
        description="Origins of other sites' pages that may call, separated by commas, such as"
        " `https://www.example.org`.",
    )
    require_call_token: bool = Field(
        False, description="Browsers and API clients of other machines need a call token."
    )
    calls_per_minute: int = Field(
        30, ge=0, description="New calls of one address a minute, not a carrier's; 0: no limit."
    )
    calls_per_address: int = Field(
        20, ge=0, description="Calls at once of one address, not a carrier's; 0: no limit."
    )
