"""What a call's facts say about how well it went: the signals that the reward is made of.

The facts are filled in by the dispatcher while the call runs; everything here is pure. The rules
are told in docs/learning.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from apps.core.errors import InvalidFeedback
from apps.core.words import words
from apps.store.feedback import Flag


class Signals(BaseModel):
    """The signals of one call; null is "not known", which leaves its term out of the reward."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resolution: bool | None = Field(None, description="Whether the caller's matter was settled.")
    user_rating: int | None = Field(
        None, ge=1, le=5, description="The caller's rating, 1 (bad) to 5 (good)."
    )
    barge_in_count: int | None = Field(
        None, ge=0, description="How often the caller broke into an answer."
    )
    repeats: int | None = Field(
        None, ge=0, description="How often the caller had to ask the same again."
    )
    handover: bool | None = Field(None, description="Whether the call went to a person.")
    duration_sec: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How long the call lasted, in seconds."
    )

    @field_validator("user_rating", "barge_in_count", "repeats", "duration_sec", mode="before")
    @classmethod
    def _is_a_number(cls, value: object) -> object:
        if isinstance(value, bool | str | bytes):
            raise ValueError("must be a number")
        return value

    @field_validator("resolution", "handover", mode="before")
    @classmethod
    def _is_yes_or_no(cls, value: object) -> object:
        if value is not None and not (isinstance(value, bool) or value in (0, 1)):
            raise ValueError("must be true or false")
        return value


def check_signals(signals: Mapping[str, object]) -> Signals:
    """Return signals that are sound.

    Raises:
        InvalidFeedback: A signal is unknown or impossible; it is named.
    """
    try:
        return Signals.model_validate(signals)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "signals"
        raise InvalidFeedback(
            f"The signal {name} cannot be used: {first['msg']}.",
            hint=f"Signals are {', '.join(Signals.model_fields)}; leave out what is not known.",
        ) from None


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """What one turn of the caller was.

    Attributes:
        question: They asked something (a bare yes, thanks or goodbye is no question).
        answered: The assistant's answer began to sound; "I don't have that here" is one too.
        grounded: That answer rests on a passage of the knowledge base.
        is_repeat: The question asks what they have asked before (see ``is_repeat``).
        asked_for_person: They asked for a human agent.
        confirmed: They said that it helped (True) or did not (False); None when neither.
    """

    question: bool = True
    answered: bool = False
    grounded: bool = False
    is_repeat: bool = False
    asked_for_person: bool = False
    confirmed: bool | None = None


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What happened in a call, as far as learning is concerned; no words of anybody.

    Attributes:
        turns: The caller's turns, in order.
        ended_by_caller: They said goodbye or hung up (not: a failure, a time limit, silence).
        handed_over: The call went to a person.
        barge_ins: Those that count (see ``counts_as_barge_in``).
        duration_s: From the answering to the end, the rating question left out.
        flags: What went wrong in it, whatever its reward is.
        conditions: Under which it was held, as means over the call: ``stt_confidence`` in [0, 1],
            ``latency_ms`` from the caller's last sound to the answer's first, and ``noise_db``,
            the line's background as sound pressure. What is not known is left out.
    """

    turns: tuple[TurnFacts, ...] = ()
    ended_by_caller: bool = False
    handed_over: bool = False
    barge_ins: int = 0
    duration_s: float = 0.0
    flags: tuple[Flag, ...] = ()
    conditions: Mapping[str, float] = field(default_factory=dict)


def counts_as_barge_in(*, during_answer: bool, heard_words: int, closes: bool) -> bool:
    """Tell whether an interruption speaks against the policy.

    Args:
        during_answer: The assistant was answering; breaking into the greeting, a prompt or the
            rating question is what a caller who knows them does.
        heard_words: Words that were recognised; none means a cough or noise.
        closes: The words confirm, thank or say goodbye: the answer was long enough already.
    """
    return during_answer and heard_words > 0 and not closes


def is_abandoned(facts: CallFacts) -> bool:
    """Tell whether the call ended before its first answer; such a call is counted, not rewarded.

    One that was handed over to a person is not abandoned.
    """
    return not facts.handed_over and not any(turn.answered for turn in facts.turns)


def resolution(facts: CallFacts) -> bool | None:
    """Return whether the caller's matter was settled, or None when that is not known.

    True when the caller confirms that the last answer helped (False when they deny it), or when
    they end the call after a grounded answer without having repeated that question, without
    having asked for a person, and with no question left open.
    """
    for turn in reversed(facts.turns):
        if turn.confirmed is not None:
            return turn.confirmed
        if turn.question:
            break
    questions = [turn for turn in facts.turns if turn.question]
    if facts.handed_over or any(turn.asked_for_person for turn in facts.turns):
        return None
    if not facts.ended_by_caller or not questions:
        return None
    last = questions[-1]
    return True if last.answered and last.grounded and not last.is_repeat else None


def signals_of(facts: CallFacts, rating: int | None) -> Signals:
    """Return the signals of an ended call and its rating (None: there is none).

    Raises:
        InvalidFeedback: The rating, or a fact, cannot be.
    """
    return check_signals(
        {
            "resolution": resolution(facts),
            "user_rating": rating,
            "barge_in_count": facts.barge_ins,
            "repeats": sum(turn.is_repeat for turn in facts.turns),
            "handover": facts.handed_over,
            "duration_sec": max(facts.duration_s, 0.0),
        }
    )


# Words that say nothing about which question it is. (Where, when and who do.)
_COMMON_TEXT = (
    "a about an and are at be by can could do does for from have how i in is it me mine much my"
    " of on or please so than that the then there this to was we what which will with"
    " would you your am auch auf aus bei bin bitte da dann das dass dem den der des die dies ein"
    " eine einem einen einer er es fuer haben hab habe hat ich ihr im in ist kann kannst koennen"
    " man mein meine meinem meinen mir mit muss nach noch oder sagen sie sind soll und uns"
    " viel vom von war was welche welcher welches wenn wie wieder woher worum zu zum zur"
    " ask asked again already just said mean meant gefragt gesagt nochmal schon eben"
)
_COMMON = frozenset(_COMMON_TEXT.split())


def is_repeat(question: str, earlier: Iterable[str], *, likeness: float = 0.7) -> bool:
    """Tell whether a question asks what an earlier one of the same caller asked.

    Two questions are the same when at least ``likeness`` of their telling words (in either) are in
    both (Jaccard). A question without any telling word ("what?") is a repeat when there was one
    before: the caller did not get the answer.
    """
    mine = _telling(question)
    before = [_telling(text) for text in earlier]
    if not mine:
        return bool(before) and bool(words(question))
    return any(len(mine & other) >= likeness * len(mine | other) for other in before if other)


def _telling(text: str) -> frozenset[str]:
    return frozenset(words(text)) - _COMMON
