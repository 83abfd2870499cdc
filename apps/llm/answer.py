"""The embedded generator: it picks the sentences that answer the question, and styles them.

Every fact comes word for word from a passage, so no number can be invented. What is decided is
which sentences answer the question and in what order: by what the question is after (a price, a
place, papers), by the words they share, and by what the caller has heard already.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from apps.core.focus import Focus, question_focus, tells, told_by
from apps.core.passages import Passage
from apps.core.policy import InquiryMode, Length
from apps.core.redaction import PLACEHOLDER
from apps.core.sentences import split_sentences
from apps.core.words import words
from apps.llm.prompt import Prompt
from apps.llm.style import max_sentences, wording
from apps.llm.topics import ask_about, topic_of

_YES_NO = re.compile(r"^(?:yes|no|ja|nein),\s+", re.IGNORECASE)
_NO = re.compile(r"^(?:no|nein)\b", re.IGNORECASE)
_CLOSED_QUESTION = re.compile(
    r"^(?:can|may|could|do|does|is|are|am|will|must|should|kann|darf|ist|sind|haben|hat|muss"
    r"|brauche|zahl\w*|gibt|geht|bekomme)\b",
    re.IGNORECASE,
)
# What a third sentence must reach to be told; a second one need only be new to the caller.
_WORTH_TELLING = {Length.SHORT: 0.0, Length.MEDIUM: 0.6, Length.LONG: 0.0}
_WORTH_OF_DOCUMENT = 0.3
_ALREADY_HEARD = 3.0
_OFFERED = (Focus.COST, Focus.DOCUMENTS, Focus.DURATION, Focus.PLACE, Focus.TIME)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """An answer before it is spoken.

    Attributes:
        grounded: Whether it comes from the knowledge base; False when nothing covers the question.
        entry_id: The entry it comes from, or None.
        entry_question: That entry's canonical question; empty when there is none.
        sentences: What is said, in order.
        offer: The full question that the last sentence offers to answer; empty without an offer.
    """

    grounded: bool
    entry_id: str | None
    entry_question: str
    sentences: tuple[str, ...]
    offer: str = ""


class GroundedAnswerer:
    """Answers from passages alone; needs no model."""

    name = "embedded"

    def plan(self, prompt: Prompt) -> AnswerPlan:
        """Return the whole answer to a prompt; pure."""
        return plan_answer(prompt)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the answer sentence by sentence; a blank follows each but the last."""
        sentences = plan_answer(prompt).sentences
        for number, sentence in enumerate(sentences, start=1):
            yield sentence if number == len(sentences) else sentence + " "

    async def close(self) -> None:
        """Do nothing; there is nothing to free."""


def plan_answer(prompt: Prompt) -> AnswerPlan:
    """Decide what is said in answer to a prompt."""
    passage = prompt.grounding
    says = wording(prompt.language)
    if passage is None:
        return AnswerPlan(False, None, "", tuple(split_sentences(prompt.dont_know())))
    told = _choose(prompt, passage)
    count = len(prompt.history)
    lead_in = says.lead_in(prompt.slots, prompt.question, count)
    sentences = list(told)
    if lead_in and not _NO.match(sentences[0]):
        sentences[0] = f"{lead_in} {sentences[0]}"
    offer = ""
    if prompt.slots.inquiry_mode is InquiryMode.CONFIRM:
        sentences.append(says.confirm(prompt.slots, count))
    elif prompt.slots.inquiry_mode is InquiryMode.PROACTIVE:
        aspect, offer = _next_offer(prompt, passage, told)
        if offer:
            sentences.append(says.offer(aspect.value))
    return AnswerPlan(True, passage.entry_id, passage.question, tuple(sentences), offer)


def _choose(prompt: Prompt, passage: Passage) -> list[str]:
    """Return the passage's sentences that answer the question: the best, then the rest in order.

    A document's sentences stay in their order, for the later ones may rest on the earlier. One
    with a placeholder in it is told only where it is the best: the check stops it then, and says
    that TOM does not have what was asked for (``leaks.py``).
    """
    sentences = split_sentences(passage.text)
    scores = _scores(prompt, passage, sentences)
    best = max(range(len(sentences)), key=lambda i: (scores[i], -i))
    others = [i for i in range(len(sentences)) if i != best]
    wanted = sorted(others, key=lambda i: (-scores[i], i))
    chosen = [
        index
        for place, index in enumerate(wanted[: max_sentences(prompt.slots) - 1])
        if scores[index] >= _worth(prompt, passage, place)
        and not PLACEHOLDER.search(sentences[index])
    ]
    if passage.of_document:
        told = [sentences[i] for i in sorted((best, *chosen))]
        return [_opening(told[0], prompt.question), *map(_without_yes, told[1:])]
    return [_opening(sentences[best], prompt.question)] + [
        _without_yes(sentences[i]) for i in sorted(chosen)
    ]


def _worth(prompt: Prompt, passage: Passage, place: int) -> float:
    """Return the score that a further sentence must reach to be told."""
    if place == 0:
        # Of a document, neighbours of the answer may be about something else.
        return _WORTH_OF_DOCUMENT if passage.of_document else 0.0
    return _WORTH_TELLING[prompt.slots.length]


def _scores(prompt: Prompt, passage: Passage, sentences: Sequence[str]) -> list[float]:
    """Return how well each sentence answers the question."""
    focus = question_focus(prompt.question, prompt.language)
    at_heart = question_focus(passage.question, prompt.language) is focus
    asked = _telling(words(prompt.question))
    shared = _shared_words(asked, [words(sentence) for sentence in sentences])
    # Who asks the same again did not get it; who asks on wants something new.
    heard = " ".join(
        exchange.answer
        for exchange in prompt.history
        if exchange.entry_id == passage.entry_id and exchange.question != prompt.question
    )
    scores = []
    for index, sentence in enumerate(sentences):
        score = 1.5 * shared[index]
        fits = tells(sentence, focus, prompt.language)
        score += 1.5 * fits
        if index == 0 and not passage.of_document:
            # An entry's first sentence is its direct answer.
            score += 1.2 if at_heart or fits or focus is Focus.OTHER else 0.3
        if _CLOSED_QUESTION.match(prompt.question) and _YES_NO.match(sentence):
            score += 0.5
        if _without_yes(sentence) in heard:
            score -= _ALREADY_HEARD
        scores.append(score)
    return scores


def _telling(found: Sequence[str]) -> set[str]:
    return {word for word in found if len(word) > 3}


def _alike(a: str, b: str) -> bool:
    """Whether two words begin alike, as forms of one word do."""
    length = max(4, round(0.6 * max(len(a), len(b))))
    return a == b or (min(len(a), len(b)) >= length and a[:length] == b[:length])


def _shared_words(asked: set[str], sentences: Sequence[Sequence[str]]) -> list[float]:
    """Return for each sentence the share of the question's words in it, in [0, 1].

    A word that most sentences have says little about which of them is meant, so it weighs less.
    """
    having = {
        word: [any(_alike(word, other) for other in sentence) for sentence in sentences]
        for word in asked
    }
    weights = {word: 1.0 / sum(flags) for word, flags in having.items() if any(flags)}
    total = sum(weights.values()) or 1.0
    return [
        sum(weight for word, weight in weights.items() if having[word][index]) / total
        for index in range(len(sentences))
    ]


def _without_yes(sentence: str) -> str:
    """Return a sentence without the yes or no that it opens with."""
    rest = _YES_NO.sub("", sentence)
    return rest[:1].upper() + rest[1:]


def _opening(sentence: str, question: str) -> str:
    """Return the first sentence of an answer: yes and no answer only a closed question."""
    return sentence if _CLOSED_QUESTION.match(question) else _without_yes(sentence)


def _next_offer(prompt: Prompt, passage: Passage, told: Sequence[str]) -> tuple[Focus, str]:
    """Return an aspect that the passage covers and that was not told, and the question for it."""
    topic = topic_of(passage.question, prompt.language)
    asked = question_focus(prompt.question, prompt.language)
    if topic is None:
        return Focus.OTHER, ""
    told_aspects = {aspect for sentence in told for aspect in told_by(sentence, prompt.language)}
    left = [s for s in split_sentences(passage.text) if not any(_without_yes(s) in t for t in told)]
    for aspect in _OFFERED:
        if aspect in told_aspects or aspect is asked:
            continue
        if any(tells(sentence, aspect, prompt.language) for sentence in left):
            return aspect, ask_about(aspect, topic, prompt.language)
    return Focus.OTHER, ""
