"""What is said in a call and what it means: the dialogue's memory, decided without any engine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from apps.core.events import CallEvent
from apps.core.passages import Citation, Passage
from apps.core.person import Person
from apps.core.policy import InquiryMode, PolicySlots
from apps.llm.answer import AnswerPlan
from apps.llm.intents import Intent, classify
from apps.llm.prompt import Exchange
from apps.llm.style import Line
from apps.rl.signals import TurnFacts, is_repeat

_STOP = re.compile(
    r"(?:please |bitte )?(?:stop|halt|stopp|be quiet|that's enough|enough|ruhe|genug|das reicht)"
    r"(?: it| talking| please| bitte| danke| thanks)?"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """The caller asks something: find the answer."""

    question: str


@dataclass(frozen=True, slots=True)
class SayAgain:
    """The caller did not get the last answer: say it again."""


@dataclass(frozen=True, slots=True)
class SayLine:
    """A fixed line is the right reply; some name the person's number."""

    line: Line
    number: str = ""


@dataclass(frozen=True, slots=True)
class SaySource:
    """The caller asks where the last answer came from."""

    citations: tuple[Citation, ...]


Reply = Ask | SayAgain | SayLine | SaySource


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a caller's words mean for the call.

    Attributes:
        kind: The event that they are.
        reply: What to answer, when they are a TRANSCRIPT.
        confirms: True or False when the caller said whether the last answer helped.
        asks_person: Whether they ask for a person.
        repeats: Whether they ask to hear the last answer again.
    """

    kind: CallEvent
    reply: Reply | None = None
    confirms: bool | None = None
    asks_person: bool = False
    repeats: bool = False


@dataclass(slots=True)
class CallerTurn:
    """One thing that the caller said, and what became of it; the source of `TurnFacts`.

    Attributes:
        text: Their words, as understood.
        meaning: What they meant.
        is_repeat: Whether they had asked the same before.
        turn_id: The turn that answers it, once there is one.
        answered: Whether the answer began to sound.
    """

    text: str
    meaning: Meaning
    is_repeat: bool
    turn_id: int | None = None
    answered: bool = False


@dataclass(slots=True)
class Answered:
    """One answer of the call and what became of it.

    Attributes:
        turn_id: The turn that gave it.
        asked: The caller's words.
        exchange: What it was, as later questions depend on it.
        grounded: Whether it comes from what is known.
        rests_on: The passages that its sentences so far were made from.
        said: Its sentences so far.
    """

    turn_id: int
    asked: str
    exchange: Exchange
    grounded: bool
    rests_on: tuple[Passage, ...] = ()
    said: str = ""


@dataclass(slots=True)
class Conversation:
    """The memory of one call.

    Args:
        language: ``de`` or ``en``.
        slots: The call's policy.
    """

    language: str
    slots: PolicySlots
    answers: list[Answered] = field(default_factory=list)
    caller_turns: list[CallerTurn] = field(default_factory=list)
    said: Counter[Line] = field(default_factory=Counter)

    @property
    def history(self) -> tuple[Exchange, ...]:
        """The exchanges so far, oldest first; each answer as far as it was heard."""
        return tuple(answer.exchange for answer in self.answers)

    @property
    def last(self) -> Answered | None:
        """The latest answer."""
        return self.answers[-1] if self.answers else None

    def count(self, line: Line) -> int:
        """Return how often a line was said before, and count it as said now."""
        before = self.said[line]
        self.said[line] += 1
        return before

    def note_answer(self, turn_id: int, asked: str, question: str, plan: AnswerPlan) -> None:
        """Remember an answer that is about to be spoken; nothing of it has been heard yet."""
        exchange = Exchange(question, "", plan.entry_id, plan.entry_question, plan.offer)
        self.answers.append(Answered(turn_id, asked, exchange, plan.grounded))

    def note_ungrounded(self, turn_id: int) -> None:
        """Remember that an answer says, after all, that it does not know."""
        for answer in self.answers:
            if answer.turn_id == turn_id:
                answer.grounded = False
                answer.exchange = replace(answer.exchange, offer="")

    def note_said(self, turn_id: int, sentence: str, rests_on: Sequence[Passage] = ()) -> None:
        """Remember a sentence of an answer, and its passages, as it is about to be spoken."""
        for answer in self.answers:
            if answer.turn_id == turn_id:
                answer.said = f"{answer.said} {sentence}".strip()
                answer.rests_on = tuple(dict.fromkeys((*answer.rests_on, *rests_on)))

    def note_heard(self, turn_id: int, heard: str) -> None:
        """Remember how much of a turn's answer the caller heard."""
        for answer in self.answers:
            if answer.turn_id == turn_id:
                answer.exchange = replace(answer.exchange, answer=heard)

    def forget(self, turn_id: int) -> None:
        """Forget an answer of which the caller heard nothing: the caller went on instead."""
        self.answers = [a for a in self.answers if a.turn_id != turn_id or a.exchange.answer]
        self.caller_turns = [t for t in self.caller_turns if t.turn_id != turn_id or t.answered]

    def note_caller(self, text: str, meaning: Meaning) -> None:
        """Remember what the caller said."""
        is_question = isinstance(meaning.reply, Ask)
        earlier = [turn.text for turn in self.caller_turns if isinstance(turn.meaning.reply, Ask)]
        repeats = meaning.repeats or (is_question and is_repeat(text, earlier))
        self.caller_turns.append(CallerTurn(text, meaning, repeats))

    def note_turn(self, turn_id: int) -> None:
        """Remember which turn answers the caller's latest words."""
        if self.caller_turns:
            self.caller_turns[-1].turn_id = turn_id

    def note_answered(self, turn_id: int) -> None:
        """Remember that a turn's answer began to sound."""
        for turn in self.caller_turns:
            turn.answered = turn.answered or turn.turn_id == turn_id

    def facts(self) -> tuple[TurnFacts, ...]:
        """Return what the caller's turns were, without their words."""
        grounded = {answer.turn_id for answer in self.answers if answer.grounded}
        return tuple(
            TurnFacts(
                question=isinstance(turn.meaning.reply, Ask | SayAgain),
                # "What else can I do for you?" answers nothing.
                answered=turn.answered and isinstance(turn.meaning.reply, Ask | SayAgain),
                grounded=turn.turn_id in grounded,
                is_repeat=turn.is_repeat,
                asked_for_person=turn.meaning.asks_person,
                confirmed=turn.meaning.confirms,
            )
            for turn in self.caller_turns
        )

    def understand(self, text: str, *, person: Person) -> Meaning:
        """Decide what the caller's words mean at this point of the dialogue.

        Args:
            text: A final transcript or typed words.
            person: Who can take the call over now.
        """
        if not text.strip():
            return Meaning(CallEvent.NOT_UNDERSTOOD)
        intent = classify(text, self.language)
        last = self.last
        if _STOP.fullmatch(text.strip(" .!").lower()):
            return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.ANYTHING_ELSE))
        if intent is Intent.GOODBYE:
            return Meaning(CallEvent.GOODBYE)
        if intent is Intent.HANDOVER:
            return self._hand_over(person)
        if intent is Intent.REPEAT:
            return self._repeat()
        if intent is Intent.SOURCE:
            return self._source()
        if last is not None and intent is Intent.YES:
            return self._yes(last, person)
        if last is not None and intent is Intent.NO:
            return self._no(last)
        if intent in (Intent.THANKS, Intent.YES, Intent.NO, Intent.BACKCHANNEL):
            confirms = True if intent is Intent.THANKS and last and last.grounded else None
            return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.ANYTHING_ELSE), confirms)
        return Meaning(CallEvent.TRANSCRIPT, Ask(text))

    def _hand_over(self, person: Person) -> Meaning:
        if person.can_take_over:
            return Meaning(CallEvent.HANDOVER_REQUESTED, asks_person=True)
        line = Line.NOT_FROM_HERE_CALL if person.number else Line.NOT_FROM_HERE
        reply = SayLine(line, person.number) if person.there else SayLine(Line.OUT_OF_HOURS)
        return Meaning(CallEvent.TRANSCRIPT, reply, asks_person=True)

    def _repeat(self) -> Meaning:
        reply: Reply = SayAgain() if self.answers else SayLine(Line.NOTHING_TO_REPEAT)
        return Meaning(CallEvent.TRANSCRIPT, reply, repeats=bool(self.answers))

    def _source(self) -> Meaning:
        last = self.last
        if last is None:
            return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.NOTHING_TO_REPEAT))
        if not last.rests_on:
            return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.NO_SOURCE))
        cited = tuple(passage.cited for passage in last.rests_on)
        return Meaning(CallEvent.TRANSCRIPT, SaySource(cited))

    def _yes(self, last: Answered, person: Person) -> Meaning:
        if not last.grounded:  # "Shall I put you through?"
            return self._hand_over(person)
        if last.exchange.offer:
            return Meaning(CallEvent.TRANSCRIPT, Ask(last.exchange.offer), confirms=True)
        return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.ANYTHING_ELSE), confirms=True)

    def _no(self, last: Answered) -> Meaning:
        if not last.grounded:
            return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.HANDOVER_DECLINED))
        asked_whether_it_helped = self.slots.inquiry_mode is InquiryMode.CONFIRM
        confirms = False if asked_whether_it_helped else None
        return Meaning(CallEvent.TRANSCRIPT, SayLine(Line.ANYTHING_ELSE), confirms)

    def summary(self) -> str:
        """Return what an agent who takes the call over should know: the questions asked."""
        return " / ".join(
            f"{answer.exchange.question} → {answer.exchange.entry_id or '—'}"
            for answer in self.answers
        )
