"""What an answering machine is told: one short message, after its beep."""

from __future__ import annotations

import asyncio

import structlog

from apps.core.errors import EngineError
from apps.core.sentences import split_sentences
from apps.dispatcher.outgoing.screening import ScreenedDoor
from apps.dispatcher.services import CallOptions, Services
from apps.llm.spoken import spoken_form
from apps.llm.style import wording
from apps.voice.mouth import Mouth
from apps.voice.tts.base import SpeechStyle

LONGEST_S = 60.0

log = structlog.get_logger(__name__)


async def leave_message(door: ScreenedDoor, options: CallOptions, services: Services) -> bool:
    """Say who called, that it was an AI, and why; returns whether all of it was said."""
    async with asyncio.TaskGroup() as tasks:
        mouth = Mouth(door.play, None, lambda: door.unplayed_ms)
        speaking = tasks.create_task(_speak(mouth, door, options, services), name="message")
        helpers = [
            tasks.create_task(mouth.run(), name="mouth"),
            tasks.create_task(door.gone(), name="callee"),
        ]
        await asyncio.wait(
            [speaking, helpers[1]], timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (speaking, *helpers):
            task.cancel()
    return not speaking.cancelled() and speaking.result()


async def _speak(
    mouth: Mouth, door: ScreenedDoor, options: CallOptions, services: Services
) -> bool:
    language, profile = options.language, options.profile
    engine = services.tts.get(language)
    if engine is None:
        return False
    style = SpeechStyle(language, profile.voice.get(language, ""))
    purpose = profile.purpose(door.request.purpose, language) or ""
    try:
        for sentence in split_sentences(wording(language).machine_message(options.office, purpose)):
            audio = engine.synthesise(spoken_form(sentence, language), style)
            await mouth.say(sentence, audio, language=language)
    except EngineError as error:
        log.warning("message_failed", code=error.code, reason=error.message)
        return False
    await mouth.drained()
    return True
