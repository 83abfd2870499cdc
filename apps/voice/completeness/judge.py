"""The verdict on a partial transcript: short answers, dictated numbers, then the clause."""

import re

from apps.core.words import fold
from apps.voice.completeness import answers, english, german
from apps.voice.completeness.english_tags import expand
from apps.voice.completeness.numbers import trailing_digits
from apps.voice.completeness.verdict import Completeness, Expecting

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# What a dictated number is called: "my number is oh one", "mein Kennzeichen ist".
_NUMBERED = re.compile(
    r"number|numbers|plate|code|phone|telephone|mobile|pin|iban|vin|zip|postcode|reference|digits"
    r"|\w*nummer|\w*kennzeichen|telefon|handy|\w*zahl|plz|aktenzeichen|ziffern|vorwahl"
)
_AT_LEAST_TWO = 2


def judge(
    text: str, language: str, expecting: Expecting = Expecting.ANYTHING, digits: int = 0
) -> Completeness:
    """Whether what was said so far is a whole turn.

    Args:
        text: What a streaming recogniser has; case and punctuation do not matter.
        language: `de` or `en`, with or without a region; anything else is read as English.
        expecting: What the call has just asked for.
        digits: How many digits it asked for, 0 where that is not known.
    """
    language = _language(language)
    words = _words(text)
    if not words:
        return Completeness.OPEN
    dictated = _dictated(words, language, expecting, digits)
    if dictated is not None:
        return dictated
    if answers.is_formula(words, language):
        return Completeness.COMPLETE
    if expecting is Expecting.YES_NO and answers.is_yes_or_no(words, language):
        hangs = len(words) > 1 and _clause(words, language) is Completeness.HANGING
        return Completeness.HANGING if hangs else Completeness.COMPLETE
    if expecting is Expecting.RATING and answers.is_rating(words, language):
        return Completeness.COMPLETE
    return _clause(words, language)


def is_backchannel(text: str, language: str) -> bool:
    """Whether the words only say that the caller listens, and wants the assistant to go on."""
    return answers.is_backchannel(_words(text), _language(language))


def _language(language: str) -> str:
    return "de" if language.lower().startswith("de") else "en"


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(fold(text))]


def _dictated(
    words: list[str], language: str, expecting: Expecting, digits: int
) -> Completeness | None:
    """The verdict on a number being dictated, None where none is."""
    said = answers.without_closers(words, language)
    count, length = trailing_digits(said, language)
    if not count or expecting is Expecting.RATING:
        return None
    if expecting is Expecting.DIGITS:
        return Completeness.COMPLETE if 0 < digits <= count else Completeness.HANGING
    context = any(_NUMBERED.fullmatch(word) for word in said[:-length])
    if context or (length >= _AT_LEAST_TWO and count == length):
        return Completeness.HANGING
    alone = length == len(said) == 1 and said[0] not in ("ein", "eine")
    return Completeness.COMPLETE if alone else None


def _clause(words: list[str], language: str) -> Completeness:
    said = answers.without_closers(answers.without_openers(words, language), language)
    if not said:
        leads = words[-1] in answers.LEADING[language]
        return Completeness.HANGING if leads else Completeness.OPEN
    if len(said[-1]) == 1 and said[-1] not in ("i", "a"):
        return Completeness.OPEN  # a letter being spelt
    polite = len(said) < len(words) and words[-1] != said[-1]
    if language == "de":
        return german.verdict(said, polite)
    expanded = [part for word in said for part in expand(word)]
    return english.verdict(expanded, polite)
