"""Events out on standard output, and the wish to stop in."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TextIO

from apps.rl.adapters.training.events import TrainingEvent


class Teller:
    """Says what happens, one JSON line an event.

    Libraries print where they like, so their standard output becomes standard error and the events
    have the real one for themselves.

    Attributes:
        stop: Whether the training was asked to stop: by SIGTERM or SIGINT, or because nobody
            listens any more.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.stop = False

    @classmethod
    def on_stdout(cls) -> Teller:
        """Take standard output over, and the signals that ask a training to stop."""
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
        teller = cls(os.fdopen(own, "w", encoding="utf-8", buffering=1))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, teller.asked)
        return teller

    def tell(self, event: TrainingEvent) -> None:
        """Say an event; when nobody listens any more, ask for a stop."""
        try:
            self._out.write(event.model_dump_json() + "\n")
            self._out.flush()
        except (BrokenPipeError, ValueError):
            self.stop = True

    def asked(self, number: int, frame: FrameType | None) -> None:
        """Take a signal as the wish to stop."""
        self.stop = True
