"""The caller's side of a Realtime conversation: messages that are being said, and their words."""

from __future__ import annotations

from dataclasses import replace

from apps.voice.doors.realtime.conversation import CallerTurn, Item, Script
from apps.voice.doors.realtime.happenings import SpeechEnded, SpeechStarted, Understood

MAX_TURNS = 20
"""More caller's turns than this never wait for their words; the oldest is settled."""


def speech_started(script: Script, speech: SpeechStarted) -> None:
    """Note a new utterance: it begins a message, or goes on with one that is not committed."""
    turn = script.now.open_turn
    item_id = turn.item_id if turn is not None else script.mint("item")
    if script.now.session.turns is not None:
        script.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=round(speech.audio_ms),
            item_id=item_id,
        )
    turn = turn or begin_turn(script, item_id, speech.audio_ms)
    script.turn(replace(turn, waiting=(*turn.waiting, speech.utterance), latest=""))


def begin_turn(script: Script, item_id: str, audio_ms: float) -> CallerTurn:
    """Add the user's message that is being said from now on."""
    item = Item(item_id, status="in_progress", content="input_audio", text=None)
    script.add(item)
    turn = CallerTurn(item.id, began_ms=audio_ms)
    script.turn(turn)
    while len(script.now.turns) > MAX_TURNS:
        _complete(script, script.now.turns[0])
    return turn


def speech_ended(script: Script, speech: SpeechEnded) -> None:
    """Note an utterance's end, which ends the message unless the client says when turns end."""
    turn = script.now.open_turn
    if turn is None or speech.utterance not in turn.waiting:
        return  # it was cleared
    if script.now.session.turns is None:  # a pause of whoever says when the turn ends
        script.turn(replace(turn, ended_ms=speech.audio_ms))
        return
    script.send(
        "input_audio_buffer.speech_stopped",
        audio_end_ms=round(speech.audio_ms),
        item_id=turn.item_id,
    )
    commit_turn(script, speech.audio_ms)


def commit_turn(script: Script, audio_ms: float) -> None:
    """Tell that the caller's open turn is finished; its words may still come."""
    turn = script.now.open_turn or begin_turn(script, script.mint("item"), audio_ms)
    turn = replace(turn, committed=True, ended_ms=audio_ms)
    script.turn(turn)
    script.edit(turn.item_id, status="completed")
    previous = script.before(turn.item_id)
    script.send("input_audio_buffer.committed", previous_item_id=previous, item_id=turn.item_id)
    script.finish(turn.item_id)
    script.change(awaited=True, settled_ms=script.now.heard_ms)
    if turn.said and not turn.waiting:
        _complete(script, turn)


def understood(script: Script, words: Understood) -> None:
    """Tell the words of a message so far; all of them once they are final and it is committed."""
    turn = next((t for t in script.now.turns if words.utterance in t.waiting), None)
    if turn is None:
        return
    if not words.final:
        _partial(script, turn, words)
        return
    waiting = tuple(u for u in turn.waiting if u != words.utterance)
    turn = replace(turn, waiting=waiting, said=(*turn.said, words.text), latest="")
    turn = _stream(script, turn, turn.said)
    if turn.committed and not waiting:
        _complete(script, turn)


def _partial(script: Script, turn: CallerTurn, words: Understood) -> None:
    """Tell the words that two successive partial transcripts agree on: those seldom change."""
    if turn.waiting[-1] != words.utterance:
        return
    agreed = list[str]()
    for earlier, later in zip(turn.latest.split(), words.text.split(), strict=False):
        if earlier != later:
            break
        agreed.append(later)
    turn = replace(turn, latest=words.text)
    _stream(script, turn, (*turn.said, " ".join(agreed)))


def _stream(script: Script, turn: CallerTurn, said: tuple[str, ...]) -> CallerTurn:
    """Tell what is new in a message's words; a delta cannot take back what an earlier one said."""
    whole = " ".join(filter(None, said))
    delta = whole.removeprefix(turn.told)
    if delta and len(delta) == len(whole) - len(turn.told):
        turn = replace(turn, told=whole)
        if script.now.session.transcribe:
            script.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=turn.item_id,
                content_index=0,
                delta=delta,
            )
    script.turn(turn)
    return turn


def _complete(script: Script, turn: CallerTurn) -> None:
    """Tell all words of a turn, and forget it."""
    script.drop_turn(turn.item_id)
    transcript = " ".join(filter(None, turn.said))
    script.edit(turn.item_id, text=transcript)
    if script.now.session.transcribe:
        seconds = max(0.0, turn.ended_ms - turn.began_ms) / 1000
        script.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=turn.item_id,
            content_index=0,
            transcript=transcript,
            usage={"type": "duration", "seconds": round(seconds, 3)},
        )


def settle(script: Script) -> None:
    """Complete the turns whose words will not come: nothing was understood."""
    for turn in script.now.turns:
        if turn.committed:
            _complete(script, turn)
