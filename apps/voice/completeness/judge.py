"""The verdict on a partial transcript."""

import re

from apps.voice.completeness.numbers import trailing_digits
from apps.voice.completeness.verdict import Completeness, Expecting

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_YES_NO = {
    "en": "yes yeah yep yup no nope nah sure okay ok correct right exactly absolutely",
    "de": "ja nein jo jawohl nö doch genau richtig stimmt gerne klar okay ok natürlich",
}
_BACKCHANNEL = {
    "en": "mhm mm mmm hm hmm aha uh-huh uhuh uh huh yes yeah yep okay ok right sure i see alright",
    "de": "mhm mm hm hmm aha ah ja jaja okay ok genau verstehe ich gut alles klar richtig so stimmt",
}
_HANGING = {
    "en": "and or but because if that the a an my your his her our their to of for with at on in by "
    "from is are was were do does did can could will would should have has had which who uh um er "
    "like so than as i'd i'm about into",
    "de": "und oder aber weil dass ob wenn der die das ein eine einen einem einer mein meine meinen "
    "meinem meiner zu von für mit bei an auf in im am zum zur ist sind war hat habe haben kann muss "
    "möchte will soll ähm äh also als den dem des nach über unter wie",
}
_SETS = {
    name: {language: frozenset(text.split()) for language, text in table.items()}
    for name, table in {"yes": _YES_NO, "back": _BACKCHANNEL, "hang": _HANGING}.items()
}


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _language(language: str) -> str:
    return "de" if language.startswith("de") else "en"


def judge(
    text: str, language: str, expecting: Expecting = Expecting.ANYTHING, digits: int = 0
) -> Completeness:
    """Whether what was said so far is a whole turn."""
    language = _language(language)
    words = _words(text)
    if not words:
        return Completeness.OPEN
    count, length = trailing_digits(words, language)
    if expecting is Expecting.DIGITS and count:
        enough = digits and count >= digits
        return Completeness.COMPLETE if enough else Completeness.HANGING
    if expecting is Expecting.RATING and length == 1 and len(words) <= 3:
        return Completeness.COMPLETE
    if words[-1] in _SETS["hang"][language]:
        return Completeness.HANGING
    if count and length > 1:
        return Completeness.HANGING
    if len(words) <= 2 and words[0] in _SETS["yes"][language]:
        return Completeness.COMPLETE
    return Completeness.COMPLETE if len(words) > 4 else Completeness.OPEN


def is_backchannel(text: str, language: str) -> bool:
    """Whether the words only say that the caller listens, and wants the assistant to go on."""
    words = _words(text)
    known = _SETS["back"][_language(language)]
    return bool(words) and len(words) <= 3 and all(word in known for word in words)
