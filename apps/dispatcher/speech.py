"""What the assistant says in one call: answers and fixed lines, through the mouth or as text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

from apps.core.clock import loop_ms
from apps.core.errors import EngineDied, EngineError, EngineUnavailable
from apps.core.passages import Citation
from apps.core.sentences import split_sentences
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.call_state import Act, EndReason
from apps.dispatcher.conversation import Ask, Conversation, Reply, SayLine, SaySource
from apps.dispatcher.draft import Draft
from apps.dispatcher.fixed_lines import CLOSINGS, LINES
from apps.dispatcher.services import CallOptions, Services
from apps.dispatcher.speculation import Speculator, Waste
from apps.dispatcher.turn import Sentence, Stages
from apps.llm.citing import spoken_source
from apps.llm.scoring import score_answer
from apps.llm.spoken import spoken_form
from apps.llm.style import Line, voice_style, wording
from apps.voice.doors.base import Door
from apps.voice.mouth import Mouth
from apps.voice.tts.base import Speech as SpeechAudio
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
        recorded: Whether the call is recorded, which its greeting says.
        scored: Whether its answers are scored by rules, since adapters are compared on them.
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
        recorded: bool = False,
        scored: bool = False,
    ) -> None:
        self._door, self._options, self._services = door, options, services
        self._conversation, self._log, self._mouth = conversation, log, mouth
        self._can_hear, self._recorded, self._scored = can_hear, recorded, scored
        self._aloud = door.capabilities.audio
        self._outgoing = door.request.direction == "outgoing"
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
        self._bridging = False
        self._stages: Stages | None = None
        self._on_audio: OnAudio | None = None

    @property
    def speaking(self) -> bool:
        """Whether something is being said that the caller has not heard to its end."""
        return self._aloud and self._mouth.speaking

    @property
    def asks(self) -> bool:
        """Whether what the caller heard last asks something, so that a "yes" answers it."""
        return (self._mouth.saying if self._aloud else "".join(self._typed[-1:])).endswith("?")

    def begin_turn(self, turn_id: int, stages: Stages | None, on_audio: OnAudio | None) -> None:
        """Begin a turn; `on_audio` is called once, when its first audio is about to be played."""
        self._turn_id, self._stages, self._on_audio = turn_id, stages, on_audio
        self._typed, self._bridging = [], False
        self._mouth.begin_turn()

    def heard(self) -> str:
        """Return the words of this turn that the caller has heard."""
        if self._bridging:  # a filler is no part of the answer
            return ""
        return self._mouth.heard() if self._aloud else " ".join(self._typed)

    def flush(self) -> str:
        """Fall silent at once; returns the words of this turn that were heard."""
        heard = self.heard()
        if self._aloud:
            self._mouth.flush()
        return heard

    async def finished(self) -> None:
        """Wait until the caller has heard everything."""
        if self._aloud:
            await self._mouth.drained()

    async def say_act(self, act: Act, rating: int | None, closing: EndReason) -> None:
        """Say one of the fixed acts in the policy's words.

        Args:
            act: Which one.
            rating: What the caller gave, if they did.
            closing: Why the call is being closed, if it is.
        """
        asked = self._conversation.said[Line.RATING_QUESTION] > 0
        if act is Act.GREETING:
            for sentence in self._opening():
                await self._say(sentence)
            if not self._can_hear:
                await self._say_line(Line.NO_EAR)
            return
        if act in (Act.RATING_QUESTION, Act.FAREWELL) and not asked and closing in CLOSINGS:
            await self._say_line(CLOSINGS[closing])
        if act is Act.FAREWELL:
            thanks = Line.RATING_THANKS if rating is not None else Line.RATING_NONE
            await self._say_line(thanks if asked else Line.GOODBYE)
            return
        await self._say_line(LINES[act])

    def _opening(self) -> list[str]:
        """Return the greeting's sentences; that the call is recorded stands before the question."""
        sentences = list(split_sentences(self._greeting()))
        if self._recorded:
            asks = sentences.pop() if sentences and sentences[-1].endswith("?") else None
            sentences.append(self._words.line(Line.RECORDED, self._conversation.slots))
            sentences += [asks] if asks else []
        return sentences

    def _greeting(self) -> str:
        slots, options = self._conversation.slots, self._options
        if self._outgoing:
            purpose = options.profile.purpose(self._door.request.purpose, options.language)
            return self._words.outgoing_greeting(slots, options.office, purpose or "")
        own = options.profile.greeting.get(options.language, {})
        return own.get(slots.greeting) or self._words.greeting(slots, options.office)

    async def answer(self, reply: Reply, drafts: Speculator) -> None:
        """Say the reply to what the caller said."""
        if isinstance(reply, Ask):
            async with drafts.answering(reply.question, self._turn_id) as draft:
                await self._say_answer(reply.question, draft, drafts)
            return
        drafts.drop(Waste.OTHER_WORDS)
        if isinstance(reply, SayLine):
            await self._say_line(reply.line, reply.number)
        elif isinstance(reply, SaySource):
            await self._say_text(spoken_source(reply.citations, self._options.language))
        else:
            last = self._conversation.last
            await self._say_text(last.said if last else "")

    async def _say_answer(self, asked: str, draft: Draft, drafts: Speculator) -> None:
        await self._bridge(draft)
        await draft.ready()
        drafts.use(draft, self._turn_id, self._stages or Stages())
        prompt, plan = draft.prompt, draft.plan
        self._conversation.note_answer(self._turn_id, asked, prompt.question, plan)
        worded: list[str] = []
        async with aclosing(draft.sentences()) as sentences:
            async for sentence, audio in sentences:
                worded.append(sentence.blocked or sentence.text)
                if sentence.violations:
                    self._note_blocked(sentence)
                self._conversation.note_said(self._turn_id, sentence.text, sentence.rests_on)
                await self._say(sentence.text, audio, sentence.citations)
        self._services.metrics.question_asked(covered=plan.grounded)
        if self._scored:
            found = score_answer(prompt, worded, 0.0)
            self._log.note("answer.scored", self._turn_id, passed=found.passed, **found.marks)
        if self._services.shadow is not None:
            profile = self._options.profile.id
            self._services.shadow.offer(self._log.call_ref, self._turn_id, prompt, profile)

    def _note_blocked(self, sentence: Sentence) -> None:
        """Note that another sentence is said in the place of one with invented figures."""
        found = [{"kind": v.kind.value, "text": v.text} for v in sentence.violations]
        self._log.note("answer.blocked", self._turn_id, text=sentence.blocked, violations=found)
        for violation in sentence.violations:
            self._services.metrics.grounding_violation(violation.kind.value)
        # It ends in the offer of a person, as an answer does that nothing covers.
        self._conversation.note_ungrounded(self._turn_id)

    async def _bridge(self, draft: Draft) -> None:
        """Say that it takes a moment, if it does; the caller has heard that when this returns."""
        wait_ms = self._services.limits.filler_after_ms
        if not self._aloud or not wait_ms or await draft.ready_within(wait_ms):
            return
        text = self._words.line(Line.ONE_MOMENT, self._conversation.slots)
        # What is said until the answer begins is neither its first sound nor heard of it.
        on_first_frame, self._mouth.on_first_frame = self._mouth.on_first_frame, None
        self._bridging = True
        with suppress(EngineError):  # the answer's own voice will tell
            await self._play(text, self._filler(text, draft))
        await self._mouth.drained()
        self._bridging = False
        self._mouth.begin_turn()
        self._mouth.on_first_frame = on_first_frame

    async def _filler(self, text: str, draft: Draft) -> SpeechAudio:
        """Yield a filler's audio, or none where the answer was faster after all."""
        begun = False
        async with aclosing(self.audio(text)) as pieces:
            async for piece in pieces:
                if not begun and draft.is_ready:
                    return
                if not begun:
                    begun = True
                    self._services.metrics.filler()
                    await self._tell(text)
                yield piece

    async def _say_line(self, line: Line, number: str = "") -> None:
        count = self._conversation.count(line)
        slots, outgoing = self._conversation.slots, self._outgoing
        await self._say_text(self._words.line(line, slots, count, outgoing=outgoing, number=number))

    async def _say_text(self, text: str) -> None:
        for sentence in split_sentences(text):
            await self._say(sentence)

    async def _say(
        self, sentence: str, audio: SpeechAudio | None = None, cited: Sequence[Citation] = ()
    ) -> None:
        """Say one sentence, whose audio may be there already: returns when all of it is queued."""
        await self._tell(sentence, cited)
        if self._aloud:
            await self._play(sentence, self._noticed(audio or self.audio(sentence)))
        else:
            self._typed.append(sentence)
            self._first_audio()

    async def _tell(self, sentence: str, cited: Sequence[Citation] = ()) -> None:
        rests_on: dict[str, object] = {"sources": [citation.source for citation in cited]}
        if cited:
            rests_on["citations"] = [citation.as_dict() for citation in cited]
        told = {"role": "assistant", "text": sentence, "turn_id": self._turn_id}
        await self._door.tell("transcript.final", {**told, **rests_on})
        self._log.note("assistant", self._turn_id, text=sentence, **rests_on)

    async def _play(self, sentence: str, audio: SpeechAudio) -> None:
        language = self._style.language
        reading = spoken_form(sentence, language)
        await self._mouth.say(sentence, audio, reading=reading, language=language)

    async def _noticed(self, audio: SpeechAudio) -> SpeechAudio:
        async with aclosing(audio) as pieces:
            async for piece in pieces:
                if isinstance(piece, bytes):
                    self._first_audio()
                yield piece

    async def audio(self, sentence: str) -> SpeechAudio:
        """Yield a sentence's audio; an engine that is being restarted is waited for.

        Raises:
            EngineError: The engine cannot speak it, or ended within it.
        """
        engine = self._services.tts.get(self._style.language)
        if engine is None:
            raise EngineUnavailable("No synthesiser speaks this language.")
        text = spoken_form(sentence, self._style.language)
        deadline = loop_ms() + self._services.limits.engine_wait_s * 1000
        started = False
        while True:
            try:
                async with aclosing(engine.synthesise(text, self._style)) as pieces:
                    async for piece in pieces:
                        started = True
                        yield piece
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
