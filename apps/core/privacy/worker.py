"""The process of a ``ProcessDetector``: ``[text, language]`` a line in, a line of findings out."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from apps.core.errors import ConfigError
from apps.core.privacy.spec import DetectorSpec
from apps.core.redaction import Detector

_NICENESS = 10
"""Calls on the same cores come first."""


def main(arguments: list[str], make: Callable[[DetectorSpec], Detector] | None = None) -> None:
    """Answer until the input ends.

    Args:
        arguments: The spec, as JSON.
        make: Makes the detector; Presidio's when None.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it decides
    os.nice(_NICENESS)
    for told in _told(DetectorSpec.from_json(arguments[0]), make or _presidio, sys.stdin):
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _presidio(spec: DetectorSpec) -> Detector:
    from apps.core.privacy.presidio import PresidioDetector

    return PresidioDetector(spec)


def _told(
    spec: DetectorSpec, make: Callable[[DetectorSpec], Detector], lines: Iterable[str]
) -> Iterable[dict[str, Any]]:
    """Yield whether the detector is ready, and an answer a line."""
    try:
        detector = make(spec)
    except ConfigError as error:
        yield {"error": error.message}
        return
    except Exception as error:  # its words may be anything
        yield {"error": type(error).__name__}
        return
    yield {"ready": True}
    for line in lines:
        text, language = json.loads(line)
        try:
            found = detector.find(text, language)
            yield {"findings": [[one.kind, one.start, one.end, one.value] for one in found]}
        except Exception as error:  # its words may be somebody's
            yield {"error": type(error).__name__}


if __name__ == "__main__":
    main(sys.argv[1:])
