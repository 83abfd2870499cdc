"""What a server has to know of its network: its certificate, and whose word for others it takes."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

import structlog

from apps.core.errors import ConfigError

NO_TLS = "Calls and tokens travel in the clear, and browsers give no microphone."
NO_TLS_HINT = "Set TOM_TLS_CERT and TOM_TLS_KEY, or put a proxy in front: docs/security.md."

log = structlog.get_logger(__name__)


class Certificate:
    """A certificate chain with its key, in files that may be replaced.

    Args:
        chain: The chain as PEM.
        key: The private key as PEM.

    Raises:
        ConfigError: They cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(self.context)

    def reload(self) -> None:
        """Read the files again, for connections from now on; if they are bad, the old stay."""
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # a trial
            self._load(self.context)
        except ConfigError as error:
            log.error("certificate_not_read", reason=error.message)
        else:
            log.info("certificate_read")

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # Without a password callback, a key that wants one would ask at the terminal.
            context.load_cert_chain(self._chain, self._key, password=lambda: "")
        except OSError as error:  # ssl.SSLError among them
            raise ConfigError(
                f"TOM_TLS_CERT and TOM_TLS_KEY cannot be used: {error.strerror or error}.",
                hint="Both are PEM files, the key without a password, the chain with the server's"
                " certificate first.",
            ) from None


def read_certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    """Return the certificate of the settings, or None without one.

    Raises:
        ConfigError: Only one of the files is named, or they cannot be used.
    """
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise ConfigError(
            "TLS needs a certificate and its key.", hint="Set TOM_TLS_CERT and TOM_TLS_KEY."
        )
    return Certificate(chain, key)


def read_proxies(listed: str) -> list[str]:
    """Return the addresses and networks of TOM_TRUSTED_PROXIES.

    Raises:
        ConfigError: One is neither.
    """
    proxies = [part.strip() for part in listed.split(",") if part.strip()]
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise ConfigError(
                f"TOM_TRUSTED_PROXIES names {proxy!r}, which is no address or network.",
                hint="For example 127.0.0.1, 10.0.0.0/8.",
            ) from None
    return proxies
