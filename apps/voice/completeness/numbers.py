"""Spoken digits, English and German: how many of them a transcript ends in."""

import re

_UNITS = {
    "en": "zero oh o nought one two three four five six seven eight nine",
    "de": "null ein eins eine zwei zwo drei vier fünf sechs sieben acht neun",
}
_TWO = {
    "en": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "de": "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig dreissig vierzig fünfzig sechzig siebzig achtzig neunzig",
}
_TIMES = {
    "double": 2,
    "triple": 3,
    "treble": 3,
    "doppel": 2,
    "doppelt": 2,
    "doppelte": 2,
    "zweimal": 2,
    "dreimal": 3,
}
UNITS = {language: frozenset(words.split()) for language, words in _UNITS.items()}
_TWO_DIGITS = {language: frozenset(words.split()) for language, words in _TWO.items()}
TENS = {language: frozenset(words.split()) for language, words in _TENS.items()}
_JOINERS = {"en": frozenset(["and", "dash", "then"]), "de": frozenset(["und", "strich", "dann"])}
# "dreiundzwanzig" is written as one word, and is two digits.
_JOINED = re.compile(r"(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und\w+zig")


def digits_in(word: str, language: str) -> int:
    """How many digits a word stands for, 0 where it is no number."""
    if word[0].isdigit():
        return sum(letter.isdigit() for letter in word)
    if word in UNITS[language]:
        return 1
    if word in _TWO_DIGITS[language] or word in TENS[language]:
        return 2
    return 2 if language == "de" and _JOINED.fullmatch(word) else 0


def trailing_digits(words: list[str], language: str) -> tuple[int, int]:
    """The digits at the end of the words: how many digits, in how many words.

    "drei und zwanzig" and "twenty three" are two digits, "double four" is two, "triple" and a
    joiner alone none. A joiner between digits belongs to the run.
    """
    start = len(words)
    while start and (
        digits_in(words[start - 1], language)
        or words[start - 1] in _TIMES
        or (start < len(words) and words[start - 1] in _JOINERS[language])
    ):
        start -= 1
    while start < len(words) and words[start] in _JOINERS[language]:
        start += 1
    return _count(words[start:], language), len(words) - start


def _count(run: list[str], language: str) -> int:
    total, times, before = 0, 1, ""
    for place, word in enumerate(run):
        if word in _TIMES:
            times = _TIMES[word]
            continue
        if word in _JOINERS[language]:
            continue
        digits = digits_in(word, language)
        # The two halves of one number below a hundred are counted with its tens.
        english = language == "en" and before in TENS["en"] and word in UNITS["en"]
        german = (
            language == "de"
            and word in TENS["de"]
            and run[place - 2 : place - 1] != []
            and run[place - 2] in UNITS["de"]
            and run[place - 1] == "und"
        )
        total += (digits if not (english and word not in ("zero", "oh", "o")) else 0) * times
        total -= german
        times, before = 1, word
    return total
