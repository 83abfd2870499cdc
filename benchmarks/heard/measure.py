"""Cuts sentences off in the mouth, in virtual time, and compares what it says was heard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from apps.core.audio import duration_ms
from apps.voice.mouth import Mouth
from apps.voice.tts.base import Speech
from benchmarks.heard.material import Said
from tests.virtual_time import run_virtual


@dataclass(frozen=True, slots=True)
class Score:
    """How many words the mouth was off, cut by cut: above zero where it counted too many."""

    off: tuple[int, ...]

    @property
    def within_one(self) -> float:
        """The share of cuts at which it was off by one word at most."""
        return sum(abs(words) <= 1 for words in self.off) / len(self.off)

    @property
    def exact(self) -> float:
        """The share of cuts at which it was right."""
        return self.off.count(0) / len(self.off)


def score(said: Sequence[Said], cuts: int, rng: random.Random, *, realtime: bool) -> Score:
    """Cut each sentence off at random moments; one was said before it to its end.

    Args:
        said: The sentences.
        cuts: How many moments a sentence.
        rng: Chooses them.
        realtime: Whether the engine makes the audio only as fast as it is heard.
    """
    off: list[int] = []
    for before, sentence in zip([said[-1], *said], said, strict=False):
        moments = [rng.uniform(0.0, sentence.length_ms) for _ in range(cuts)]
        for moment, heard in zip(
            moments, run_virtual(_heard(before, sentence, moments, realtime)), strict=True
        ):
            off.append(len(heard.split()) - sentence.words_heard(moment))
    return Score(tuple(off))


async def _heard(before: Said, sentence: Said, moments: Sequence[float], slow: bool) -> list[str]:
    async def send(_frame: bytes) -> None:
        return

    mouth = Mouth(send)
    running = asyncio.create_task(mouth.run())
    await say(mouth, before, slow)
    await mouth.drained()
    heard = []
    for moment in moments:
        mouth.begin_turn()
        began = asyncio.Event()
        mouth.on_first_frame = lambda _at_ms, began=began: began.set()
        saying = asyncio.create_task(say(mouth, sentence, slow))
        await began.wait()
        await asyncio.sleep(moment / 1000)
        heard.append(mouth.flush())
        saying.cancel()
        await asyncio.wait([saying])
    running.cancel()
    return heard


async def say(mouth: Mouth, said: Said, slow: bool) -> None:
    """Say a sentence; `slow` as an engine does that is only just fast enough."""
    await mouth.say(said.text, _audio(said, slow), reading=said.reading, language=said.language)


async def _audio(said: Said, slow: bool) -> Speech:
    for piece in said.pieces:
        yield piece
        if slow and isinstance(piece, bytes):
            await asyncio.sleep(duration_ms(piece) * 0.95 / 1000)
