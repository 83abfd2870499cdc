"""What the assistant says in one call: answers and fixed lines, through the mouth or as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from apps.core.clock import loop_ms
from apps.core.errors import EngineDied, EngineUnavailable
from apps.core.sentences import split_sentences
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.call_state import Act
from apps.dispatcher.conversation import Ask, Conversation, Reply, SayAgain, SayLine
from apps.dispatcher.services import CallOptions, Services
from apps.dispatcher.turn import Stages, Turn
from apps.llm.spoken import spoken_form
from apps.llm.style import Line, voice_style, wording
from apps.voice.doors.base import Door
from apps.voice.mouth import Mouth
from apps.voice.tts.base import SpeechStyle

RETRY_S = 0.1

OnAudio = Callable[[], None]


class Speech:
    """The assistant's side of one call.

    Args:
        door: Where the caller is.
        options: The call's profile and language.
        services: The engines.
        conversation: The call's memory.
        log: The call's event log.
        mouth: Plays what is said; unused in a typed call.
        can_hear: Whether a recogniser serves the call's language.
    """

    def __init__(
        self,
        door: Door,
        options: CallOptions,
        services: Services,
        conversation: Conversation,
        log: CallLog,
        mouth: Mouth,
        *,
        can_hear: bool,
    ) -> None:
        self._door, self._options, self._services = door, options, services
        self._conversation, self._log, self._mouth = conversation, log, mouth
        self._can_hear = can_hear
        self._aloud = door.capabilities.audio
        self._words = wording(options.language)
        voice = voice_style(conversation.slots)
        self._style = SpeechStyle(
            options.language,
            options.profile.voice.get(options.language, ""),
            rate=voice.rate,
            pitch=voice.pitch,
        )
        self._turn_id = 0
        self._typed: list[str] = []
        self._stages: Stages | None = None
        self._on_audio: OnAudio | None = None

    @property
    def speaking(self) -> bool:
        """Whether something is being said that the caller has not heard to its end."""
        return self._aloud and self._mouth.speaking

    def begin_turn(self, turn_id: int, stages: Stages | None, on_audio: OnAudio | None) -> None:
        """Begin a turn; `on_audio` is called once, when its first audio is about to be played."""
        self._turn_id, self._stages, self._on_audio = turn_id, stages, on_audio
        self._typed = []
        self._mouth.begin_turn()

    def heard(self) -> str:
        """Return the words of this turn that the caller has heard."""
        return self._mouth.heard() if self._aloud else " ".join(self._typed)

    def flush(self) -> str:
        """Fall silent at once; returns the words of this turn that were heard."""
        return self._mouth.flush() if self._aloud else " ".join(self._typed)

    async def finished(self) -> None:
        """Wait until the caller has heard everything."""
        if self._aloud:
            await self._mouth.drained()

    async def say_act(self, act: Act, rating: int | None) -> None:
        """Say one of the fixed acts in the policy's words."""
        slots, words = self._conversation.slots, self._words
        if act is Act.GREETING:
            own = self._options.profile.greeting.get(self._options.language, {})
            default = words.greeting(slots, self._options.office)
            await self._say_text(own.get(slots.greeting, default))
            if not self._can_hear:
                await self._say_line(Line.NO_EAR)
            return
        if act is Act.FAREWELL:
            asked = self._conversation.said[Line.RATING_QUESTION] > 0
            thanks = Line.RATING_THANKS if rating is not None else Line.RATING_NONE
            await self._say_line(thanks if asked else Line.GOODBYE)
            return
        await self._say_line(_LINES[act])

    async def answer(self, reply: Reply, turn: Turn) -> None:
        """Say the reply to what the caller said."""
        match reply:
            case Ask(question=question):
                plan = await turn.answer(self._turn_id, question, self._say)
                self._services.metrics.question_asked(covered=plan.grounded)
            case SayAgain():
                last = self._conversation.last
                await self._say_text(last.said if last else "")
            case SayLine(line=line):
                await self._say_line(line)

    async def _say_line(self, line: Line) -> None:
        count = self._conversation.count(line)
        await self._say_text(self._words.line(line, self._conversation.slots, count))

    async def _say_text(self, text: str) -> None:
        for sentence in split_sentences(text):
            await self._say(sentence)

    async def _say(self, sentence: str) -> None:
        """Say one sentence: returns when all its audio is queued."""
        sources = self._conversation.sources(self._turn_id)
        told = {"role": "assistant", "text": sentence, "turn_id": self._turn_id}
        await self._door.tell("transcript.final", {**told, "sources": list(sources)})
        self._log.note("assistant", self._turn_id, text=sentence, sources=list(sources))
        if self._aloud:
            await self._mouth.say(
                sentence, self._audio(spoken_form(sentence, self._style.language))
            )
        else:
            self._typed.append(sentence)
            self._first_audio()

    async def _audio(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence's audio; an engine that is being restarted is waited for."""
        engine = self._services.tts.get(self._style.language)
        if engine is None:
            raise EngineUnavailable("No synthesiser speaks this language.")
        deadline = loop_ms() + self._services.limits.engine_wait_s * 1000
        started = False
        while True:
            try:
                async with aclosing(engine.synthesise(text, self._style)) as chunks:
                    async for chunk in chunks:
                        started = True
                        self._first_audio()
                        yield chunk
                return
            except EngineDied:
                # A sentence that has begun cannot be begun again: the call apologises instead.
                if started or loop_ms() >= deadline:
                    raise
                await asyncio.sleep(RETRY_S)

    def _first_audio(self) -> None:
        if self._stages is not None and self._stages.spoken is None:
            self._stages.spoken = loop_ms()
        if self._on_audio is not None:
            on_audio, self._on_audio = self._on_audio, None
            on_audio()


_LINES = {
    Act.NO_INPUT: Line.NO_INPUT,
    Act.REPEAT_PLEASE: Line.REPEAT_PLEASE,
    Act.APOLOGY: Line.APOLOGY,
    Act.HANDOVER: Line.HANDOVER,
    Act.RATING_QUESTION: Line.RATING_QUESTION,
}
