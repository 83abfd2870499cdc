"""Holds the mouth in the middle of sentences, in virtual time: is every word heard in full?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from apps.core.audio import FRAME_MS, Framer, level_dbfs
from apps.voice.mouth import Mouth
from apps.voice.tts.base import WordMark
from benchmarks.heard.material import Said
from benchmarks.heard.measure import say
from tests.virtual_time import run_virtual

SILENT_S = 0.3
_AUDIBLE_DBFS = -45.0


def heard_in_full(
    marked: Sequence[Said], holds: int, rng: random.Random, *, marks: bool
) -> tuple[float, float]:
    """Hold and resume each sentence at random moments.

    Args:
        marked: The sentences, with their words' marks.
        holds: How many moments a sentence.
        rng: Chooses them.
        marks: Whether the mouth gets the marks.

    Returns:
        The share of holds after which every word of the sentence was sent at full level from its
        beginning to its end, and how much was said again on average, in milliseconds.
    """
    full = again_ms = 0.0
    moments = [(said, rng.uniform(0.0, said.length_ms)) for said in marked for _ in range(holds)]
    for said, moment in moments:
        given = said if marks else said.without_marks()
        before, after = run_virtual(_sent(given, moment))
        frames = _frames(said)
        # What was sent before, then the frame that fades out, then the rest from where it resumed.
        resumed = len(frames) - after
        held = before - 1 if after else before
        again_ms += max(0, held - resumed) * FRAME_MS / len(moments)
        full += _in_full(said, frames, held, resumed) / len(moments)
    return full, again_ms


async def _sent(said: Said, moment_ms: float) -> tuple[int, int]:
    """Return how many frames were sent until the hold, its fade included, and after it."""
    sent: list[bytes] = []

    async def send(frame: bytes) -> None:
        sent.append(frame)

    mouth = Mouth(send)
    running = asyncio.create_task(mouth.run())
    saying = asyncio.create_task(say(mouth, said, slow=False))
    await asyncio.sleep(moment_ms / 1000)
    mouth.hold()
    await asyncio.sleep(SILENT_S)
    before = len(sent)
    mouth.resume()
    await saying
    await mouth.drained()
    running.cancel()
    return before, len(sent) - before


def _frames(said: Said) -> list[bytes]:
    framer = Framer()
    frames = [f for p in said.pieces if isinstance(p, bytes) for f in framer.push(p)]
    rest = framer.flush()
    return [*frames, rest] if rest else frames


def _in_full(said: Said, frames: Sequence[bytes], held: int, resumed: int) -> bool:
    """Return whether each word lies before the fade-out, or behind the fade-in."""
    starts = sorted({p.at_ms for p in said.pieces if isinstance(p, WordMark)})
    for start_ms, end_ms in zip(starts, [*starts[1:], said.length_ms], strict=True):
        first, end = int(start_ms // FRAME_MS), int(end_ms // FRAME_MS)
        audible = [at for at in range(first, end) if level_dbfs(frames[at]) > _AUDIBLE_DBFS]
        if audible and audible[-1] >= held and audible[0] <= resumed and resumed > 0:
            return False
    return True
