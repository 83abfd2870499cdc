"""Opens what finds personal data beside the patterns, from the settings."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from apps.core.errors import RedactionFailed
from apps.core.privacy import DetectorSpec, check
from apps.core.privacy.process import ProcessDetector
from apps.core.privacy.redacting import redact
from apps.core.redaction import Detector, Redacted
from apps.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes personal data out of texts, and waits for its detector meanwhile.

    Attributes:
        detector: What finds personal data beside the patterns; None for patterns alone.
        threads: One thread to call it in, so that nobody waits for the detector in those that
            calls need.
    """

    detector: Detector | None
    threads: Executor

    def __call__(self, text: str, language: str) -> Redacted:
        """Redact a text.

        Args:
            text: What was said.
            language: Its language, empty where it is not known.

        Raises:
            RedactionFailed: Nobody knows what is in it.
        """
        try:
            return redact(text, self.detector, language)
        except RedactionFailed as error:
            log.warning("redaction_failed", code=error.code, reason=error.message)
            raise


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
    """Return what takes personal data out of what was said; the stack ends it.

    With a detector its process starts at the first text, which takes seconds.

    Raises:
        ConfigError: As for ``detector_spec``.
    """
    spec = detector_spec(settings)
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="redaction")
    # What still waits fails at once, as the detector is closed before.
    stack.callback(threads.shutdown, wait=False)
    detector = None if spec is None else ProcessDetector(spec)
    if detector is not None:
        stack.callback(detector.close)
    return Redactor(detector, threads)
