"""One live call: the thin shell that feeds the state machine and carries its effects out.

A call is one TaskGroup: the door's reader, the mouth's pacing, and at most one turn, which is a
child task that can be cancelled. Everything that happens is put into one bounded queue and applied
in order, so nothing here needs a lock. What is decided is decided elsewhere: the state machine in
`call_fsm.py`, what the caller's input means in `caller_input.py`, turn-taking in `apps/voice`. What
comes from the caller goes through `caller_side.py`, how both voices sound through `call_sound.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from apps.core.errors import ProtocolError
from apps.core.events import CallEvent
from apps.dispatcher.call_ear import CallEar
from apps.dispatcher.call_facts import call_facts
from apps.dispatcher.call_fsm import allows, is_late
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.call_parts import delays_s, new_input, new_speculator
from apps.dispatcher.call_queue import CallQueue
from apps.dispatcher.call_reports import CallReports
from apps.dispatcher.call_sound import CallSound
from apps.dispatcher.call_state import (
    Accept,
    Answer,
    Arm,
    CallState,
    Disarm,
    Effect,
    End,
    EndReason,
    Event,
    Silence,
    Speak,
    Timer,
    Transfer,
)
from apps.dispatcher.caller_input import Input
from apps.dispatcher.caller_side import CallerSide
from apps.dispatcher.conditions import Conditions
from apps.dispatcher.conversation import Ask, Conversation, SayAgain
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.services import CallOptions, Services
from apps.dispatcher.speech import Speech
from apps.dispatcher.timers import Timers
from apps.dispatcher.turns import Played, Turns
from apps.rl.signals import CallFacts
from apps.voice.doors.base import CallerInterrupted, Door
from apps.voice.ear import Heard
from apps.voice.recording import CallRecorder

_CLOSING = (CallState.ASKING_RATING, CallState.THANKING)


class LiveCall:
    """One caller on the line; `run` is the whole call.

    Args:
        door: Where the caller is.
        session: The call and its policy.
        options: The call's profile and language.
        services: What all calls share.
        recorder: Records both voices, the caller's once the greeting has told them; or None.
    """

    def __init__(
        self,
        door: Door,
        session: CallSession,
        options: CallOptions,
        services: Services,
        recorder: CallRecorder | None = None,
    ) -> None:
        self.session, self._door = session, door
        self._services = services
        self.conversation = Conversation(options.language, session.slots)
        self.conditions = Conditions()
        self.log = CallLog(
            session.call_ref,
            services.log_sink,
            services.metrics.log_overflowed,
            self.conditions.take,
        )
        self._queue = CallQueue()
        self._stt = services.stt.get(options.language) if door.capabilities.audio else None
        self._reports = CallReports(door, session, options, services, self.log)
        self._ear = CallEar(self._stt, options, session.slots, services, self.log)
        self._sound = CallSound(door, self._ear, self.log, recorder)
        self._speech = Speech(
            door,
            options,
            services,
            self.conversation,
            self.log,
            self._sound.mouth,
            can_hear=self._stt is not None or not door.capabilities.audio,
            recorded=self._sound.recorded,
            scored=session.decision.watched,
        )
        self._input = new_input(door, self.conversation, options, services)
        self._speculator = new_speculator(
            session,
            self.conversation,
            self._input.person,
            self._speech.audio if door.capabilities.audio else None,
            self.log,
            options,
            services,
        )
        self._turns = Turns(
            door=door,
            session=session,
            conversation=self.conversation,
            mouth=self._sound.mouth,
            speech=self._speech,
            speculator=self._speculator,
            caller_input=self._input,
            ear=self._ear,
            reports=self._reports,
            post=self._queue.post,
        )
        waits_s = delays_s(services.limits, typed=not door.capabilities.audio)
        self._timers = Timers(waits_s, self._ring)
        self._caller = CallerSide(
            door,
            session,
            self._sound,
            self._ear,
            self._speech,
            self._speculator,
            self._input,
            self._timers,
            self.log,
            self._queue,
        )
        self._closing_ms: float | None = None
        self.ended = asyncio.Event()

    async def run(self) -> EndReason:
        """Take the call and stay with it until it has ended.

        Returns:
            Why it ended. Settling it (reward, store) is the caller's.
        """
        limits = self._services.limits
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._ear.open(tasks, self._caller.hear)
            self._speculator.start(tasks)
            helpers = [
                tasks.create_task(self._sound.mouth.run(), name="mouth"),
                tasks.create_task(self._caller.read(), name="door"),
            ]
            time_limit = loop.call_later(limits.max_call_s, self.close, EndReason.TIME_LIMIT)
            try:
                reason = await self._live(tasks)
            finally:
                time_limit.cancel()
                self._timers.stop()
                self._sound.close()
                self._speculator.stop()
                self._turns.cancel()
                for helper in helpers:
                    helper.cancel()
                self.ended.set()
        return reason

    async def rate(self) -> int | None:
        """Close the call with the rating question; returns the rating, or None without one."""
        self.close(EndReason.CLOSED)
        await self.ended.wait()
        return self.session.rating

    def facts(self, reason: EndReason) -> CallFacts:
        """Return what happened in the call, without anybody's words."""
        talked_ms = self._closing_ms if self._closing_ms is not None else self.log.now_ms()
        return call_facts(
            reason,
            self.session.call.closing,
            turns=self.conversation.facts(),
            barge_ins=self._input.barge_ins,
            duration_s=talked_ms / 1000,
            conditions=self.conditions.means(),
            flags=self.conditions.flags,
            answering=self.conditions.answering and isinstance(self._input.reply, Ask | SayAgain),
        )

    def close(self, reason: EndReason) -> None:
        """Close the call politely: it says goodbye, and asks for the rating where it may."""
        self._queue.post(Event(CallEvent.TIME_LIMIT, reason=reason.value))

    # --- events

    async def _live(self, tasks: asyncio.TaskGroup) -> EndReason:
        await self._apply(Event(CallEvent.INCOMING_CALL), tasks)
        await self._apply(Event(CallEvent.CALL_ANSWERED), tasks)
        while True:
            item = await self._queue.next()
            if isinstance(item, Played):
                await self._reports.latency(item.turn_id, item.stages)
                continue
            events = [item] if isinstance(item, Event) else await self._read(item)
            while events:
                event = events.pop(0)
                if not self._fits(event):
                    continue
                if (reason := await self._apply(event, tasks)) is not None:
                    return reason
                events = self._input.after(event, self.session.state) + events

    async def _read(self, item: Input | CallerInterrupted) -> list[Event]:
        if isinstance(item, CallerInterrupted):
            return await self._interrupt()
        if isinstance(item, Heard):
            await self._reports.speech(item)
            if item.transcript is not None:
                await self._reports.transcript(item.transcript, item.utterance_id)
        try:
            return self._input.read(item, self.session.state)
        except ProtocolError as error:
            await self._door.tell("error", error.as_dict())
            return []

    async def _interrupt(self) -> list[Event]:
        """Fall silent for a caller whose side asked for it: the answer ends with what was heard."""
        if self.session.state is not CallState.SPEAKING:
            return []
        turn_id = self.session.call.turn_id
        self._input.interrupted()
        self._services.metrics.barge_in()
        await self._turns.silence(turn_id)
        return [Event(CallEvent.SPEECH_FINISHED, turn_id=turn_id)]

    def _fits(self, event: Event) -> bool:
        """Tell whether an event can be applied now; one that cannot is counted and dropped."""
        call = self.session.call
        if is_late(call, event):
            self._services.metrics.late_event_dropped()
            self.log.note("dropped.late", event.turn_id, event=event.kind.value)
            return False
        if not allows(call, event.kind):
            self._services.metrics.illegal_event()
            self.log.note("dropped.illegal", event=event.kind.value, state=call.state.value)
            return False
        return True

    async def _apply(self, event: Event, tasks: asyncio.TaskGroup) -> EndReason | None:
        """Apply one event; returns why the call has ended, once it has."""
        before = self.session.call
        event = replace(event, at_ms=self.log.now_ms())
        self.log.event(event)
        effects = self._services.router.step(self.session, event)
        if Accept() in effects:  # a door's first message is that the call is taken
            await self._reports.started(self._stt, recorded=self._sound.recorded)
        if self.session.state not in (before.state, CallState.RINGING):
            await self._enter(self.session.state)
        if before.state is CallState.GREETING and event.kind is CallEvent.SPEECH_FINISHED:
            self._sound.told = True
        await self._tell_more(event)
        for effect in effects:
            if isinstance(effect, End):
                return effect.reason
            if isinstance(effect, Transfer):
                # Applied at once: a carrier that takes the caller over hangs up here meanwhile.
                return await self._apply(Event(await self._transfer()), tasks)
            await self._carry_out(effect, tasks)
        return None

    async def _enter(self, state: CallState) -> None:
        if state in _CLOSING and self._closing_ms is None:
            self._closing_ms = self.log.now_ms()
        await self._door.tell("state", {"state": state.value})

    async def _tell_more(self, event: Event) -> None:
        match event.kind:
            case CallEvent.RATING:
                await self._door.tell("rating", {"stars": event.rating})
            case CallEvent.ANSWER_READY:
                self.conversation.note_answered(self.session.call.turn_id)
            case CallEvent.BARGE_IN:
                self._services.metrics.barge_in()
            case CallEvent.SPEECH_FINISHED:
                self._ear.playback(interruptible=False)
                await self._reports.finished(self.session.call.turn_id)
            case CallEvent.TRANSCRIPT:
                self.conversation.note_turn(self.session.call.turn_id)

    # --- effects

    async def _carry_out(self, effect: Effect, tasks: asyncio.TaskGroup) -> None:
        match effect:
            case Speak(turn_id=turn_id, act=act):
                self._turns.say(turn_id, act, tasks)
            case Answer(turn_id=turn_id):
                self._turns.answer(turn_id, tasks)
            case Silence(turn_id=turn_id):
                await self._turns.silence(turn_id)
            case Arm(timer=timer):
                self._timers.arm(timer)
            case Disarm(timer=timer):
                self._timers.disarm(timer)

    async def _transfer(self) -> CallEvent:
        return await self._reports.transfer(self.conversation.summary())

    def _ring(self, timer: Timer) -> None:
        if timer is Timer.NO_INPUT:
            self._services.metrics.no_input()
        self._queue.post(Event(CallEvent.NO_INPUT))
