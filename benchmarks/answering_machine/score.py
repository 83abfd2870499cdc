"""What the rules make of a pickup, and how right they are over many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.core.audio import samples_to_pcm
from apps.voice.answering_machine import (
    Callee,
    Screen,
    ScreenOptions,
    ToneFinder,
    Verdict,
    Window,
    step,
)
from apps.voice.vad import WINDOW_MS, EnergyVad, SileroVad
from benchmarks.answering_machine.material import Pickup


@dataclass(frozen=True, slots=True)
class Heard:
    """A pickup and its windows."""

    pickup: Pickup
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How right the rules are over some pickups.

    Attributes:
        people: How many people there are, and how many were taken for such.
        machines: The same of machines, by their greeting or their beep.
        beeps: The same of beeps, found within 250 ms of their end.
        false_beeps: Beeps found where there was none.
        wait_ms: How long each person waited from the end of their first words.
    """

    people: tuple[int, int]
    machines: tuple[int, int]
    beeps: tuple[int, int]
    false_beeps: int
    wait_ms: tuple[float, ...]


def hear(pickup: Pickup, vad: SileroVad | EnergyVad) -> Heard:
    """Return a pickup as the rules are given it."""
    pcm = samples_to_pcm(pickup.samples)
    pairs = zip(vad.push(pcm), ToneFinder().push(pcm), strict=True)
    windows = (Window((i + 1) * WINDOW_MS, voice, hz) for i, (voice, hz) in enumerate(pairs))
    return Heard(pickup, tuple(windows))


def verdicts(heard: Heard, options: ScreenOptions) -> list[Verdict]:
    """Return all verdicts about a pickup, in order."""
    screen, found = Screen(), []
    for window in heard.windows:
        screen, verdict = step(screen, window, options)
        if verdict is not None:
            found.append(verdict)
    return found


def score(heard: Sequence[Heard], options: ScreenOptions) -> Score:
    """Judge the verdicts about many pickups."""
    people, machines, beeps, false_beeps, wait_ms = [], [], [], 0, []
    for one in heard:
        pickup, found = one.pickup, verdicts(one, options)
        first = found[0].callee if found else None
        heard_beeps = [v.at_ms for v in found if v.callee is Callee.BEEP]
        end_ms = pickup.beep_end_ms
        if end_ms is not None:
            beeps.append(any(abs(at - end_ms) <= 250 for at in heard_beeps))
        false_beeps += sum(end_ms is None or abs(at - end_ms) > 250 for at in heard_beeps)
        if pickup.greeting.machine:
            machines.append(first in (Callee.MACHINE, Callee.BEEP))
        else:
            people.append(first in (Callee.HUMAN, Callee.SILENT))
            wait_ms += [found[0].at_ms - pickup.first_end_ms] if found else []
    counts = [(len(of), sum(of)) for of in (people, machines, beeps)]
    return Score(counts[0], counts[1], counts[2], false_beeps, tuple(wait_ms))


def line(name: str, scored: Score) -> str:
    """Return a score in a line."""
    shares = "  ".join(
        f"{what} {right}/{count} ({right / max(count, 1):.1%})"
        for what, (count, right) in (
            ("people", scored.people),
            ("machines", scored.machines),
            ("beeps", scored.beeps),
        )
    )
    p50, p95 = np.percentile(scored.wait_ms or (0.0,), (50, 95))
    longest = max(scored.wait_ms, default=0.0)
    return (
        f"{name:22}{shares}  false beeps {scored.false_beeps}  "
        f"people wait p50 {p50:.0f}  p95 {p95:.0f}  max {longest:.0f} ms"
    )
