"""What the callers of the set say, one `Utterance` a line of utterances.jsonl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from apps.voice.completeness import Expecting

HERE = Path(__file__).parent
TUNE, HELD_OUT = "tune", "held_out"
OVER = ("backchannel", "cough", "interruption")
"""Classes that are spoken over the assistant; all others are turns."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One caller utterance.

    Attributes:
        id: Language, class and number.
        language: ``de`` or ``en``.
        kind: Its class.
        split: ``tune`` or ``held_out``.
        voice: The engine and its voice: ``flite:slt``, ``espeak:de+f2``; empty for a cough.
        parts: What is said between silences; no part for a cough.
        pauses_ms: The silences between the parts.
        expecting: What the call had asked for.
        digits: How many digits it had asked for, 0 where that is not known.
        noise: ``white`` or ``babble`` under it, or empty.
        snr_db: How far the noise is below the speech.
    """

    id: str
    language: str
    kind: str
    split: str
    voice: str
    parts: tuple[str, ...]
    pauses_ms: tuple[int, ...]
    expecting: Expecting = Expecting.ANYTHING
    digits: int = 0
    noise: str = ""
    snr_db: int = 0

    @property
    def is_turn(self) -> bool:
        """Whether it is a turn of its own and not said over the assistant."""
        return self.kind not in OVER

    @property
    def text(self) -> str:
        """All its words."""
        return " ".join(self.parts)


def read(path: Path = HERE / "utterances.jsonl") -> tuple[Utterance, ...]:
    """Return the whole set."""
    return tuple(_utterance(line) for line in path.read_text(encoding="utf-8").splitlines())


def _utterance(line: str) -> Utterance:
    row = json.loads(line)
    row["parts"], row["pauses_ms"] = tuple(row["parts"]), tuple(row["pauses_ms"])
    row["expecting"] = Expecting(row["expecting"])
    return Utterance(**row)
