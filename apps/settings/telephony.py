"""WebRTC and SIP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from apps.settings.base import AS_JSON, SettingsGroup


class TelephonySettings(SettingsGroup):
    """WebRTC and SIP."""

    # --- WebRTC (docs/doors/webrtc.md)
    ice_servers: str = Field(
        "",
        description="STUN and TURN servers for callers behind other networks: addresses such as"
        ' `stun:stun.example.org`, separated by commas, or JSON such as `[{"urls":'
        ' "turn:turn.example.org", "username": "tom", "credential": "..."}]`.',
        json_schema_extra={"secret": True},
    )
    turn_secret: str = Field(
        "",
        description="Shared with the TURN server (coturn's `static-auth-secret`): callers get"
        " credentials of their own for its servers in TOM_ICE_SERVERS that name none.",
        json_schema_extra={"secret": True},
    )

    # --- SIP (docs/doors/sip.md)
    sip: bool = Field(False, description="Take calls of telephones by SIP; `tom serve --sip`.")
    sip_host: str = Field("0.0.0.0", description="Address that SIP and RTP listen on.")  # noqa: S104
    sip_port: int = Field(5060, ge=0, le=65535, description="SIP's port for UDP and TCP.")
    sip_tls_port: int = Field(5061, ge=0, le=65535, description="SIP's port for TLS.")
    sip_transports: str = Field("udp,tcp", description="Which of `udp`, `tcp` and `tls` are open.")
    sip_tls_cert: Path | None = Field(None, description="Certificate of the TLS port, PEM.")
    sip_tls_key: Path | None = Field(None, description="Its key, PEM; in the same file when unset.")
    sip_tls_ca: Path | None = Field(
        None, description="Whom to believe when connecting out by TLS; the system's when unset."
    )
    sip_public_address: str = Field(
        "", description="IP address that telephones reach this server by, where NAT hides it."
    )
    sip_rtp_ports: str = Field(
        "10000-10999", description="UDP ports of the audio; a call takes two."
    )
    sip_codecs: str = Field(
        "OPUS,G722,PCMA,PCMU", description="Codecs that are spoken, the preferred one first."
    )
    sip_srtp: Literal["off", "offered", "required"] = Field(
        "offered", description="Encryption of audio with keys in the SDP: where the peer offers it."
    )
    sip_users: Annotated[dict[str, str], *AS_JSON] = Field(
        {},
        description='Who may call, as JSON `{"user": "password"}`; everybody when empty.',
        json_schema_extra={"secret": True},
    )
    sip_realm: str = Field("tom", description="What telephones show when asked for a password.")
    sip_digests: str = Field(
        "MD5",
        description="How passwords may be proved: `MD5`, `SHA-256` or both; old telephones give up"
        " where SHA-256 is offered.",
    )
    sip_allowed_peers: str = Field(
        "", description="Networks that may send SIP, as `10.0.0.0/8,192.0.2.7`; all when empty."
    )
    sip_profiles: Annotated[dict[str, str], *AS_JSON] = Field(
        {}, description='Profile by the number called, as JSON; `"*"` is every other number.'
    )
    sip_calls_per_minute: int = Field(
        30, ge=1, description="Calls that one address may begin in a minute."
    )
    sip_registrar: str = Field(
        "", description="A provider to register with, as `sip:provider.example`."
    )
    sip_proxy: str = Field(
        "", description="Where the provider's requests are sent; TOM_SIP_REGISTRAR when empty."
    )
    sip_user: str = Field("", description="This server's user, or number, at the provider.")
    sip_auth_user: str = Field("", description="Its name for the password, where that is another.")
    sip_password: str = Field("", description="Its password.", json_schema_extra={"secret": True})
