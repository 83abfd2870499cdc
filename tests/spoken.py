"""Speech for tests, made by espeak-ng in its worker process."""

from __future__ import annotations

import asyncio
from functools import cache

from apps.voice.tts.base import SpeechStyle, pcm_of
from apps.voice.tts.espeak import EspeakTts


@cache
def spoken(text: str, language: str) -> bytes:
    """Return 16 kHz PCM of a sentence, ``de`` or ``en``; not to be called in an event loop."""
    return asyncio.run(_spoken(text, language))


async def _spoken(text: str, language: str) -> bytes:
    tts = EspeakTts()
    await tts.start()
    try:
        return await pcm_of(tts.synthesise(text, SpeechStyle(language)))
    finally:
        await tts.close()
