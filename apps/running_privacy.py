"""Opens what finds personal data beside the patterns, from the settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from apps.core.errors import RedactionFailed
from apps.core.privacy import DetectorSpec, check
from apps.core.privacy.process import ProcessDetector
from apps.core.privacy.redacting import redact
from apps.core.redaction import Detector, Redacted
from apps.settings import Settings

log = structlog.get_logger(__name__)

Redactor = Callable[[str, str], Redacted]
"""Takes a text and its language, empty where it is not known; raises ``RedactionFailed``."""


def detector_spec(settings: Settings) -> DetectorSpec | None:
    """Return which detector the settings want; None for patterns alone.

    Raises:
        ConfigError: It could not be made: Presidio or a model is missing.
    """
    if not settings.privacy_detector:
        return None
    spec = DetectorSpec(settings.privacy_models)
    check(spec)
    return spec


def open_redactor(settings: Settings, stack: AsyncExitStack) -> Redactor:
    """Return what takes personal data out of what was said, in a thread; the stack ends it.

    With a detector its process starts at the first text, which takes seconds.

    Raises:
        ConfigError: As for ``detector_spec``.
    """
    spec = detector_spec(settings)
    detector: Detector | None = None
    if spec is not None:
        detector = process = ProcessDetector(spec)
        stack.callback(process.close)

    def redactor(text: str, language: str) -> Redacted:
        try:
            return redact(text, detector, language)
        except RedactionFailed as error:
            log.warning("redaction_failed", reason=error.message)
            raise

    return redactor
