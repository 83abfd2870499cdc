"""What comes from the caller, read into events of the state machine.

Speech, typed words, keys and stars all end here. What they mean depends on where the call stands
when they are read, so they are read in the order of the call's queue, at the moment of applying.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.core.events import CallEvent
from apps.core.person import Person
from apps.dispatcher.call_state import CallState, Event
from apps.dispatcher.conversation import Ask, Conversation, Meaning, Reply, SayLine
from apps.dispatcher.profile import GOODBYE, HANDOVER, REPEAT, Profile
from apps.dispatcher.rating import SCALE, parse_rating
from apps.dispatcher.services import Knowledge
from apps.dispatcher.turn import Stages
from apps.llm.intents import Intent, classify
from apps.llm.style import Line
from apps.rl.signals import counts_as_barge_in
from apps.voice.completeness import Completeness, judge
from apps.voice.doors.base import CallerDigit, CallerRating, CallerText
from apps.voice.ear import Heard

Input = Heard | CallerText | CallerDigit | CallerRating

MAX_WHOLE = 1000
"""Letters of one thing to be answered: who never stops talking is answered by the end of it."""
_MAX_HELD = 8
_RATING_STATES = (CallState.ASKING_RATING, CallState.AWAITING_RATING)
_TALKING_STATES = (CallState.GREETING, CallState.SPEAKING)
_STARTS_A_TURN = (
    CallEvent.TRANSCRIPT,
    CallEvent.GOODBYE,
    CallEvent.HANDOVER_REQUESTED,
    CallEvent.NOT_UNDERSTOOD,
    CallEvent.RATING,
)
_CLOSING_STATES = (
    *_RATING_STATES,
    CallState.THANKING,
    CallState.HANDING_OVER,
    CallState.ENDED,
)


def key_menu(profile: Profile, language: str, knowledge: Knowledge) -> dict[str, str]:
    """Return what each key says: an entry's question, or one of the profile's actions."""
    return {
        key: knowledge.question(profile.space, language, action) or action
        for key, action in profile.keys.items()
    }


@dataclass(slots=True)
class CallerInput:
    """Reads one caller's input.

    Args:
        conversation: The call's memory.
        keys: The profile's key menu, with each entry's question in place of its id.
        person: Who can take the call over now.
    """

    conversation: Conversation
    keys: dict[str, str]
    person: Person
    barge_ins: int = 0
    reply: Reply = field(default_factory=lambda: SayLine(Line.ANYTHING_ELSE))
    stages: Stages | None = None
    _newest_utterance: int = 0
    _lost_utterance: int = 0
    _unanswered: str = ""
    _held: list[str] = field(default_factory=list)
    _broke_in: bool = False
    _ended_ms: float | None = None

    def read(self, item: Input, state: CallState) -> list[Event]:
        """Return the events that an input is, in the state in which the call is now.

        Raises:
            ProtocolError: A rating that was not asked for, or an unknown key.
        """
        match item:
            case Heard():
                return self._read_heard(item, state)
            case CallerText(text=text):
                return self._read_words(text, state, deliberate=True)
            case CallerDigit(digit=digit):
                return self._read_digit(digit, state)
            case CallerRating(stars=stars):
                if state not in _RATING_STATES:
                    raise ProtocolError("No rating is asked for now.", code="not_asked")
                return [Event(CallEvent.RATING, rating=stars)]

    def interrupted(self) -> None:
        """Note that the caller's side silenced the assistant: what is said next broke in."""
        self._broke_in = True

    def after(self, event: Event, state: CallState) -> list[Event]:
        """Return what was held back and can be read now that an event has been applied."""
        if event.kind in (CallEvent.ANSWER_READY, CallEvent.FAILURE, CallEvent.NOT_HEARD):
            self._unanswered = ""
        if event.kind is CallEvent.BARGE_IN:
            self._broke_in = True
        if not self._held or state is CallState.GREETING:
            return []
        while self._held:  # one at a time: what the first one does changes what the next one is
            words = self._held.pop(0)
            if events := self._read_words(words, state):
                return events
        return []

    def whole(self, text: str) -> str:
        """Return words with those before them that were not answered yet, at most so many.

        A goodbye, or a wish for a person, is one whatever was asked before it, unless it carries
        on a sentence that hangs: "what do I do when / I am done".
        """
        return text if self._stands_alone(text) else self._joined(text)

    def take_stages(self) -> Stages | None:
        """Return when the caller's latest words came, once; None when nothing new was said."""
        stages, self.stages = self.stages, None
        return stages

    # --- speech

    def _read_heard(self, heard: Heard, state: CallState) -> list[Event]:
        match heard.kind:
            case "started":
                self._newest_utterance = heard.utterance_id
                return [Event(CallEvent.CALLER_STARTED)]
            case "ended":
                self._ended_ms = heard.at_ms
                ended = [Event(CallEvent.CALLER_ENDED)]
                if heard.utterance_id == self._lost_utterance and state is CallState.HEARING:
                    ended.append(Event(CallEvent.NOT_UNDERSTOOD))  # no transcript will come
                return ended
            case "barge_in" if state in (*_TALKING_STATES, CallState.THINKING):
                return [Event(CallEvent.BARGE_IN)]
            case "failed":
                self._lost_utterance = heard.utterance_id
                reason = heard.error.code if heard.error else ""
                return [Event(CallEvent.NOT_HEARD, reason=reason)]
            case "final":
                return self._read_final(heard, state)
        return []

    def _read_final(self, heard: Heard, state: CallState) -> list[Event]:
        text = heard.transcript.text if heard.transcript else ""
        if state is CallState.GREETING:  # the disclosure is said to its end first
            self._held = [*self._held, text][-_MAX_HELD:]
            return []
        if state is CallState.HEARING and heard.utterance_id < self._newest_utterance:
            self._unanswered = self._joined(text)  # more is being said
            return []
        events = self._read_words(text, state)
        if any(event.kind in _STARTS_A_TURN for event in events):
            self.stages = Stages(
                voice_ended=heard.voice_ms, caller_ended=self._ended_ms, understood=loop_ms()
            )
        return events

    # --- words, keys

    def _read_words(self, text: str, state: CallState, *, deliberate: bool = False) -> list[Event]:
        """Read words; `deliberate` ones were typed or pressed and interrupt without more ado."""
        if state in _RATING_STATES:
            return self._read_rating(text, state)
        if state in _CLOSING_STATES:
            return []
        if deliberate:  # nobody spoke, so there is no voice to be answered in time
            self.stages = None
        breaks_in = state in _TALKING_STATES
        if breaks_in and not deliberate and not self._worth_breaking_in(text):
            return []
        whole = self.whole(text)
        meaning = self.conversation.understand(whole, person=self.person)
        if breaks_in and meaning.kind is CallEvent.NOT_UNDERSTOOD:
            return []
        events = [Event(CallEvent.BARGE_IN)] if breaks_in else []
        self._count_barge_in(text, meaning, breaks_in)
        return events + self._follow(whole, self._joined(text), meaning, state)

    def _follow(self, text: str, said: str, meaning: Meaning, state: CallState) -> list[Event]:
        if meaning.kind is CallEvent.NOT_UNDERSTOOD:
            understood_nothing = state is CallState.THINKING
            return [Event(CallEvent.NOT_UNDERSTOOD)] if understood_nothing else []
        self.conversation.note_caller(said, meaning)  # with a question that a goodbye took back
        self._unanswered = ""
        if meaning.reply is not None:
            self.reply = meaning.reply
            if isinstance(meaning.reply, Ask):
                self._unanswered = text
        return [Event(meaning.kind, text=text)]

    def _joined(self, text: str) -> str:
        return f"{self._unanswered} {text}".strip()[-MAX_WHOLE:]

    def _stands_alone(self, text: str) -> bool:
        if not self._unanswered:
            return False
        language = self.conversation.language
        if classify(text, language) not in (Intent.GOODBYE, Intent.HANDOVER):
            return False
        return judge(self._unanswered, language) is not Completeness.HANGING

    def _worth_breaking_in(self, text: str) -> bool:
        if not text.strip():
            return False
        return classify(text, self.conversation.language) is not Intent.BACKCHANNEL

    def _count_barge_in(self, text: str, meaning: Meaning, breaks_in: bool) -> None:
        broke_in, self._broke_in = self._broke_in or breaks_in, False
        closes = meaning.kind is CallEvent.GOODBYE or meaning.confirms is True
        during_answer = broke_in and bool(self.conversation.answers)
        words = len(text.split())
        if counts_as_barge_in(during_answer=during_answer, heard_words=words, closes=closes):
            self.barge_ins += 1

    def _read_rating(self, text: str, state: CallState) -> list[Event]:
        stars = parse_rating(text, self.conversation.language)
        if stars is not None:
            return [Event(CallEvent.RATING, rating=stars)]
        if state is CallState.ASKING_RATING:  # said into the question, which goes on
            return []
        kind = CallEvent.RATING if text.strip() else CallEvent.NOT_UNDERSTOOD
        return [Event(kind)]

    def _read_digit(self, digit: str, state: CallState) -> list[Event]:
        if state in _RATING_STATES:
            stars = int(digit) if digit.isdigit() and int(digit) in SCALE else None
            return [Event(CallEvent.RATING, rating=stars)]
        action = self.keys.get(digit)
        if action is None or state in _CLOSING_STATES:
            return []
        spoken = _KEY_WORDS.get(action, {}).get(self.conversation.language, action)
        return self._read_words(spoken, state, deliberate=True)


_KEY_WORDS = {
    REPEAT: {"en": "please repeat that", "de": "bitte wiederholen"},
    HANDOVER: {"en": "human agent please", "de": "einen mitarbeiter bitte"},
    GOODBYE: {"en": "goodbye", "de": "auf wiederhören"},
}
