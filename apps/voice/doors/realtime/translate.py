"""TOM's call into Realtime server events: (conversation, happening) -> (conversation, events).

A turn of the assistant is a response with one message; what it says is added sentence by sentence.
A turn of the caller is a message of the user: it is added when the voice begins, committed when the
caller has finished, and its transcript is completed when the recogniser has told the last words.
"""

from __future__ import annotations

from apps.voice.doors.realtime import caller, responses
from apps.voice.doors.realtime import happenings as tom
from apps.voice.doors.realtime.conversation import Conversation, Event, Script
from apps.voice.doors.realtime.session import HAND_OVER, HANG_UP


def translate(
    conversation: Conversation, happening: tom.Happening
) -> tuple[Conversation, list[Event]]:
    """Return what follows from a happening: the conversation's next value, and what to send."""
    script, response = Script(conversation), conversation.response
    match happening:
        case tom.Played():
            responses.played(script, happening)
        case tom.Moved(state=state):
            script.change(state=state)
        case tom.SpeechStarted():
            caller.speech_started(script, happening)
        case tom.SpeechEnded():
            caller.speech_ended(script, happening)
        case tom.Understood():
            caller.understood(script, happening)
        case tom.Said():
            responses.said(script, happening)
        case tom.Dropped():
            if response is not None:
                script.send("output_audio_buffer.cleared", response_id=response.id)
        case tom.Finished(turn_id=turn_id):
            if response is not None and response.turn_id == turn_id:
                responses.close(script, "completed")
        case tom.Interrupted():
            responses.interrupted(script, happening)
        case tom.HandedOver(target=target, summary=summary):
            responses.call(script, HAND_OVER, {"target": target, "summary": summary})
        case tom.Ended(reason=reason):
            _ended(script, reason)
    return script.now, script.events


def _ended(script: Script, reason: str) -> None:
    caller.settle(script)
    if script.now.response is not None:
        responses.close(script, "cancelled", "turn_detected")
    if reason not in ("caller_hung_up", "handover"):
        responses.call(script, HANG_UP, {"reason": reason})
