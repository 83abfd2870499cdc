"""Detectors of personal data that has no pattern: Presidio, in this process or one of its own.

``redacting.redact`` is what the others use. A detector that fails raises
``RedactionFailed``: whoever asked keeps the text back, for nobody knows what is in it.
"""

from __future__ import annotations

from apps.core.privacy.spec import LANGUAGES, DetectorSpec, check, fingerprint

__all__ = ["LANGUAGES", "DetectorSpec", "check", "fingerprint"]
