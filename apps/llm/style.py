"""What the policy's slots mean: the wording, the length, and the voice of what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from apps.core.errors import ConfigError
from apps.core.policy import Length, PolicySlots, Tone
from apps.core.words import words

LANGUAGES = ("de", "en")


@dataclass(frozen=True, slots=True)
class VoiceStyle:
    """How the voice speaks, relative to its own speed and pitch."""

    rate: float
    pitch: float


_VOICES = {
    Tone.FACTUAL: VoiceStyle(rate=1.0, pitch=1.0),
    Tone.WARM: VoiceStyle(rate=0.94, pitch=0.97),
    Tone.LIVELY: VoiceStyle(rate=1.08, pitch=1.06),
}
_MAX_SENTENCES = {Length.SHORT: 1, Length.MEDIUM: 3, Length.LONG: 5}


class Line(StrEnum):
    """The fixed lines of a dialogue; each stands in every wording file."""

    NO_INPUT = "no_input"
    REPEAT_PLEASE = "repeat_please"
    APOLOGY = "apology"
    APOLOGY_ANSWER = "apology_answer"
    DONT_KNOW = "dont_know"
    DONT_KNOW_ALONE = "dont_know_alone"
    DONT_KNOW_NOT_FROM_HERE = "dont_know_not_from_here"
    DONT_KNOW_CALL = "dont_know_call"
    NO_DETAIL = "no_detail"
    NO_DETAIL_ALONE = "no_detail_alone"
    NO_DETAIL_NOT_FROM_HERE = "no_detail_not_from_here"
    NO_DETAIL_CALL = "no_detail_call"
    HANDOVER = "handover"
    HANDOVER_ALONE = "handover_alone"
    HANDOVER_DECLINED = "handover_declined"
    NOT_TRANSFERRED = "not_transferred"
    ANYTHING_ELSE = "anything_else"
    NOTHING_TO_REPEAT = "nothing_to_repeat"
    GOODBYE = "goodbye"
    RATING_QUESTION = "rating_question"
    RATING_THANKS = "rating_thanks"
    RATING_NONE = "rating_none"
    OUT_OF_HOURS = "out_of_hours"
    NOT_FROM_HERE = "not_from_here"
    NOT_FROM_HERE_CALL = "not_from_here_call"
    NO_EAR = "no_ear"
    TOO_LONG = "too_long"
    GOING_AWAY = "going_away"
    RECORDED = "recorded"
    ONE_MOMENT = "one_moment"
    NO_SOURCE = "no_source"
    NO_MORE_CALLS = "no_more_calls"


def voice_style(slots: PolicySlots) -> VoiceStyle:
    """Return how the voice speaks under a policy."""
    return _VOICES[slots.tone]


def max_sentences(slots: PolicySlots) -> int:
    """Return how many sentences of facts an answer may have under a policy."""
    return _MAX_SENTENCES[slots.length]


class Wording:
    """What the assistant says in one language, chosen by the policy."""

    def __init__(self, language: str, data: Mapping[str, Any]) -> None:
        self.language = language
        self._data = data

    def greeting(self, slots: PolicySlots, office: str) -> str:
        """Return the opening of a call; it says that an AI speaks.

        Args:
            slots: The policy.
            office: The name by which the profile's office answers the phone.
        """
        text = str(self._data["greeting"][slots.greeting.value]).format(office=office)
        return text[:1].upper() + text[1:]

    def outgoing_greeting(self, slots: PolicySlots, office: str, purpose: str) -> str:
        """Return the opening of a call that TOM makes: who calls, that it is an AI, and why.

        Args:
            slots: The policy.
            office: The name by which the profile's office answers the phone.
            purpose: Why it calls, in a sentence.
        """
        text = str(self._data["outgoing"]["greeting"][slots.greeting.value])
        text = text.format(office=office, purpose=purpose)
        return text[:1].upper() + text[1:]

    def machine_message(self, office: str, purpose: str) -> str:
        """Return what an answering machine is told; it says that an AI called, and why."""
        return str(self._data["outgoing"]["message"]).format(office=office, purpose=purpose)

    def line(
        self,
        line: Line,
        slots: PolicySlots,
        count: int = 0,
        *,
        outgoing: bool = False,
        number: str = "",
    ) -> str:
        """Return a fixed line.

        Args:
            line: Which one.
            slots: The policy; lines with one text per tone follow it.
            count: How often this line was said before; a list ends with its last text.
            outgoing: Whether TOM made the call, so that nobody is thanked for calling.
            number: A person's, for the lines that name it.
        """
        own = self._data["outgoing"]["lines"] if outgoing else {}
        text = own.get(line.value, self._data["lines"][line.value])
        if isinstance(text, Mapping):
            text = text[slots.tone.value]
        if isinstance(text, list):
            text = text[min(count, len(text) - 1)]
        return str(text).replace("{number}", number)

    def lead_in(self, slots: PolicySlots, question: str, count: int) -> str:
        """Return what opens an answer in the policy's tone; may be empty.

        Nobody is told "Sure thing!" about a stolen car: bad news gets sympathy instead.
        """
        sympathy = self._data["sympathy"]
        if any(word.startswith(tuple(sympathy["words"])) for word in words(question)):
            return str(sympathy[slots.tone.value])
        return self._turn_about("lead_ins", slots, count)

    def confirm(self, slots: PolicySlots, count: int) -> str:
        """Return the question whether an answer helped."""
        return self._turn_about("confirm", slots, count)

    def offer(self, aspect: str) -> str:
        """Return the offer to tell another aspect of the same subject."""
        return str(self._data["offer"][aspect])

    def source(self, name: str, value: str) -> str:
        """Return a part of the sentence that names an answer's source."""
        return str(self._data["source"][name]).replace("{}", value)

    def instruction(self, name: str, value: str = "") -> str:
        """Return a part of the prompt for a language model."""
        text = self._data["prompt"][name]
        return str(text[value]) if value else str(text)

    def _turn_about(self, name: str, slots: PolicySlots, count: int) -> str:
        texts = self._data[name][slots.tone.value]
        return str(texts[count % len(texts)])


@cache
def wording(language: str) -> Wording:
    """Return a language's wording, read once.

    Raises:
        ConfigError: There is no wording for the language.
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"TOM does not speak {language!r}.", hint=f"Languages are {', '.join(LANGUAGES)}."
        )
    path = Path(__file__).with_name("wording") / f"{language}.yaml"
    return Wording(language, yaml.safe_load(path.read_text(encoding="utf-8")))
