"""A detector's process that finds "Petra Musterfrau", and does what a text tells it to."""

from __future__ import annotations

import os
import sys
import time

from apps.core.errors import ConfigError
from apps.core.privacy import DetectorSpec
from apps.core.privacy.fakes import FakeDetector
from apps.core.privacy.worker import main
from apps.core.redaction import Finding


class Obedient(FakeDetector):
    """Dies, sleeps and prints where it is told to."""

    def find(self, text: str, language: str) -> list[Finding]:
        """Do what the text says, and return the names in it."""
        if "die" in text:
            os._exit(1)
        if "sleep" in text:
            time.sleep(60)
        if "print" in text:
            os.write(1, b"a library's remark\n")
        return list(super().find(text, language))


def make(spec: DetectorSpec) -> Obedient:
    """Return it, unless the spec says that it cannot be made."""
    if "de" in spec.models:
        raise ConfigError(f"There is no spaCy model {spec.models['de']!r}.")
    return Obedient("Petra Musterfrau", fails_on="fail")


if __name__ == "__main__":
    main(sys.argv[1:], make)
