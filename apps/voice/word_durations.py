"""How long a word usually takes to say, by its letters, in German and English.

Each language's figures are a linear fit to the words of the sample knowledge base as espeak-ng says
them, the English ones to four of flite's voices as well; see docs/benchmarks.md, "What was heard".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_LIGHT_DE = (
    "der die das den dem des ein eine einen einem einer eines und oder zu in im am an auf "
    "ist von mit bei sie für es als zum zur"
)
_LIGHT_EN = (
    "the a an of to and in is are for or at on it be by with from do if as can that was this "
    "into than"
)


@dataclass(frozen=True, slots=True)
class _Usual:
    """What a word usually takes in a language at a normal tempo, in milliseconds.

    Attributes:
        one_sound: Letters that are one consonant.
        mute: An ending whose vowel is not a syllable.
        light: Words that are said in passing.
    """

    word: float
    syllable: float
    consonant: float
    before_pause: float
    in_passing: float
    vowels: re.Pattern[str]
    one_sound: re.Pattern[str]
    mute: re.Pattern[str]
    light: frozenset[str]


_USUAL = {
    "de": _Usual(
        word=63,
        syllable=66,
        consonant=60,
        before_pause=68,
        in_passing=-57,
        vowels=re.compile(r"ei|ie|au|eu|äu|aa|ee|oo|ai|[aeiouyäöü]"),
        one_sound=re.compile(r"sch|ch|ck|ng|th|ph|tz|(.)\1"),
        mute=re.compile(r"(?!)"),
        light=frozenset(_LIGHT_DE.split()),
    ),
    "en": _Usual(
        word=65,
        syllable=80,
        consonant=55,
        before_pause=105,
        in_passing=-72,
        vowels=re.compile(r"[aeiouy]+"),
        one_sound=re.compile(r"th|sh|ch|ck|ph|wh|gh|(.)\1"),
        mute=re.compile(r"[^aeiouyl]e$|[^aeiouytd]ed$"),
        light=frozenset(_LIGHT_EN.split()),
    ),
}
_BREAK = re.compile(r"[.,:;?!–—)]\W*$")


@lru_cache(maxsize=4096)
def usual_ms(word: str, language: str) -> float:
    """Return how long a word takes at a normal tempo; 0 for what is not spoken, such as a dash."""
    usual = _USUAL.get(language, _USUAL["en"])
    letters = re.sub(r"\W", "", word.lower())
    if not letters:
        return 0.0
    nuclei = len(usual.vowels.findall(letters))
    mute = nuclei > 1 and usual.mute.search(letters) is not None
    consonants = len(usual.one_sound.sub("x", usual.vowels.sub(" ", letters)).replace(" ", ""))
    return (
        usual.word
        + usual.syllable * max(1, nuclei - mute)
        + usual.consonant * consonants
        + (usual.before_pause if ends_phrase(word) else 0.0)
        + (usual.in_passing if letters in usual.light else 0.0)
    )


def ends_phrase(word: str) -> bool:
    """Return whether a pause is likely behind a word."""
    return _BREAK.search(word) is not None
