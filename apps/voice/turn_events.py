"""What turn-taking is told, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from apps.voice.completeness import Completeness, Expecting

# --- what comes in


@dataclass(frozen=True, slots=True)
class Window:
    """One VAD window: it ended at `end_ms` and holds voice with `probability`, in [0, 1]."""

    end_ms: float
    length_ms: float
    probability: float


@dataclass(frozen=True, slots=True)
class Words:
    """What the recogniser made of the present utterance, of which it had heard up to `until_ms`.

    An engine that does not tell has None: such words may interrupt, and say nothing about the end.
    """

    text: str
    until_ms: float | None


@dataclass(frozen=True, slots=True)
class AllWords:
    """The final transcript of the utterance that ended last; empty when nothing was understood.

    Attributes:
        text: Its words.
        confidence: In [0, 1]; None where the engine does not tell: it is believed then.
    """

    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Playback:
    """What the caller hears of the assistant from now on.

    Attributes:
        interruptible: It speaks, and may be interrupted.
        asks: What is being said asks something, so that a "yes" is an answer.
    """

    interruptible: bool = False
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What the assistant has asked for; `digits` is how many, 0 where that is not known."""

    expecting: Expecting = Expecting.ANYTHING
    digits: int = 0


@dataclass(frozen=True, slots=True)
class ByHand:
    """Whether the caller's side says when turns end, and silence and interruptions say nothing."""

    on: bool


@dataclass(frozen=True, slots=True)
class Yielded:
    """The caller's side says that the caller's turn has ended."""


Heard = Window | Words | AllWords | Playback | Question | ByHand | Yielded

# --- what goes out


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The caller's voice began at `at_ms`."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class MaybeEnded:
    """The caller may have finished with these words."""

    text: str


@dataclass(frozen=True, slots=True)
class WentOn:
    """The caller has gone on after a `MaybeEnded`."""


@dataclass(frozen=True, slots=True)
class CallerEnded:
    """The caller has finished; the last voice ended at `last_voice_ms`.

    Attributes:
        last_voice_ms: When.
        completeness: What the words said about it; None where there were none.
    """

    last_voice_ms: float
    completeness: Completeness | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The caller speaks over the assistant: fall silent for now."""


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The caller means to interrupt."""


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """It was no speech: go on where the assistant fell silent."""


@dataclass(frozen=True, slots=True)
class Backchannel:
    """The caller only agrees ("mhm"): go on where the assistant fell silent."""


Signal = (
    CallerStarted | MaybeEnded | WentOn | CallerEnded | Hold | BargeIn | FalseAlarm | Backchannel
)
