"""What the SIP door is set up with."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from apps.core.errors import ConfigError
from apps.voice.doors.sip.uri import Uri
from apps.voice.rtp.negotiation import Abilities
from apps.voice.rtp.session import RtpOptions

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Account:
    """This server's account at a provider.

    Attributes:
        registrar: The provider's address, such as ``sip:provider.example``.
        user: The account's user.
        password: Its password.
        auth_user: The user's name for authentication, where that is another.
        expires_s: How long a registration is asked to last.
    """

    registrar: Uri
    user: str
    password: str
    auth_user: str = ""
    expires_s: int = 600

    @property
    def login(self) -> str:
        """The name for authentication."""
        return self.auth_user or self.user


@dataclass(frozen=True, slots=True)
class SipOptions:
    """How the SIP door is set up.

    Attributes:
        host: The address to listen on.
        port: The port of UDP and TCP; 0 for a free one.
        tls_port: The port of TLS.
        transports: Which of ``udp``, ``tcp`` and ``tls`` are open.
        public_host: The address that peers are told; found by itself when empty.
        realm: What passwords are for.
        users: Passwords of those who may call; without any, everybody may.
        allowed: Networks that may send requests; without any, all.
        profiles: The profile of a called user.
        calls_per_minute: How many calls one address may begin in a minute.
        account: The account at a provider, if there is one.
        rtp: How media ports are opened.
        abilities: Codecs and encryption.
        server_tls: The certificate of the TLS port.
        client_tls: Whom to believe when connecting out by TLS.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a telephone server listens everywhere
    port: int = 5060
    tls_port: int = 5061
    transports: tuple[str, ...] = ("udp", "tcp")
    public_host: str = ""
    realm: str = "tom"
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed: tuple[Network, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    calls_per_minute: int = 30
    account: Account | None = None
    rtp: RtpOptions = field(default_factory=RtpOptions)
    abilities: Abilities = field(default_factory=Abilities)
    server_tls: ssl.SSLContext | None = None
    client_tls: ssl.SSLContext | None = None


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the TLS context of the TLS port.

    Raises:
        ConfigError: The certificate or its key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificate of the SIP port cannot be used: {error}.",
            hint="Set TOM_SIP_TLS_CERT and TOM_SIP_TLS_KEY to PEM files.",
        ) from None
    return context
