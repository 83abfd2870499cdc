"""What happens when callers speak over an answer: ``python -m benchmarks.interruptions``.

Whole calls with the real call, voice activity detector, turn-taking, mouth and synthesiser, in
virtual time; docs/benchmarks.md says what is measured. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from apps.core.errors import EngineUnavailable
from apps.core.policy import BargeInSensitivity
from benchmarks.interruptions.call import Case, Office, Outcome
from benchmarks.interruptions.engines import Recordings
from benchmarks.interruptions.sayings import QUESTIONS
from benchmarks.interruptions.sounds import USUAL_DBFS, Kind, Sound, sounds

CACHE = Path("data/cache/turns")
STOP_P95_MS = 250.0
WHOLE_SHARE = 0.95
HISTORY_SHARE = 0.95
HISTORY_WORDS = 1
LANGUAGES = tuple(QUESTIONS)


def cases(made: Sequence[Sound], echo: str) -> list[Case]:
    """Return the calls: all sounds at medium sensitivity; interruptions also at the others.

    The other sensitivities, and a synthesiser without marks, are tried at the usual level alone.

    Args:
        made: What callers do.
        echo: Which calls have the assistant's echo in them: ``none``, ``half`` or ``all``.
    """
    interruptions = [s for s in made if s.kind is Kind.INTERRUPTION and s.level_dbfs == USUAL_DBFS]
    rows = [Case(sound) for sound in made]
    for sensitivity in (BargeInSensitivity.LOW, BargeInSensitivity.HIGH):
        rows += [Case(sound, sensitivity) for sound in interruptions]
    rows += [Case(sound, marks=False) for sound in interruptions]
    return [
        Case(
            case.sound,
            case.sensitivity,
            echo == "all" or (echo == "half" and number % 2 == 1),
            case.marks,
        )
        for number, case in enumerate(rows)
    ]


def report(held: Sequence[Outcome]) -> bool:
    """Print the tables; return whether all targets are met."""
    usual = [h for h in held if h.case.sensitivity is BargeInSensitivity.MEDIUM and h.case.marks]
    kept = [
        _report_stops([h for h in held if h.case.marks], usual),
        _report_resumes(usual),
        _report_history([h for h in held if h.case.sensitivity is BargeInSensitivity.MEDIUM]),
    ]
    return all(kept)


def _report_stops(held: Sequence[Outcome], usual: Sequence[Outcome]) -> bool:
    print("\nFrom an interrupting caller's first sound to silence at the client, ms")
    print(f"{'':26}{'calls':>6}{'p50':>6}{'p95':>6}{'max':>6}{'talked on':>11}")
    spoken = [h for h in held if h.case.sound.kind is Kind.INTERRUPTION]
    for sensitivity in BargeInSensitivity:
        _stops(sensitivity, [h for h in spoken if h.case.sensitivity is sensitivity])
    usual = [h for h in usual if h.case.sound.kind is Kind.INTERRUPTION]
    keys: tuple[Callable[[Outcome], str], ...] = (
        lambda h: h.case.sound.language,
        lambda h: f"{h.case.sound.level_dbfs:g} dBFS",
        lambda h: "with echo" if h.case.echo else "without echo",
    )
    for key in keys:
        for group, members in _groups(usual, key):
            _stops(f"  medium, {group}", members)
    return bool(_percentile(_silences(usual), 95) <= STOP_P95_MS)


def _stops(name: str, held: Sequence[Outcome]) -> None:
    silences = _silences(held)
    p50, p95, top = (_percentile(silences, p) for p in (50, 95, 100))
    talked_on = sum(not h.barged_in for h in held)
    print(f"{name:26}{len(silences):6}{p50:6.0f}{p95:6.0f}{top:6.0f}{talked_on:11}")


def _silences(held: Iterable[Outcome]) -> list[float]:
    """Return how long it took, where the assistant was not in a pause of its own already."""
    found = [np.inf if h.silent_ms is None else h.silent_ms for h in held]
    return [float(ms) for ms in found if ms > 0.0]


def _report_resumes(held: Sequence[Outcome]) -> bool:
    print("\nAfter a cough or a backchannel: every word heard at full level")
    print(f"{'':26}{'calls':>6}{'whole':>8}{'broken off':>12}{'paused':>8}{'p50 ms':>8}{'p95':>6}")
    kept = True
    over = [h for h in held if h.case.sound.kind is not Kind.INTERRUPTION]
    for group, members in _groups(over, lambda h: f"{h.case.sound.kind} {h.case.sound.language}"):
        pauses = [h.paused_ms for h in members if h.paused_ms is not None]
        share = sum(is_whole(h) for h in members) / len(members)
        kept = kept and share >= WHOLE_SHARE
        print(
            f"{group:26}{len(members):6}{share:8.1%}{sum(h.barged_in for h in members):12}"
            f"{len(pauses):8}{_percentile(pauses, 50):8.0f}{_percentile(pauses, 95):6.0f}"
        )
    return kept


def is_whole(held: Outcome) -> bool:
    """Tell whether an answer was heard to its end, every word at full level."""
    return not held.barged_in and all(held.whole)


def _report_history(held: Sequence[Outcome]) -> bool:
    print("\nAfter a barge-in: words in the history against words that were played")
    print(f"{'':26}{'calls':>6}{'exact':>8}{'± 1':>8}{'worst':>7}")
    kept = True
    spoken = [h for h in held if h.case.sound.kind is Kind.INTERRUPTION and h.barged_in]
    for group, members in _groups(spoken, _voice):
        off = np.array([h.history - h.heard for h in members])
        share = float(np.mean(np.abs(off) <= HISTORY_WORDS))
        kept = kept and share >= HISTORY_SHARE
        worst = int(off[np.argmax(np.abs(off))])
        print(f"{group:26}{len(members):6}{np.mean(off == 0):8.1%}{share:8.1%}{worst:+7}")
    return kept


def _voice(held: Outcome) -> str:
    marks = "marks" if held.case.marks else "no marks"
    return f"{held.case.sound.language}, {marks}"


def _groups(
    held: Sequence[Outcome], key: Callable[[Outcome], str]
) -> Iterable[tuple[str, list[Outcome]]]:
    for group in dict.fromkeys(map(key, held)):
        yield group, [h for h in held if key(h) == group]


def _percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)] if ordered else 0.0


def _list(held: Iterable[Outcome]) -> None:
    """Print every call that missed something."""
    for h in held:
        heeded = h.case.sound.kind is Kind.INTERRUPTION
        late = heeded and (h.silent_ms is None or h.silent_ms > STOP_P95_MS)
        wrong = heeded and (not h.barged_in or abs(h.history - h.heard) > HISTORY_WORDS)
        if late or wrong or not (heeded or is_whole(h)):
            case = h.case
            lost = [n for n, whole in enumerate(h.whole) if not whole] if not h.barged_in else []
            signals = " ".join(f"{name}@{at:.0f}" for name, at in h.signals)
            print(
                f"{case.sound.id} {case.sensitivity} echo={case.echo} marks={case.marks}:"
                f" silent {h.silent_ms} barged_in {h.barged_in} heard {h.heard}"
                f" history {h.history} lost {lost} | {signals}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.interruptions")
    parser.add_argument("--seed", type=int, default=1, help="other moments of the answers")
    parser.add_argument("--quick", type=int, default=1, metavar="N", help="every Nth call alone")
    parser.add_argument("--usual", action="store_true", help="medium sensitivity, marks alone")
    parser.add_argument("--echo", choices=("none", "half", "all"), default="half")
    parser.add_argument("--list", action="store_true", help="every call that missed something")
    args = parser.parse_args()
    try:
        made = asyncio.run(sounds(CACHE))
    except EngineUnavailable as error:
        print(error.message, error.hint or "", file=sys.stderr)
        return 2
    chosen = cases(made, args.echo)[:: args.quick]
    if args.usual:
        chosen = [c for c in chosen if c.marks and c.sensitivity is BargeInSensitivity.MEDIUM]
    with Recordings() as recordings:
        office = Office(recordings, args.seed)
        for language, questions in QUESTIONS.items():
            if not all(all(office.undisturbed(question, language)) for question in questions):
                print(f"An answer is not heard whole without any interruption ({language}).")
                return 1
        held = [office.hold(case) for case in chosen]
    if args.list:
        _list(held)
    return 0 if report(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
