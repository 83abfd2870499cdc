"""The turn-taking benchmark: ``python -m benchmarks.turns``; see README.md beside it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from apps.core.errors import EngineUnavailable
from apps.voice.silero import silero_network
from apps.voice.turn_options import TurnOptions
from benchmarks.turns.figure import Curve, Point, draw
from benchmarks.turns.hearing import listen
from benchmarks.turns.oracle import Oracle, Recogniser, vocabulary
from benchmarks.turns.score import Ends, Scored, breaks, ends, is_right, scaled
from benchmarks.turns.sound import Recording, Studio
from benchmarks.turns.utterances import HELD_OUT, OVER, TUNE, read
from benchmarks.turns.voices import Voices

PLAIN_MS = (192, 300, 500, 700, 900, 1200)
COMPARED_MS = 700
TARGET = 0.5
ROUNDS = 10
FACTORS = (0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)
CACHE = Path("data/cache/turns")

Ears = Sequence[tuple[Recording, Recogniser]]


async def recordings(split: str, languages: Sequence[str], cache: Path) -> list[Recording]:
    """Return one half of the set, as audio."""
    voices = Voices(cache)
    try:
        studio = Studio(voices, silero_network())
        chosen = [u for u in read() if u.split == split and u.language in languages]
        return [await studio.record(utterance) for utterance in chosen]
    finally:
        await voices.close()


def adaptive(ears: Ears, options: TurnOptions) -> list[Scored]:
    """Return what turn-taking decides about all recordings."""
    return [(recording, listen(recording, by, options)) for recording, by in ears]


def plain(heard: Sequence[Recording], silence_ms: float) -> list[Scored]:
    """Return what silence alone decides about them."""
    options = TurnOptions(endpoint_ms=silence_ms)
    return [(r, listen(r, None, options)) for r in heard]


def report(ears: Ears) -> dict[str, Ends]:
    """Print all figures; return those of the rules over all turns."""
    mine = [(r, by) for r, by in ears if r.utterance.is_turn]
    turns = [r for r, _ in mine]
    rules = {f"plain {ms} ms": ends(plain(turns, ms)) for ms in PLAIN_MS}
    ours = adaptive(mine, TurnOptions())
    rules["adaptive"] = ends(ours)
    for factor in FACTORS:
        rules[f"adaptive x {factor:g}"] = ends(adaptive(mine, scaled(TurnOptions(), factor)))
    print(f"{'all turns':22}{'turns':>6}{'cut':>8}{'missed':>8}{'median':>8}{'p90':>7}")
    for name, found in rules.items():
        print(f"{name:22}{found.turns:6}{_ends(found)}")
    compared = plain(turns, COMPARED_MS)
    print(f"\n{'by class':22}{'turns':>6}{'adaptive':^31}{f'plain {COMPARED_MS} ms':^31}")
    keys: tuple[Callable[[Recording], str], ...] = (
        lambda r: r.utterance.kind,
        lambda r: r.utterance.language,
    )
    for key in keys:
        for group in dict.fromkeys(map(key, turns)):
            here = ends([s for s in ours if key(s[0]) == group])
            there = ends([s for s in compared if key(s[0]) == group])
            print(f"{group:22}{here.turns:6}{_ends(here)}{_ends(there)}")
    _report_breaks([(r, by) for r, by in ears if not r.utterance.is_turn])
    return rules


def _ends(found: Ends) -> str:
    return f"{found.cut:8.1%}{found.missed:8.1%}{found.median_ms:8.0f}{found.p90_ms:7.0f}"


def _report_breaks(ears: Ears) -> None:
    scored = adaptive(ears, TurnOptions())
    print(
        f"\n{'over the assistant':22}{'n':>6}{'right':>8}{'held':>8}{'hold':>8}{'p95':>7}", end=""
    )
    print(f"{'decided':>9}")
    for kind in OVER:
        found = breaks([s for s in scored if s[0].utterance.kind == kind])
        print(f"{kind:22}{found.sounds:6}{found.right:8.1%}{found.held:8.1%}", end="")
        print(f"{found.hold_ms:8.0f}{found.hold_p95_ms:7.0f}{found.decided_ms:9.0f}")


def figure(rules: dict[str, Ends]) -> str:
    """Return the curves of both rules, by median and by 90th percentile."""

    def points(wait: Callable[[Ends], float], named: str, unit: str) -> list[Point]:
        some = {name: found for name, found in rules.items() if name.startswith(named)}
        return [
            Point(name.removeprefix(named).removesuffix(unit), wait(found), found.cut)
            for name, found in some.items()
        ]

    waits: tuple[tuple[str, Callable[[Ends], float]], ...] = (
        ("Median wait", lambda found: found.median_ms),
        ("90th percentile", lambda found: found.p90_ms),
    )
    return draw(
        [
            (
                title,
                (
                    Curve("silence alone", "#888888", points(wait, "plain ", " ms")),
                    Curve("adaptive, delays x", "#0b62c4", points(wait, "adaptive x ", "")),
                ),
            )
            for title, wait in waits
        ]
    )


def meets_target(rules: dict[str, Ends]) -> bool:
    """Print and return whether a turn's wait is at most half, and no more turns are cut off."""
    ours, compared = rules["adaptive"], rules[f"plain {COMPARED_MS} ms"]
    share = ours.median_ms / compared.median_ms
    met = ours.cut <= compared.cut and share <= TARGET
    print(
        f"\nAgainst {COMPARED_MS} ms of silence: {share:.0%} of its median wait (target "
        f"{TARGET:.0%}), {ours.cut:.1%} cut off against {compared.cut:.1%}: "
        f"{'met' if met else 'not met'}"
    )
    return met


def show_errors(ears: Ears) -> None:
    """Print what was cut off, waited long for, or taken for something else."""
    for recording, outcome in adaptive(ears, TurnOptions()):
        utterance = recording.utterance
        late = (outcome.ended_ms or 1e9) - recording.last_ms
        wrong = not 0 <= late <= TARGET * COMPARED_MS
        if wrong if utterance.is_turn else not is_right(recording, outcome):
            parts = " / ".join(utterance.parts)
            print(f"{utterance.id:20}{late:9.0f}  {parts}\n{'':31}{outcome.words}")


def main() -> int:
    """Run the benchmark; return 0 when the target is met or was not asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--held-out", action="store_true", help="the untouched half, at the end")
    parser.add_argument("--recogniser", choices=("oracle", "pocketsphinx"), default="oracle")
    parser.add_argument("--language", choices=("de", "en"), help="one language alone")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when the target is missed"
    )
    parser.add_argument("--errors", action="store_true", help="show errors (tuning half alone)")
    parser.add_argument("--figure", type=Path, help="draw the curves into this SVG")
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps what was spoken")
    options = parser.parse_args()
    if options.errors and options.held_out:
        parser.error("the errors of the half that is held out are not looked at")
    split = HELD_OUT if options.held_out else TUNE
    sphinx = options.recogniser == "pocketsphinx"
    languages = ("en",) if sphinx else (options.language,) if options.language else ("de", "en")
    try:
        heard = asyncio.run(recordings(split, languages, options.cache))
    except EngineUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    ears = recognised(heard, options.cache) if sphinx else foretold(heard)
    if options.errors:
        show_errors(ears[: len(heard)])
    rules = report(ears)
    if options.figure:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        options.figure.write_text(figure(rules), encoding="utf-8")
    return 0 if meets_target(rules) or not options.check else 1


def foretold(heard: Sequence[Recording]) -> Ears:
    """Return every recording with `ROUNDS` oracles, which err differently."""
    others = vocabulary(read())
    return [(r, Oracle(r, others, seed)) for seed in range(ROUNDS) for r in heard]


def recognised(heard: Sequence[Recording], cache: Path) -> Ears:
    """Return every recording with what the embedded recogniser makes of it."""
    from benchmarks.turns.sphinx import Sphinx, load_decoder

    decoder = load_decoder(cache / "recogniser")
    return [(r, Sphinx(decoder, r)) for r in heard]


if __name__ == "__main__":
    raise SystemExit(main())
