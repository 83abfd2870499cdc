"""What the SIP door is set up with."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from apps.core.errors import ConfigError, ProtocolError
from apps.voice.doors.sip.auth import ALGORITHMS
from apps.voice.doors.sip.uri import Uri, read_uri
from apps.voice.rtp.negotiation import CODECS, Abilities
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
        proxy: Where its requests are sent, where that is not the registrar's own address.
        expires_s: How long a registration is asked to last.
    """

    registrar: Uri
    user: str
    password: str = field(repr=False)
    auth_user: str = ""
    proxy: Uri | None = None
    expires_s: int = 600

    @property
    def login(self) -> str:
        """The name for authentication."""
        return self.auth_user or self.user

    @property
    def hop(self) -> Uri:
        """Where requests to the provider are sent."""
        return self.proxy or self.registrar


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
        digests: The algorithms by which a password may be proved.
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
    digests: tuple[str, ...] = ("MD5",)
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


def read_transports(text: str) -> tuple[str, ...]:
    """Read a list of transports.

    Raises:
        ConfigError: It names another, or none.
    """
    found = tuple(dict.fromkeys(_list(text.lower())))
    if not found or not set(found) <= {"udp", "tcp", "tls"}:
        raise ConfigError(
            f"TOM_SIP_TRANSPORTS cannot be used: {text!r}.",
            hint="It is a list of udp, tcp and tls.",
        )
    return found


def read_ports(text: str) -> tuple[int, int]:
    """Read a range of ports.

    Raises:
        ConfigError: It is none, or has no room for a call.
    """
    first, _, last = text.partition("-")
    if first.strip().isdecimal() and last.strip().isdecimal():
        ports = int(first), int(last)
        if 1024 <= ports[0] < ports[1] <= 65_535:
            return ports
    raise ConfigError(
        f"TOM_SIP_RTP_PORTS cannot be used: {text!r}.", hint="It is a range such as 10000-10999."
    )


def read_codecs(text: str) -> tuple[str, ...]:
    """Read a list of codecs.

    Raises:
        ConfigError: It names one that is not spoken, or none.
    """
    found = tuple(dict.fromkeys(_list(text.upper().replace("G.722", "G722"))))
    if not found or not set(found) <= set(CODECS):
        raise ConfigError(
            f"TOM_SIP_CODECS cannot be used: {text!r}.", hint=f"Possible are {', '.join(CODECS)}."
        )
    return found


def read_digests(text: str) -> tuple[str, ...]:
    """Read a list of digest algorithms.

    Raises:
        ConfigError: It names another, or none.
    """
    found = tuple(dict.fromkeys(_list(text.upper())))
    if not found or not set(found) <= set(ALGORITHMS):
        raise ConfigError(
            f"TOM_SIP_DIGESTS cannot be used: {text!r}.",
            hint=f"Possible are {', '.join(ALGORITHMS)}.",
        )
    return found


def read_networks(text: str) -> tuple[Network, ...]:
    """Read a list of networks and addresses.

    Raises:
        ConfigError: One of them is neither.
    """
    try:
        return tuple(ip_network(part, strict=False) for part in _list(text))
    except ValueError as error:
        raise ConfigError(
            f"TOM_SIP_ALLOWED_PEERS cannot be used: {error}.",
            hint="It is a list of networks and addresses, such as 10.0.0.0/8,192.0.2.7.",
        ) from None


def read_account(
    registrar: str, user: str, password: str, auth_user: str = "", proxy: str = ""
) -> Account | None:
    """Return the account at a provider, or None where there is none.

    Raises:
        ConfigError: An address is no SIP URI, or there is no user.
    """
    if not registrar:
        return None
    if not user:
        raise ConfigError("TOM_SIP_REGISTRAR needs a user.", hint="Set TOM_SIP_USER.")
    at = _read_provider("TOM_SIP_REGISTRAR", registrar)
    by = _read_provider("TOM_SIP_PROXY", proxy) if proxy else None
    return Account(at, user, password, auth_user, by)


def _read_provider(name: str, text: str) -> Uri:
    try:
        return read_uri(text if text.startswith(("sip:", "sips:")) else f"sip:{text}")
    except ProtocolError:
        raise ConfigError(
            f"{name} cannot be used.", hint="It is like sip:provider.example;transport=tcp."
        ) from None


def client_context(authority: str) -> ssl.SSLContext:
    """Return the TLS context for connecting out.

    Raises:
        ConfigError: The authority's certificate cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=authority or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TOM_SIP_TLS_CA cannot be used: {error}.") from None


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
