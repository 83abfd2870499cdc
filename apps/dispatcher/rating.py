"""Spoken ratings: 1 to 5 in German and English, as people say them; None when there is none.

A rating is never guessed: a number out of range is no rating, and neither is a sentence without
one. Where a caller corrects themselves ("three, maybe four") the first number counts, because the
second is said with doubt; where they take it back ("three, no, four") the last one does. In "four
out of five" the scale is not a rating.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCALE = range(1, 6)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBERS = {
    "en": {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
           "eight": 8, "nine": 9, "ten": 10, "hundred": 100},
    "de": {"null": 0, "eins": 1, "eine eins": 1, "zwei": 2, "zwo": 2, "drei": 3, "vier": 4,
           "fünf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10,
           "hundert": 100, "einer": 1, "einsen": 1, "zweier": 2, "dreier": 3, "vierer": 4,
           "fünfer": 5},
}  # fmt: skip

# "Not a five", "no one": what stands right before a number that is not given.
_DENIED = {
    "en": re.compile(r"\b(?:not|never|isn't|wasn't)(?: (?:a|an|the))? ?$"),
    "de": re.compile(r"\b(?:kein|keine|keinen|keiner|nicht)(?: (?:eine?|einen|die))? ?$"),
}
# "No one" counts nobody; "three, no, four" corrects.
_NO_ONE = re.compile(r"\bno ?$")
# What may follow a rating; "one moment" and "zwei Fragen" count something else.
_MAY_FOLLOW = {
    "en": _names(
        ", maybe or perhaps probably please thanks thank no sorry wait rather actually make"
        " definitely certainly i i'm it that this because since as for from at out of overall"
        " okay bye goodbye good then um uh well"
    ),
    "de": _names(
        ", vielleicht oder bitte danke nein quatsch halt lieber doch ich das es weil denn würde"
        " eher also gerne gern wahrscheinlich sicher sagen von aus insgesamt äh ähm tschüss auf"
        " finde denke glaube gebe"
    ),
}

# What follows a number and makes it a scale, not a rating: "von fünf", "out of five".
_SCALE = {
    "en": re.compile(
        r"\b(?:out of|of|from)(?: a)?(?: possible)? (?:five|5)\b(?: stars?| points?)?"
    ),
    "de": re.compile(
        r"\b(?:von|aus)(?: maximal| möglichen)? (?:fünf|fuenf|5)\b(?: sternen| punkten)?"
    ),
}
# Recognisers write these for a number; in front of a scale they can be nothing else.
_HOMOPHONES = {
    "for": "four",
    "fore": "four",
    "to": "two",
    "too": "two",
    "won": "one",
    "free": "three",
}
_SOUNDS_LIKE = {
    "en": re.compile(r"\b(for|fore|to|too|won|free)(?= (?:out of|of|stars?\b))"),
    "de": re.compile(r"(?!)()"),
}
_OTHER_SCALE = {
    "en": re.compile(r"\b(?:out of|from) (?:ten|10|six|6|a hundred|100)\b"),
    "de": re.compile(r"\bvon (?:zehn|10|sechs|6|hundert|100)\b"),
}
_RANGE = {
    "en": re.compile(r"\b(?:from|between)? ?(?:one|1) (?:to|and) (?:five|5)\b"),
    "de": re.compile(r"\b(?:von|zwischen)? ?(?:eins|1) (?:bis|und) (?:fünf|5)\b"),
}
_TAKES_BACK = {
    "en": re.compile(r"\b(?:no|sorry|wait|rather|actually|make that|i mean|correction)\b"),
    "de": re.compile(r"\b(?:nein|quatsch|halt|moment|lieber|doch|ich meine|korrektur|sagen wir)\b"),
}
_DECLINES = {
    "en": re.compile(
        r"\b(?:no rating|not? (?:want|like|rate|thanks|thank you)|rather not|don't want|skip|"
        r"no comment|none)\b"
    ),
    "de": re.compile(
        r"\b(?:keine (?:bewertung|angabe|lust|note)|möchte nicht|will nicht|lieber nicht|"
        r"nein danke|überspringen)\b"
    ),
}
# Words that stand for a rating, most specific first; "not" in front turns none of them around
# into a number, it only makes them no rating.
_WORDS: dict[str, tuple[tuple[str, int], ...]] = {
    "en": (
        (r"not (?:so |very |that |really )?(?:good|great|helpful)", 2),
        (r"not (?:too |so )?bad", 4),
        (r"very (?:good|nice|helpful|satisfied|happy)|excellent|perfect|great|fantastic|wonderful|"
         r"amazing|brilliant|awesome|outstanding|top (?:marks|notch)|full marks|the best", 5),
        (r"very (?:bad|poor|unsatisfied|dissatisfied)|terrible|awful|horrible|"
         r"useless|the worst", 1),
        (r"good|nice|helpful|happy|satisfied", 4),
        (r"okay|ok|alright|all right|average|so so|mediocre|fair|fine", 3),
        (r"bad|poor|unsatisfied|dissatisfied", 2),
    ),
    "de": (
        (r"nicht (?:so |sehr |besonders |wirklich )?(?:gut|toll|hilfreich)", 2),
        (r"nicht schlecht", 4),
        (r"sehr (?:gut|schön|hilfreich|zufrieden|nett)|ausgezeichnet|perfekt|super|hervorragend|"
         r"spitze|prima|klasse|großartig|wunderbar|fantastisch|volle punktzahl|bestens|toll", 5),
        (r"sehr (?:schlecht|unzufrieden)|furchtbar|schrecklich|katastrophe|katastrophal|miserabel|"
         r"unbrauchbar|ungenügend", 1),
        (r"unzufrieden|schlecht|mangelhaft", 2),
        (r"gut|zufrieden|hilfreich|nett", 4),
        (r"okay|ok|in ordnung|geht so|mittelmäßig|mittel|befriedigend|so lala|ganz okay", 3),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Number:
    value: int
    start: int
    end: int


def parse_rating(text: str, language: str) -> int | None:
    """Return the stars in what a caller said, or None when there is no rating in it.

    Args:
        text: The words, in any case, with or without punctuation.
        language: ``de`` or ``en``.
    """
    words = " ".join(re.sub(r"[^\w'äöüß*-]+", " ", text.lower().replace(",", " , ")).split())
    words = re.sub(r"\bi'd\b|\bi'll\b", "i", words)
    if _OTHER_SCALE[language].search(words):
        return None
    words = _RANGE[language].sub(" ", words)
    words = _SOUNDS_LIKE[language].sub(lambda match: _HOMOPHONES[match[1]], words)
    scale = _SCALE[language].search(words)
    without_scale = _SCALE[language].sub(" , ", words)
    numbers = _numbers(without_scale, language)
    if numbers:
        meant = [number for number in numbers if _is_meant(number, without_scale, language)]
        return _choose(meant, without_scale, language) if meant else None
    if scale or _DECLINES[language].search(words):
        return None
    return next(
        (stars for rule, stars in _WORDS[language] if re.search(rf"\b(?:{rule})\b", words)), None
    )


def _numbers(words: str, language: str) -> list[_Number]:
    names = _NUMBERS[language]
    alternatives = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    found = []
    for match in re.finditer(
        rf"(?<![\w.-])(?:(\d+)|({alternatives}))(?!\w)(?:[ -]?(?:stars?|stern(?:e|en)?|punkte?))?",
        words,
    ):
        value = int(match[1]) if match[1] else names[match[2]]
        found.append(_Number(value, match.start(), match.end()))
    return found


def _is_meant(number: _Number, words: str, language: str) -> bool:
    """Tell whether a number can be a rating: not denied, and not counting something else."""
    before = words[: number.start]
    if _DENIED[language].search(before) or (
        _NO_ONE.search(before) and not _numbers(before, language)
    ):
        return False
    rest = words[number.end :].split()
    follower = rest[0] if rest else ""
    is_number = follower.isdigit() or follower in _NUMBERS[language]
    return not follower or is_number or follower in _MAY_FOLLOW[language]


def _choose(numbers: list[_Number], words: str, language: str) -> int | None:
    if any(number.value not in SCALE for number in numbers):
        return None
    chosen = numbers[0]
    for number in numbers[1:]:
        if _TAKES_BACK[language].search(words[chosen.end : number.start]):
            chosen = number
    return chosen.value
