"""The turns of one call: what the assistant says, one at a time, each a cancellable task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import EngineError
from apps.core.events import CallEvent
from apps.dispatcher.call_ear import CallEar
from apps.dispatcher.call_reports import CallReports
from apps.dispatcher.call_state import Act, CallState, Event
from apps.dispatcher.caller_input import CallerInput
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.speculation import Speculator, Waste
from apps.dispatcher.speech import Speech
from apps.dispatcher.turn import Stages
from apps.voice.completeness import Expecting
from apps.voice.doors.base import Door
from apps.voice.mouth import Mouth

log = structlog.get_logger(__name__)

_INTERRUPTIBLE = (Act.NO_INPUT, Act.REPEAT_PLEASE, Act.APOLOGY, Act.NOT_TRANSFERRED)


@dataclass(frozen=True, slots=True)
class Played:
    """The first frame of a turn's answer has been sent."""

    turn_id: int
    stages: Stages


@dataclass(slots=True)
class Turns:
    """Runs the turns of one call.

    Args:
        door: Where the caller is.
        session: The call and its policy.
        conversation: The call's memory.
        mouth: Plays what is said.
        speech: Says it.
        speculator: Has answers that were begun early.
        caller_input: Knows what is to be answered.
        ear: Told what the caller hears, and what they were asked.
        reports: Tells the caller's side and the log.
        post: Takes what comes of a turn, in the call's queue.
    """

    door: Door
    session: CallSession
    conversation: Conversation
    mouth: Mouth
    speech: Speech
    speculator: Speculator
    caller_input: CallerInput
    ear: CallEar
    reports: CallReports
    post: Callable[[Event | Played], None]
    _task: asyncio.Task[None] | None = None

    def say(self, turn_id: int, act: Act, tasks: asyncio.TaskGroup) -> None:
        """Begin a turn that says one of the fixed acts."""
        self._start(turn_id, partial(self._say_act, turn_id, act), tasks)

    def answer(self, turn_id: int, tasks: asyncio.TaskGroup) -> None:
        """Begin a turn that answers what the caller said."""
        self._start(turn_id, partial(self._answer, turn_id), tasks)

    async def silence(self, turn_id: int) -> None:
        """Stop the turn, wait until it has stopped, and keep what was heard of it."""
        self.ear.playback(interruptible=False)
        was_speaking = self.speech.speaking
        heard = self.speech.flush()
        self.cancel()  # before anything is awaited, so that it queues nothing behind the flush
        if was_speaking:
            await self.door.flush()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
            self.speech.flush()  # what the turn queued on its way out
        self._task = None
        if was_speaking:
            await self.reports.heard(turn_id, heard)
        self.conversation.note_heard(turn_id, heard)
        self.conversation.forget(turn_id)

    def cancel(self) -> None:
        """Stop the turn, without waiting for it."""
        if self._task is not None:
            self._task.cancel()

    def _start(
        self, turn_id: int, work: Callable[[], Awaitable[None]], tasks: asyncio.TaskGroup
    ) -> None:
        self._task = tasks.create_task(self._run(turn_id, work), name=f"turn {turn_id}")

    async def _run(self, turn_id: int, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            await self.speech.finished()
        except EngineError as error:
            log.warning("turn_failed", code=error.code, reason=error.message)
            self.post(Event(CallEvent.FAILURE, turn_id=turn_id, reason=error.code))
        else:
            self.conversation.note_heard(turn_id, self.speech.heard())
            if self.speech.asks and self.session.state is CallState.SPEAKING:
                self.ear.expect(Expecting.YES_NO)
            self.post(Event(CallEvent.SPEECH_FINISHED, turn_id=turn_id))

    async def _say_act(self, turn_id: int, act: Act) -> None:
        is_rating = act is Act.RATING_QUESTION
        self.speculator.drop(Waste.OTHER_WORDS)
        self.ear.expect(Expecting.RATING if is_rating else Expecting.ANYTHING)
        if is_rating:
            self.session.rating_offered = True
            await self.reports.rating_asked(turn_id)
        self.ear.playback(interruptible=act in _INTERRUPTIBLE)
        stages = self.caller_input.take_stages()
        self.speech.begin_turn(turn_id, stages, None)
        if stages is not None:
            stages.retrieved = stages.worded = loop_ms()
            self._watch_first_frame(turn_id, stages)
        await self.speech.say_act(act, self.session.rating, self.session.call.closing)

    async def _answer(self, turn_id: int) -> None:
        reply, stages = self.caller_input.reply, self.caller_input.take_stages() or Stages()

        def on_audio() -> None:
            self.post(Event(CallEvent.ANSWER_READY, turn_id=turn_id))

        self.speech.begin_turn(turn_id, stages, on_audio)
        self._watch_first_frame(turn_id, stages)
        self.ear.playback(interruptible=True)
        self.ear.expect(Expecting.ANYTHING)
        await self.speech.answer(reply, self.speculator)

    def _watch_first_frame(self, turn_id: int, stages: Stages) -> None:
        def on_first_frame(at_ms: float) -> None:
            stages.played = at_ms
            self.post(Played(turn_id, stages))

        self.mouth.on_first_frame = on_first_frame
