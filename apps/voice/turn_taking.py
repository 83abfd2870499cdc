"""When the caller has started, may have finished, has finished, or interrupts: a pure decider.

Time arrives in the events as the audio's own: milliseconds of caller audio since the call began.
So a recorded call decides the same way again, and minutes of it in milliseconds.

The end of a turn. How much silence is one depends on what was said so far:

    voice        ____#######____________      "what does that cost"   complete: 200 ms
    maybe ended  ______________^              64 ms of silence and words that may be all of it
    ended        ________________^

    voice        ____#######________________________###____     "my number is oh one": hanging
    maybe ended                                        ^
    ended                                                  ^

A turn that may have ended is worth preparing an answer for; `WentOn` takes that back.

Interruptions come in steps. At the first sign of voice over the assistant it falls silent (`Hold`).
Words that mean something, or voice that goes on, make a `BargeIn`; a cough or an echo, which ends
without words, is a `FalseAlarm`, and "mhm" is a `Backchannel`: after both the assistant goes on
where it fell silent.

    assistant    ##########_________##########        ##########___________
    voice        ______####__________________         ______###############
                      ^ hold       ^ false alarm            ^ hold  ^ barge-in
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from apps.core.words import words
from apps.voice.completeness import Completeness, Expecting, is_backchannel, judge
from apps.voice.turn_events import (
    AllWords,
    Backchannel,
    BargeIn,
    ByHand,
    CallerEnded,
    CallerStarted,
    FalseAlarm,
    Heard,
    Hold,
    MaybeEnded,
    Playback,
    Question,
    Signal,
    WentOn,
    Window,
    Words,
    Yielded,
)
from apps.voice.turn_options import STOPS, TurnOptions


@dataclass(frozen=True, slots=True)
class Floor:
    """What turn-taking remembers: who has the floor.

    Attributes:
        speaking: Whether the caller is in an utterance.
        voiced: Whether the latest window counted as voice.
        voice_began_ms: Start of the present run of voice (before a start is certain).
        run_ms: Length of that run.
        started_ms: Start of the present utterance.
        last_voice_ms: End of the latest voice.
        over_ms: Voice of the present utterance over the interruptible assistant.
        words: The present utterance so far.
        until_ms: Up to where the recogniser had heard it.
        maybe: The words of a `MaybeEnded` that still stands, else None.
        holding: Whether the assistant was made to fall silent and nothing has come of it yet.
        broke_in: Whether this utterance has been called a barge-in already.
        playback: What the caller hears of the assistant.
        question: What the assistant has asked for.
        by_hand: Whether turns end by `Yielded` alone.
    """

    speaking: bool = False
    voiced: bool = False
    voice_began_ms: float = 0.0
    run_ms: float = 0.0
    started_ms: float = 0.0
    last_voice_ms: float = 0.0
    over_ms: float = 0.0
    words: str = ""
    until_ms: float = 0.0
    maybe: str | None = None
    holding: bool = False
    broke_in: bool = False
    playback: Playback = field(default_factory=Playback)
    question: Question = field(default_factory=Question)
    by_hand: bool = False


Result = tuple[Floor, list[Signal]]


def step(floor: Floor, heard: Heard, options: TurnOptions) -> Result:
    """Take one thing heard in and return what follows from it."""
    match heard:
        case Window():
            return _window(floor, heard, options)
        case Words(text=text, until_ms=until_ms):
            return _words(floor, text, until_ms, options)
        case AllWords():
            return _all_words(floor, heard, options)
        case Playback(interruptible=interruptible):
            return replace(floor, playback=heard, holding=floor.holding and interruptible), []
        case Question():
            return replace(floor, question=heard), []
        case ByHand(on=on):
            released: list[Signal] = [FalseAlarm()] if on and floor.holding else []
            return replace(floor, by_hand=on, holding=floor.holding and not on), released
        case Yielded():
            return _end(floor, None) if floor.speaking else (floor, [])


def endpoint(floor: Floor, options: TurnOptions) -> tuple[float, Completeness | None]:
    """Return how much silence ends the present utterance, in milliseconds, and why."""
    # Else more was said than the recogniser has told yet.
    known = floor.words and floor.until_ms >= floor.last_voice_ms - options.stale_ms
    if floor.holding and known and _agrees(floor, floor.words, options):
        return options.complete_ms, None
    if floor.holding and len(floor.words.split()) < options.sure_words:
        return options.wordless_ms, None
    if not known:
        return options.endpoint_ms, None
    question = floor.question
    verdict = judge(floor.words, options.language, question.expecting, question.digits)
    return {
        Completeness.COMPLETE: options.complete_ms,
        Completeness.OPEN: options.endpoint_ms,
        Completeness.HANGING: options.hanging_ms,
    }[verdict], verdict


# --- voice


def _window(floor: Floor, window: Window, options: TurnOptions) -> Result:
    floor = _note_voice(floor, window, options)
    signals: list[Signal] = []
    if not floor.speaking and floor.voiced and floor.run_ms >= options.start_ms:
        floor = _begin(floor)
        signals.append(CallerStarted(floor.started_ms))
    elif floor.speaking and floor.voiced and floor.playback.interruptible:
        floor = replace(floor, over_ms=floor.over_ms + window.length_ms)
    if not floor.speaking:
        return floor, signals
    if floor.voiced:
        floor, more = _interrupt(floor, options)
        if floor.maybe is not None:
            floor = replace(floor, maybe=None)
            more.append(WentOn())
        if window.end_ms - floor.started_ms >= options.max_utterance_ms:
            floor, ended = _end(floor, None)
            more += ended
        return floor, signals + more
    floor, more = _silence(floor, window.end_ms - floor.last_voice_ms, options)
    return floor, signals + more


def _note_voice(floor: Floor, window: Window, options: TurnOptions) -> Floor:
    threshold = options.voice_off if floor.voiced else options.voice_on
    if floor.question.expecting is Expecting.RATING and not floor.playback.interruptible:
        threshold -= options.lone_word
    if window.probability < threshold:
        return replace(floor, voiced=False, run_ms=0.0) if floor.voiced else floor
    began = floor.voice_began_ms if floor.voiced else window.end_ms - window.length_ms
    return replace(
        floor,
        voiced=True,
        voice_began_ms=began,
        run_ms=window.end_ms - began,
        last_voice_ms=window.end_ms,
    )


def _begin(floor: Floor) -> Floor:
    return replace(
        floor,
        speaking=True,
        started_ms=floor.voice_began_ms,
        over_ms=floor.run_ms if floor.playback.interruptible else 0.0,
        words="",
        until_ms=0.0,
        maybe=None,
        broke_in=False,
    )


def _interrupt(floor: Floor, options: TurnOptions) -> Result:
    """Fall silent at the first sign, and give way to what goes on."""
    signals: list[Signal] = []
    if not floor.playback.interruptible or floor.broke_in or floor.by_hand:
        return floor, signals
    if not floor.holding and floor.over_ms >= options.hold_ms:
        floor = replace(floor, holding=True)
        signals.append(Hold())
    if floor.holding and floor.over_ms >= options.barge_in_ms:
        agrees = _agrees(floor, floor.words, options)
        if not agrees:
            floor = replace(floor, holding=False, broke_in=True)
            signals.append(BargeIn())
    return floor, signals


def _silence(floor: Floor, silence_ms: float, options: TurnOptions) -> Result:
    needed_ms, verdict = endpoint(floor, options)
    if silence_ms >= needed_ms and not floor.by_hand:
        return _end(floor, verdict)
    return _maybe(floor, silence_ms, verdict, options)


def _maybe(
    floor: Floor, silence_ms: float, verdict: Completeness | None, options: TurnOptions
) -> Result:
    """Say once for each new text that it may be all."""
    known = verdict is not None and verdict is not Completeness.HANGING
    if silence_ms < options.maybe_ms or not known or floor.words == floor.maybe:
        return floor, []
    went_on: list[Signal] = [WentOn()] if floor.maybe is not None else []
    return replace(floor, maybe=floor.words), [*went_on, MaybeEnded(floor.words)]


def _end(floor: Floor, verdict: Completeness | None) -> Result:
    ended = replace(floor, speaking=False, voiced=False, run_ms=0.0, maybe=None)
    return ended, [CallerEnded(floor.last_voice_ms, verdict)]


# --- words


def _words(floor: Floor, text: str, until_ms: float | None, options: TurnOptions) -> Result:
    overtaken = until_ms is not None and until_ms < floor.until_ms
    if not floor.speaking or overtaken:
        return floor, []  # of an utterance that has ended, or older than those known
    text = text.strip()
    floor = replace(floor, words=text, until_ms=0.0 if until_ms is None else until_ms)
    enough = len(text.split()) >= options.sure_words
    if floor.holding and enough and not _agrees(floor, text, options):
        return replace(floor, holding=False, broke_in=True), [BargeIn()]
    return floor, []


def _all_words(floor: Floor, heard: AllWords, options: TurnOptions) -> Result:
    """Settle a hold: the utterance that caused it is over, and these were its words."""
    if not floor.holding or floor.speaking:  # who speaks again settles it by that utterance
        return floor, []
    floor = replace(floor, holding=False)
    if not _meant(floor, heard, options):
        return floor, [FalseAlarm()]
    if _agrees(floor, heard.text, options):
        return floor, [Backchannel()]
    return floor, [BargeIn()]


def _meant(floor: Floor, heard: AllWords, options: TurnOptions) -> bool:
    """Tell words from a noise that was taken for a word or two.

    Few words must be sure, unless they are what somebody says who interrupts, or an answer to
    what is being asked: recognisers are seldom sure of a single word, also of a right one.
    """
    said = words(heard.text)
    doubted = heard.confidence is not None and heard.confidence < options.doubt
    if not said or len(said) >= options.sure_words or not doubted:
        return bool(said)
    if said[0] in STOPS:
        return True
    question = floor.question
    verdict = judge(heard.text, options.language, question.expecting, question.digits)
    return floor.playback.asks and verdict is Completeness.COMPLETE


def _agrees(floor: Floor, text: str, options: TurnOptions) -> bool:
    """Tell whether words over the assistant only accompany it."""
    return not floor.playback.asks and is_backchannel(text, options.language)
