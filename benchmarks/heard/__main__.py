"""The benchmark of what was heard: ``python -m benchmarks.heard``; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

from benchmarks.heard.held import heard_in_full
from benchmarks.heard.material import Said, by_espeak, by_flite, sentences
from benchmarks.heard.measure import score

SEED = 3
TARGET = 0.95
LANGUAGES = ("de", "en")


def cases(count: int) -> list[tuple[str, str, bool, Sequence[Said]]]:
    """Return engine, what is known of its words, whether it is slow, and what it said."""
    rows: list[tuple[str, str, bool, Sequence[Said]]] = []
    for language in LANGUAGES:
        texts = sentences(language, count, random.Random(SEED))
        said = asyncio.run(by_espeak(texts, language))
        hidden = [sentence.without_marks() for sentence in said]
        rows.append((f"espeak-ng, {language}", "marks", False, said))
        rows.append((f"espeak-ng, {language}", "marks", True, said))
        rows.append((f"espeak-ng, {language}", "audio", False, hidden))
        rows.append((f"espeak-ng, {language}", "audio", True, hidden))
        if language == "en" and (flite := list(by_flite(texts))):
            rows.append(("flite, en", "audio", False, flite))
            rows.append(("flite, en", "audio", True, flite))
    return rows


def main(arguments: Sequence[str]) -> int:
    """Print the tables; 1 where a share is below the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=60, help="of each language")
    parser.add_argument("--cuts", type=int, default=10, help="of each sentence")
    options = parser.parse_args(arguments)
    print("| engine | words known by | audio is made | cuts | within one word | exact | bias |")
    print("|---|---|---|---|---|---|---|")
    missed = False
    for engine, known_by, realtime, said in cases(options.sentences):
        result = score(said, options.cuts, random.Random(SEED), realtime=realtime)
        missed |= result.within_one < TARGET
        print(
            f"| {engine} | {known_by} | {'as it is heard' if realtime else 'at once'} "
            f"| {len(result.off)} | {result.within_one:.1%} | {result.exact:.1%} "
            f"| {sum(result.off) / len(result.off):+.2f} |"
        )
    print_held(options.sentences, options.cuts)
    return int(missed)


def print_held(count: int, holds: int) -> None:
    """Print in what share of holds every word was heard in full."""
    print("\n| engine | words known by | holds | every word in full | said again, ms |")
    print("|---|---|---|---|---|")
    for language in LANGUAGES:
        texts = sentences(language, count, random.Random(SEED))
        said = asyncio.run(by_espeak(texts, language))
        for marks in (True, False):
            full, again_ms = heard_in_full(said, holds, random.Random(SEED), marks=marks)
            known_by = "marks" if marks else "audio"
            print(
                f"| espeak-ng, {language} | {known_by} | {len(said) * holds} "
                f"| {full:.1%} | {again_ms:.0f} |"
            )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
