"""The SIP door, from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from apps.core.errors import ConfigError
from apps.dispatcher.switchboard import Switchboard
from apps.settings import Settings
from apps.voice.doors.base import Dialer
from apps.voice.doors.sip.dial import SipDialer
from apps.voice.doors.sip.listen import sip_listener
from apps.voice.doors.sip.options import (
    SipOptions,
    client_context,
    read_account,
    read_codecs,
    read_digests,
    read_networks,
    read_ports,
    read_transports,
    server_context,
)
from apps.voice.rtp.negotiation import Abilities
from apps.voice.rtp.session import RtpOptions


async def open_sip(
    settings: Settings, switchboard: Switchboard, stack: AsyncExitStack
) -> Mapping[str, Dialer]:
    """Open the SIP door, if it is switched on, until the stack is closed.

    Returns:
        The way out that stands with it.

    Raises:
        ConfigError: A setting cannot be used, or a port cannot be had.
    """
    if not settings.sip:
        return {}
    endpoint = await stack.enter_async_context(
        sip_listener(_options(settings), switchboard.take, switchboard.admit)
    )
    return {"sip": SipDialer(endpoint)}


def _options(settings: Settings) -> SipOptions:
    """Return how the SIP door is set up.

    Raises:
        ConfigError: A setting cannot be used.
    """
    transports = read_transports(settings.sip_transports)
    certificate, key = settings.sip_tls_cert, settings.sip_tls_key
    if "tls" in transports and certificate is None:
        raise ConfigError("SIP over TLS needs a certificate.", hint="Set TOM_SIP_TLS_CERT.")
    return SipOptions(
        host=settings.sip_host,
        port=settings.sip_port,
        tls_port=settings.sip_tls_port,
        transports=transports,
        public_host=settings.sip_public_address,
        realm=settings.sip_realm,
        users=settings.sip_users,
        digests=read_digests(settings.sip_digests),
        allowed=read_networks(settings.sip_allowed_peers),
        profiles=settings.sip_profiles,
        calls_per_minute=settings.sip_calls_per_minute,
        account=read_account(
            settings.sip_registrar,
            settings.sip_user,
            settings.sip_password,
            settings.sip_auth_user,
            settings.sip_proxy,
        ),
        rtp=RtpOptions(settings.sip_host, read_ports(settings.sip_rtp_ports)),
        abilities=Abilities(read_codecs(settings.sip_codecs), settings.sip_srtp),
        server_tls=server_context(str(certificate), str(key or "")) if certificate else None,
        client_tls=client_context(str(settings.sip_tls_ca or "")),
    )
