"""Turns text into what retrieval compares: words, sounds, pieces of words and pairs of words.

A recogniser writes words that sound like what was said ("plates" for "place"), so each text is
seen in several ways. German compounds share pieces with their parts, so pieces of words find
"Zulassung" in "Zulassungsbescheinigung".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import yaml

from apps.core.words import fold, words

_NGRAM_SIZES = (3, 4, 5)
# Callers bring new words without end, so what is known of words is bounded.
_CACHED_WORDS = 50_000
# One text is seen in several ways in turn; what callers said is not to be remembered longer.
_CACHED_TEXTS = 4

_SUFFIXES = {
    "en": ("ations", "ation", "ating", "ings", "ing", "ers", "er", "ed", "es", "s", "e", "y"),
    "de": ("ungen", "ung", "ern", "em", "en", "er", "es", "st", "e", "n", "s", "t"),
}
_SHORTEST_STEM = {"en": 3, "de": 4}

# Verb particles that German moves to the end of the clause: "melde ich mein Auto ab".
PARTICLES = ("ab", "an", "auf", "aus", "ein", "her", "mit", "nach", "um", "vor", "weg", "zurueck")

# A sound key: spellings replaced by how they sound, vowels left out but for a leading one, doubles
# written once. The groups follow the idea of Soundex and Metaphone, reduced to what recognisers
# confuse: voiced and unvoiced stops, sibilants, nasals.
_SPELLINGS = {
    language: tuple(tuple(rule.split(":")) for rule in rules.split())
    for language, rules in {
        "en": "tion:sn sion:sn tch:s ch:s sh:s ph:f gh: kn:n wr:r ck:k qu:kw ce:s ci:s cy:s x:ks"
        " th:t dge:s ge:s",
        "de": "tion:tsn sch:s ch:k ph:f ck:k qu:kw tz:s z:s x:ks th:t v:f dt:t",
    }.items()
}
_SOUND_GROUPS = str.maketrans(
    {"b": "p", "d": "t", "g": "k", "c": "k", "q": "k", "z": "s", "j": "s", "v": "f", "m": "n"}
)
_SILENT = re.compile(r"[aeiouyhw]")
_DOUBLED = re.compile(r"(.)(?=\1)")
_LEADING_VOWEL = re.compile(r"(?<![^ ])[aeiouy]")
_VOWEL_MARK = "@"  # in no word, and left alone by what else is done to them


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What a language's lexicon file says; single words folded.

    Attributes:
        stop_words: Words that say nothing about the subject.
        synonyms: Word to the words that mean the same to a caller.
        canonical: Word to the one word that stands for its synonyms.
    """

    stop_words: frozenset[str]
    synonyms: Mapping[str, tuple[str, ...]]
    canonical: Mapping[str, str]


@cache
def lexicon(language: str) -> Lexicon:
    """Return a language's lexicon, read once."""
    path = Path(__file__).with_name("lexicon") / f"{language}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    groups = [tuple(fold(group).split()) for group in data["synonyms"]]
    return Lexicon(
        stop_words=frozenset(fold(" ".join(data["stop_words"])).split()),
        synonyms={word: group for group in groups for word in group},
        canonical={word: group[0] for group in groups for word in group},
    )


@lru_cache(maxsize=_CACHED_WORDS)
def stem(word: str, language: str) -> str:
    """Cut a folded word's endings; crude on purpose, for both sides are cut alike."""
    changed = True
    while changed:
        changed = False
        for suffix in _SUFFIXES[language]:
            if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM[language]:
                word = word[: -len(suffix)]
                changed = True
                break
    return word


@lru_cache(maxsize=_CACHED_WORDS)
def sound_key(word: str, language: str) -> str:
    """Return how a folded word sounds, roughly; words that are easily confused share a key."""
    for spelling, sound in _SPELLINGS[language]:
        word = word.replace(spelling, sound)
    head = "a" if word[:1] in tuple("aeiouy") else ""
    key = head + _SILENT.sub("", word).translate(_SOUND_GROUPS)
    return _DOUBLED.sub("", key)


def sound_keys(found: Iterable[str], language: str) -> frozenset[str]:
    """Return the sound keys of folded words, none of them empty.

    The same as ``sound_key`` of each, in one pass over all: a passage's words are mostly new.
    """
    text = " ".join(found)
    for spelling, sound in _SPELLINGS[language]:
        text = text.replace(spelling, sound)
    text = _SILENT.sub("", _LEADING_VOWEL.sub(_VOWEL_MARK, text)).translate(_SOUND_GROUPS)
    return frozenset(_DOUBLED.sub("", text).replace(_VOWEL_MARK, "a").split())


def content_words(text: str, language: str) -> list[str]:
    """Return a text's folded words without stop words.

    German split verbs are joined as well: "melde ... ab" adds "abmelde".
    """
    stop_words = lexicon(language).stop_words
    found, joined = _all_words(text, language)
    return [*(word for word in found if word not in stop_words), *joined]


@lru_cache(maxsize=_CACHED_TEXTS)
def _all_words(text: str, language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a text's folded words, and in German the verbs that are split in it, joined."""
    found = words(text)
    return tuple(found), tuple(_joined_verbs(found) if language == "de" else ())


def _joined_verbs(found: Sequence[str]) -> list[str]:
    """Return each particle joined to the content words before it."""
    stop_words = lexicon("de").stop_words
    joined = []
    for index, word in enumerate(found):
        if word in PARTICLES:
            before = [other for other in found[:index] if other not in stop_words]
            joined += [word + other for other in before if other not in PARTICLES]
    return joined


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text's content words."""
    return [stem(word, language) for word in content_words(text, language)]


def meanings(text: str, language: str) -> list[str]:
    """Return the stems of a text's content words, one word standing for all its synonyms."""
    canonical = lexicon(language).canonical
    return [stem(canonical.get(word, word), language) for word in content_words(text, language)]


def sounds(text: str, language: str) -> list[str]:
    """Return the sound keys of a text's content words."""
    keys = [sound_key(word, language) for word in content_words(text, language)]
    return [key for key in keys if len(key) > 1]


def pairs(text: str, language: str) -> list[str]:
    """Return the pairs of neighbouring words, stop words and the text's edges included."""
    found = ["^", *(stem(word, language) for word in _all_words(text, language)[0]), "$"]
    return [f"{a} {b}" for a, b in pairwise(found)]


@lru_cache(maxsize=_CACHED_WORDS)
def _pieces_of(word: str) -> tuple[str, ...]:
    marked = f"_{word}_"
    return tuple(
        marked[start : start + size]
        for size in _NGRAM_SIZES
        for start in range(len(marked) - size + 1)
    )


def _pieces(found: Sequence[str]) -> list[str]:
    return [piece for word in found for piece in _pieces_of(word)]


def content_pieces(text: str, language: str) -> list[str]:
    """Return the character n-grams of a text's content words, word edges marked."""
    return _pieces(content_words(text, language))


def all_pieces(text: str, language: str) -> list[str]:
    """Return the character n-grams of all words of a text, word edges marked."""
    found, joined = _all_words(text, language)
    return _pieces([*found, *joined])
