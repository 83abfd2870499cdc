"""All options of turn-taking, with their defaults; docs/turn-taking.md has them as a table."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.policy import BargeInSensitivity

HOLD_MS = {
    BargeInSensitivity.LOW: 320.0,
    BargeInSensitivity.MEDIUM: 96.0,
    BargeInSensitivity.HIGH: 64.0,
}
BARGE_IN_MS = {
    BargeInSensitivity.LOW: 1200.0,
    BargeInSensitivity.MEDIUM: 1000.0,
    BargeInSensitivity.HIGH: 500.0,
}


_STOPS_EN = ("no", "stop", "wait", "sorry", "hello")
_STOPS_DE = ("nein", "stopp", "halt", "moment", "warte", "warten", "entschuldigung", "hallo")
STOPS = frozenset((*_STOPS_EN, *_STOPS_DE))
"""What begins so interrupts, also when the recogniser doubts it."""

GOVERNED = ("hold_ms", "barge_in_ms")
"""The options that the policy slot `barge_in_sensitivity` sets for each call."""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """All options of turn-taking, with their defaults.

    Attributes:
        language: ``de`` or ``en``; what a complete sentence is depends on it.
        voice_on: A window at or above this probability is voice.
        voice_off: A window below this is silence; between the two it is what it was before.
        lone_word: Taken off both while a rating is awaited in silence: detectors are seldom sure
            of a single word.
        start_ms: Voice that makes a start; shorter noises are ignored.
        maybe_ms: Silence after which words that do not hang may be all there is.
        complete_ms: Silence that ends a turn whose words are complete (TOM_ENDPOINT_COMPLETE_MS).
        endpoint_ms: The same when the words do not tell, or there are none
            (TOM_ENDPOINT_SILENCE_MS).
        hanging_ms: The same when the words want something to follow (TOM_ENDPOINT_HANGING_MS).
        wordless_ms: The same for voice over the assistant with hardly a word: a cough, "mhm".
        stale_ms: Words are judged only if the recogniser had heard the utterance up to so much
            before its last voice.
        hold_ms: Voice over the assistant at which it falls silent for now. The policy slot
            `barge_in_sensitivity` governs it (`HOLD_MS`).
        barge_in_ms: Voice over the assistant that interrupts even without words; governed by the
            same slot (`BARGE_IN_MS`).
        sure_words: So many words over the assistant interrupt at once; fewer wait for the final
            transcript, since recognisers make a word of a cough. The assistant is silent by then.
        doubt: Fewer words than that, with less confidence than this, are a noise, unless they
            begin with one of `STOPS` or answer what is being asked.
        max_utterance_ms: An utterance is cut here, so that no engine runs without end.
    """

    language: str = "en"
    voice_on: float = 0.5
    voice_off: float = 0.35
    lone_word: float = 0.2
    start_ms: float = 64.0
    maybe_ms: float = 64.0
    complete_ms: float = 200.0
    endpoint_ms: float = 600.0
    hanging_ms: float = 1500.0
    wordless_ms: float = 350.0
    stale_ms: float = 100.0
    hold_ms: float = HOLD_MS[BargeInSensitivity.MEDIUM]
    barge_in_ms: float = BARGE_IN_MS[BargeInSensitivity.MEDIUM]
    sure_words: int = 3
    doubt: float = 0.7
    max_utterance_ms: float = 30_000.0
