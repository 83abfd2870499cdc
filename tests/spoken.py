"""Speech for tests, made by espeak-ng in its worker process."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import cache

from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.espeak import EspeakTts


@cache
def spoken(text: str, language: str) -> bytes:
    """Return 16 kHz PCM of a sentence, ``de`` or ``en``; not to be called in an event loop."""
    return asyncio.run(_spoken(text, language))


async def _spoken(text: str, language: str) -> bytes:
    tts = EspeakTts()
    await tts.start()
    try:
        async with aclosing(tts.synthesise(text, SpeechStyle(language))) as chunks:
            return b"".join([chunk async for chunk in chunks])
    finally:
        await tts.close()
