"""Where AudioSocket connections of an Asterisk come in, from the settings."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from apps.core.addresses import is_loopback
from apps.dispatcher.routes.reception import Reception
from apps.settings import Settings
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.listener import AudioSocketListener

log = structlog.get_logger(__name__)


async def open_audiosocket(
    settings: Settings, reception: Reception, desk: Desk, stack: AsyncExitStack
) -> None:
    """Listen for AudioSocket connections, if a port is set, until the stack is closed.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    if settings.audiosocket_port is None:
        return
    # A password stands for other machines: who knows it has announced the call by it.
    trusted = (lambda address: False) if settings.asterisk_password else is_loopback
    listener = AudioSocketListener(reception.switchboard.take, desk, trusted, now_s=reception.now_s)
    port = await stack.enter_async_context(
        listener.listen(settings.audiosocket_host, settings.audiosocket_port)
    )
    log.info("listening", door="audiosocket", host=settings.audiosocket_host, port=port)
