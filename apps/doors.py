"""Which doors are open, from the settings: their routes, and what listens beside HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog
from fastapi import APIRouter

from apps.core.addresses import is_loopback
from apps.core.errors import ConfigError
from apps.dispatcher.outgoing.calls import OutgoingCalls
from apps.dispatcher.outgoing.decide import REFUSALS, Rules, read_holidays
from apps.dispatcher.outgoing.status import RESULTS
from apps.dispatcher.outgoing.twilio import TwilioDialer
from apps.dispatcher.routes import (
    asterisk,
    calls,
    outgoing,
    realtime,
    rtvi,
    telnyx,
    tokens,
    twilio,
    vonage,
    whip,
)
from apps.dispatcher.routes.peer_calls import PeerCalls
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.trust import AddressLimits, is_origin
from apps.settings import Settings
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.listener import AudioSocketListener
from apps.voice.doors.base import Dialer
from apps.voice.doors.carriers.handovers import TelnyxCalls, TwilioCalls, VonageCalls
from apps.voice.doors.carriers.signatures import rsa_key, telnyx_key
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
from apps.voice.doors.webrtc.ice import IceServer, read_ice_servers, with_credentials
from apps.voice.rtp.negotiation import Abilities
from apps.voice.rtp.session import RtpOptions

DOORS = (
    "websocket",
    "twilio",
    "telnyx",
    "vonage",
    "asterisk",
    "audiosocket",
    "sip",
    "realtime",
    "webrtc",
    "outgoing",
    "rtvi",
)
"""Every door there is, by the name that metrics and the store know it by."""


log = structlog.get_logger(__name__)


def routers(
    settings: Settings,
    reception: Reception,
    desk: Desk,
    dialers: Mapping[str, Dialer],
    stack: AsyncExitStack,
) -> Sequence[APIRouter]:
    """Return the routes of every door that comes in over HTTP, and of the calls that go out.

    Args:
        settings: All settings.
        reception: What the doors share.
        desk: What Asterisk announced.
        dialers: The ways out that `listen` returned.
        stack: Closed when the server stops.

    Raises:
        ConfigError: A door's key cannot be used.
    """
    return (
        calls.router(reception),
        tokens.router(reception),
        realtime.router(reception, settings.realtime_key),
        _twilio(settings, reception),
        _telnyx(settings, reception),
        _vonage(settings, reception),
        asterisk.router(reception, desk, password=settings.asterisk_password),
        _whip(settings, reception, stack),
        _rtvi(settings, reception, stack),
        _outgoing(settings, reception, dialers, stack),
    )


async def listen(
    settings: Settings, reception: Reception, desk: Desk, stack: AsyncExitStack
) -> Mapping[str, Dialer]:
    """Open the doors that are no HTTP routes, until the stack is closed.

    Returns:
        The ways out that stand with them.

    Raises:
        ConfigError: An address cannot be listened on.
    """
    if settings.audiosocket_port is not None:
        # A password stands for other machines: who knows it has announced the call by it.
        trusted = (lambda address: False) if settings.asterisk_password else is_loopback
        audiosocket = AudioSocketListener(
            reception.switchboard.take, desk, trusted, now_s=reception.now_s
        )
        port = await stack.enter_async_context(
            audiosocket.listen(settings.audiosocket_host, settings.audiosocket_port)
        )
        log.info("listening", door="audiosocket", host=settings.audiosocket_host, port=port)
    if not settings.sip:
        return {}
    switchboard = reception.switchboard
    endpoint = await stack.enter_async_context(
        sip_listener(_sip_options(settings), switchboard.take, switchboard.admit)
    )
    return {"sip": SipDialer(endpoint)}


def _outgoing(
    settings: Settings,
    reception: Reception,
    dialers: Mapping[str, Dialer],
    stack: AsyncExitStack,
) -> APIRouter:
    """Return the routes by which calls are made.

    Raises:
        ConfigError: TOM_OUTGOING_HOLIDAYS names something that is no day.
    """
    ways = dict(dialers)
    account, token = settings.twilio_account_sid, settings.twilio_auth_token
    if account and token and settings.public_url and settings.outgoing_caller_id:
        ways["twilio"] = TwilioDialer(
            reception.expected,
            base_url=settings.twilio_api_url,
            account_sid=account,
            auth_token=token,
            stream_url=f"ws{settings.public_url.removeprefix('http').rstrip('/')}/twilio",
        )
    prefixes = (part.strip() for part in settings.outgoing_prefixes.split(","))
    made = OutgoingCalls(
        reception.switchboard,
        ways,
        Rules(
            prefixes=tuple(part for part in prefixes if part),
            holidays=read_holidays(settings.outgoing_holidays),
            max_per_day=settings.outgoing_max_per_day,
            retries=settings.outgoing_retries,
            retry_s=settings.outgoing_retry_s,
        ),
        machines=settings.answering_machine,
        caller_id=settings.outgoing_caller_id,
        ring_s=settings.outgoing_ring_s,
    )
    stack.push_async_exit(made)
    reception.switchboard.services.metrics.know_outgoing([*RESULTS, *REFUSALS])
    return outgoing.router(reception, made)


def _sip_options(settings: Settings) -> SipOptions:
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


def _whip(settings: Settings, reception: Reception, stack: AsyncExitStack) -> APIRouter:
    peers = PeerCalls(reception, "webrtc")
    stack.push_async_callback(peers.aclose)
    return whip.router(reception, peers, _ice_servers(settings, reception))


def _rtvi(settings: Settings, reception: Reception, stack: AsyncExitStack) -> APIRouter:
    peers = PeerCalls(reception, "rtvi")
    stack.push_async_callback(peers.aclose)
    return rtvi.router(reception, peers, _ice_servers(settings, reception))


def _ice_servers(settings: Settings, reception: Reception) -> Callable[[], Sequence[IceServer]]:
    servers = read_ice_servers(settings.ice_servers)
    return lambda: with_credentials(servers, settings.turn_secret, reception.now_s())


def _twilio(settings: Settings, reception: Reception) -> APIRouter:
    account, token = settings.twilio_account_sid, settings.twilio_auth_token
    calls_there = (
        TwilioCalls(settings.twilio_api_url, account, token) if account and token else None
    )
    return twilio.router(
        reception,
        auth_token=token,
        hand_over=calls_there.hand_over if calls_there else None,
        public_url=settings.public_url,
    )


def _telnyx(settings: Settings, reception: Reception) -> APIRouter:
    public_key, api_key = settings.telnyx_public_key, settings.telnyx_api_key
    calls_there = TelnyxCalls(settings.telnyx_api_url, api_key) if api_key else None
    return telnyx.router(
        reception,
        public_key=telnyx_key(public_key) if public_key else None,
        hand_over=calls_there.hand_over if calls_there else None,
        public_url=settings.public_url,
    )


def _vonage(settings: Settings, reception: Reception) -> APIRouter:
    application, path = settings.vonage_application_id, settings.vonage_private_key
    hand_over = None
    if application and path:
        try:
            key = rsa_key(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"TOM_VONAGE_PRIVATE_KEY cannot be read: {error.strerror}.") from None
        hand_over = VonageCalls(settings.vonage_api_url, application, key).hand_over
    return vonage.router(
        reception,
        signature_secret=settings.vonage_signature_secret,
        hand_over=hand_over,
        public_url=settings.public_url,
    )


def make_reception(settings: Settings, switchboard: Switchboard, operator_token: str) -> Reception:
    """Return what all doors share.

    Raises:
        ConfigError: TOM_ALLOWED_ORIGINS names something that is no origin.
    """
    return Reception(
        switchboard,
        operator_token,
        allowed_origins=read_origins(settings.allowed_origins),
        require_token=settings.require_call_token,
        limits=AddressLimits(settings.calls_per_minute, settings.calls_per_address),
        trust_loopback=settings.trust_loopback,
    )


def read_origins(listed: str) -> frozenset[str]:
    """Return the origins of TOM_ALLOWED_ORIGINS.

    Raises:
        ConfigError: One is none.
    """
    origins = frozenset(part.strip() for part in listed.split(",")) - {""}
    for origin in origins:
        if not is_origin(origin):
            raise ConfigError(
                f"TOM_ALLOWED_ORIGINS names {origin!r}, which is no origin.",
                hint="An origin is like https://www.example.org, without a path.",
            )
    return origins


def door_max_calls(settings: Settings) -> Mapping[str, int]:
    """Return how many calls at once single doors may have.

    Raises:
        ConfigError: TOM_DOOR_MAX_CALLS names no door, or a number below 0.
    """
    for name, most in settings.door_max_calls.items():
        if name not in DOORS or most < 0:
            raise ConfigError(
                f"TOM_DOOR_MAX_CALLS cannot be used: {name!r}: {most}.",
                hint=f"Doors are {', '.join(DOORS)}; their numbers are 0 or more.",
            )
    return settings.door_max_calls
