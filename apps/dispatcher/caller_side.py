"""What comes from one call's caller: what concerns the sound at once, the rest in its turn."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from apps.core.events import CallEvent
from apps.dispatcher.call_ear import CallEar
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.call_queue import CallQueue
from apps.dispatcher.call_sound import CallSound
from apps.dispatcher.call_state import CallState, EndReason, Event
from apps.dispatcher.caller_input import CallerInput
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.speculation import Speculator
from apps.dispatcher.speech import Speech
from apps.dispatcher.timers import Timers
from apps.voice.doors.base import (
    CallerAudio,
    CallerHold,
    CallerHungUp,
    CallerTurnEnded,
    Door,
    TurnsByHand,
)
from apps.voice.ear import Heard

_SPECULATIVE = (CallState.GREETING, CallState.LISTENING, CallState.HEARING, CallState.THINKING)


@dataclass(frozen=True, slots=True)
class CallerSide:
    """Takes in what the door brings and what the ear hears.

    Args:
        door: Where the caller is.
        session: The call and its policy.
        sound: Both voices.
        ear: Hears the caller.
        speech: Knows whether the assistant asks something.
        speculator: Begins answers early.
        caller_input: Knows what is not answered yet.
        timers: Wait while the caller is on hold.
        log: The call's event log.
        queue: Takes what is applied in its turn.
    """

    door: Door
    session: CallSession
    sound: CallSound
    ear: CallEar
    speech: Speech
    speculator: Speculator
    caller_input: CallerInput
    timers: Timers
    log: CallLog
    queue: CallQueue

    async def read(self) -> None:
        """Read the door until it ends."""
        async with aclosing(self.door.events()) as arrivals:
            async for arrival in arrivals:
                match arrival:
                    case CallerAudio(pcm=pcm):
                        self.sound.caller(pcm)
                    case TurnsByHand(on=on):
                        self.ear.by_hand(on)
                    case CallerTurnEnded(discard=discard):
                        self.ear.end_turn(discard=discard)
                    case CallerHold(on=on):
                        self._wait(on)
                    case CallerHungUp(failed=failed):
                        why = EndReason.FAILURE if failed else EndReason.CALLER_HUNG_UP
                        self.queue.post(Event(CallEvent.CALL_ENDED, reason=why.value))
                    case _:
                        await self.queue.room()
                        self.queue.post(arrival)

    def hear(self, heard: Heard) -> None:
        """Take what the ear says."""
        match heard.kind:
            case "hold":
                self.log.note("mouth.hold")
                self.sound.mouth.hold()
                self.ear.playback(interruptible=True, asks=self.speech.asks)
            case "resume":
                self.log.note("mouth.resume")
                self.sound.mouth.resume()
            case "maybe_ended":
                self._speculate(heard)
            case "went_on":
                self.speculator.drop()
            case _:
                self.queue.post(heard)

    def _speculate(self, heard: Heard) -> None:
        """Begin to answer what may be all that the caller says, where it would be answered."""
        if heard.transcript is not None and self.session.state in _SPECULATIVE:
            whole = self.caller_input.whole(heard.transcript.text)
            self.speculator.begin(whole, heard.utterance_id)

    def _wait(self, on: bool) -> None:
        """Neither speak nor ask while the caller has put the call on hold; then go on."""
        self.log.note("caller.hold", on=on)
        self.timers.hold(on)
        if on:
            self.sound.mouth.hold()
        else:
            self.sound.mouth.resume()
