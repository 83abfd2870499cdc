"""The answering-machine benchmark: ``python -m benchmarks.answering_machine [--held]``."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from apps.voice.answering_machine import Callee, ScreenOptions
from apps.voice.silero import silero_network
from apps.voice.vad import SileroVad
from benchmarks.answering_machine.greetings import Split, greetings
from benchmarks.answering_machine.material import NOISES_DB, Pickup, pickups
from benchmarks.answering_machine.score import Heard, hear, line, score, verdicts
from benchmarks.turns.voices import Voices

CACHE = Path("data/cache/answering_machine")


async def material(split: Split, seed: int) -> list[Pickup]:
    """Return one half of the pickups, as audio."""
    voices = Voices(CACHE)
    try:
        return await pickups(greetings(split), voices, seed)
    finally:
        await voices.close()


def report(heard: list[Heard], *, wrong: bool) -> None:
    """Print the figures of the rules and, on request, what they got wrong."""
    options = ScreenOptions()
    print(line("all", score(heard, options)))
    for language in ("de", "en"):
        mine = [one for one in heard if one.pickup.greeting.language == language]
        print(line(language, score(mine, options)))
    for noise_db in NOISES_DB:
        mine = [one for one in heard if one.pickup.noise_db == noise_db]
        print(line(f"noise {noise_db:.0f} dB below", score(mine, options)))
    for pause_ms in (600, 900, 1200):
        for long_ms in (3000, 3600, 4200):
            other = replace(options, short_pause_ms=pause_ms, long_ms=long_ms)
            print(line(f"pause {pause_ms} long {long_ms}", score(heard, other)))
    for one in heard if wrong else ():
        found = verdicts(one, options)
        person = not found or found[0].callee in (Callee.HUMAN, Callee.SILENT)
        if person is one.pickup.greeting.machine:
            told = ", ".join(f"{v.callee} {v.at_ms:.0f}" for v in found)
            print(f"  {one.pickup.noise_db:.0f} dB  {one.pickup.greeting.text!r}: {told}")


def main() -> None:
    """Measure one half of the greetings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held", action="store_true", help="the half that nothing is tuned on")
    parser.add_argument("--wrong", action="store_true", help="list what was got wrong")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    made = asyncio.run(material("held" if given.held else "tune", given.seed))
    session = silero_network()
    heard = [hear(pickup, SileroVad(session)) for pickup in made]
    print(f"{len(heard)} pickups, {'held' if given.held else 'tune'}, seed {given.seed}")
    report(heard, wrong=given.wrong)


if __name__ == "__main__":
    main()
