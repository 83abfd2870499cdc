"""The server's certificate: read before anything is loaded, and again when it has been renewed."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from apps.core.errors import ConfigError

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
