"""The sentences from which a profile's language model is made, with their weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.voice.stt.phrases import (
    AFTER_RATING,
    BEFORE_RATING,
    DIALOGUE,
    FILLERS,
    INFINITIVE_LEADS,
    NO_RATING,
    NUMBERS,
    SCORES,
    VERDICTS,
    WORD_CLASSES,
)
from apps.voice.stt.spoken import spoken

Weighted = tuple[tuple[str, ...], float]

_SINGULAR_ENDINGS = ("s", "x", "z", "ch", "sh")
_SUBSTITUTIONS = (
    {"i": "we", "my": "our", "i'm": "we're", "i'd": "we'd", "i've": "we've", "me": "us"},
    {"we": "i", "our": "my", "we're": "i'm", "we'd": "i'd", "we've": "i've", "us": "me"},
)


@dataclass(frozen=True, slots=True)
class DomainText:
    """What a profile's callers may talk about, as written in its knowledge base.

    Attributes:
        asked: Questions and their variants.
        answered: Sentences of the answers.
        terms: Single words that may turn up besides.
        held_out: Sentences that the text must not contain, not even by recombination: those
            that recognition is measured with.
    """

    asked: tuple[str, ...]
    answered: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """How often each kind of sentence counts; found on the tuning set's perplexity.

    Attributes:
        answered: A sentence of an answer, against 1.0 for a question.
        dialogue: A phrase of the dialogue.
        recombined: All recombinations of one verb phrase together.
        classes: All variants of one word of a class together.
        person: A question with its person changed.
        filler: A question's first words behind a filler.
    """

    answered: float = 0.1
    dialogue: float = 0.5
    recombined: float = 1.0
    classes: float = 0.5
    person: float = 0.3
    filler: float = 0.1


def domain_sentences(text: DomainText, weights: Weights | None = None) -> list[Weighted]:
    """Return the weighted sentences of a profile's language model, in words as they are spoken."""
    weights = weights or Weights()
    asked = [tuple(spoken(line).split()) for line in text.asked]
    sentences = [(words, 1.0) for words in asked]
    sentences += [(tuple(spoken(line).split()), weights.answered) for line in text.answered]
    sentences += [(tuple(line.split()), weights.dialogue) for line in DIALOGUE]
    sentences += _recombined(asked, weights.recombined)
    sentences += _fillers(asked, weights.filler)
    sentences += _changed_person(asked, weights.person)
    sentences += list(_class_variants(sentences, weights.classes))
    held_out = {tuple(spoken(line).split()) for line in text.held_out}
    return [(words, w) for words, w in sentences if words and w > 0 and words not in held_out]


def rating_sentences() -> list[Weighted]:
    """Return the weighted sentences of the model that listens for a rating."""
    scores: list[Weighted] = []
    for pattern in SCORES:
        fills = [
            (n, m) for n in NUMBERS for m in (NUMBERS if "{m}" in pattern else ("",)) if n != m
        ]
        for n, m in fills:
            weight = len(NUMBERS) / len(fills)
            scores.append((tuple(pattern.format(n=n, m=m).split()), weight))
    verdicts = [(tuple(verdict.split()), 1.0) for verdict in VERDICTS]
    core = [*scores, *verdicts]
    before = [tuple(line.split()) for line in BEFORE_RATING]
    after = [tuple(line.split()) for line in AFTER_RATING]
    others = [(tuple(line.split()), 1.0) for line in (*NO_RATING, *DIALOGUE)]
    return [
        *core,
        *((head + words, weight / len(before)) for words, weight in core for head in before),
        *((words + tail, weight / len(after)) for words, weight in core for tail in after),
        *others,
    ]


def _recombined(asked: Iterable[tuple[str, ...]], weight: float) -> list[Weighted]:
    """Return every lead with every verb phrase that any lead had."""
    leads = sorted((tuple(lead.split()) for lead in INFINITIVE_LEADS), key=len, reverse=True)
    phrases: dict[tuple[str, ...], None] = {}
    for words in asked:
        for start in range(len(words)):
            lead = next((lead for lead in leads if words[start : start + len(lead)] == lead), None)
            if lead is not None and len(words) > start + len(lead):
                phrases[words[start + len(lead) :]] = None
                break
    share = weight / len(leads)
    return [(lead + phrase, share) for lead in leads for phrase in phrases]


def _fillers(asked: Iterable[tuple[str, ...]], weight: float) -> list[Weighted]:
    share = weight / len(FILLERS)
    openings = [tuple(filler.split()) for filler in FILLERS]
    return [(opening + words, share) for words in asked for opening in openings]


def _changed_person(asked: Iterable[tuple[str, ...]], weight: float) -> list[Weighted]:
    """Return the sentences about "me" as sentences about "us", and the other way round."""
    changed = []
    for words in asked:
        for table in _SUBSTITUTIONS:
            other = tuple(table.get(word, word) for word in words)
            if other != words:
                changed.append((other, weight))
    return changed


def _class_variants(sentences: Iterable[Weighted], weight: float) -> Iterator[Weighted]:
    """Yield sentences with one word exchanged for each other word of its class."""
    classes = {word: members for members in WORD_CLASSES for word in members}
    for words, own in list(sentences):
        if own < weight:  # already a variant
            continue
        for index, word in enumerate(words):
            for other in classes.get(word, ()):
                if other != word:
                    share = own * weight / len(classes[word])
                    yield (*words[:index], other, *words[index + 1 :]), share


def inflections(word: str) -> Iterator[str]:
    """Yield a word's likely plurals, singulars and possessives, right and wrong ones.

    Callers use them where the knowledge base has the word; the dictionary tells which exist.
    """
    if len(word) < 3 or "'" in word:
        return
    if word.endswith("s"):
        yield word[:-1]
        if word.endswith("es"):
            yield word[:-2]
        return
    yield word + ("es" if word.endswith(_SINGULAR_ENDINGS) else "s")
    yield word + "'s"
    if word.endswith("y"):
        yield word[:-1] + "ies"
