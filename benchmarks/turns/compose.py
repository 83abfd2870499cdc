"""Draws utterances.jsonl from texts.txt: ``python -m benchmarks.turns.compose``.

Silences, voices, noise and the split are drawn by a seed, and each from a generator of its own, so
that a changed text changes nothing else.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from random import Random
from typing import TypeVar

from apps.voice.completeness import Expecting
from benchmarks.turns.utterances import HELD_OUT, HERE, TUNE, Utterance

_T = TypeVar("_T")

SEED = 3
VOICES = {
    "en": (
        "flite:slt",
        "flite:rms",
        "flite:awb",
        "espeak:en-us+f3",
        "espeak:en-us+m2",
        "espeak:en+m3",
    ),
    "de": ("espeak:de", "espeak:de+f2", "espeak:de+m3", "espeak:de+f4", "espeak:de+m7"),
}
NOISES = tuple(product(("white", "babble"), (20, 10, 5)))
PAUSE_MS = (200, 1200)
DIGITS_PAUSE_MS = (200, 900)
"""Between the groups of a number: whoever reads one from a letter seldom stops for longer."""


def compose() -> tuple[Utterance, ...]:
    """Return the whole set, in the order of texts.txt."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for language, kind, line in _lines():
        groups[language, kind].append(line)
    return tuple(
        utterance
        for (language, kind), lines in groups.items()
        for utterance in _group(language, kind, lines)
    )


def to_jsonl(utterances: tuple[Utterance, ...]) -> str:
    """Return the text of utterances.jsonl."""
    rows = [json.dumps(asdict(utterance), ensure_ascii=False) for utterance in utterances]
    return "\n".join(rows) + "\n"


def _lines() -> Iterator[tuple[str, str, str]]:
    language = kind = ""
    for line in (HERE / "texts.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language, kind = line.strip("[]").split()
        elif line and not line.startswith("#"):
            yield language, kind, line


def _group(language: str, kind: str, lines: list[str]) -> Iterator[Utterance]:
    """Yield one class of one language; half of it is held out, voices and noises go round."""
    size = len(lines)
    chance = Random(f"{SEED} {language} {kind}")
    splits = _dealt(chance, (TUNE, HELD_OUT), size)
    voices = _dealt(chance, VOICES[language], size)
    noises = _dealt(chance, NOISES, size)
    for place, line in enumerate(lines):
        said, _, asked = line.partition("|")
        utterance = Utterance(
            id=f"{language}-{kind}-{place + 1:02}",
            language=language,
            kind=kind,
            split=splits[place],
            voice=voices[place],
            parts=tuple(part.strip() for part in said.split("/")),
            pauses_ms=tuple(_pause(chance, kind) for _ in range(said.count("/"))),
        )
        if kind == "cough":
            utterance = replace(utterance, voice="", parts=())
        if kind == "noise":
            noise, snr_db = noises[place]
            utterance = replace(utterance, noise=noise, snr_db=snr_db)
        yield _asked(utterance, asked.split())


def _asked(utterance: Utterance, asked: list[str]) -> Utterance:
    if not asked:
        return utterance
    digits = int(asked[1]) if len(asked) > 1 else 0
    return replace(utterance, expecting=Expecting(asked[0]), digits=digits)


def _pause(chance: Random, kind: str) -> int:
    low, high = DIGITS_PAUSE_MS if kind == "digits" else PAUSE_MS
    return chance.randrange(low, high + 1, 10)


def _dealt(chance: Random, values: Sequence[_T], size: int) -> list[_T]:
    """Return so many values, each about as often as any other, in random order."""
    dealt = [values[place % len(values)] for place in range(size)]
    chance.shuffle(dealt)
    return dealt


if __name__ == "__main__":
    (HERE / "utterances.jsonl").write_text(to_jsonl(compose()), encoding="utf-8")
