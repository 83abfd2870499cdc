"""Written English as it is spoken: lower-case words of letters and apostrophes, numbers in words.

The language model, its dictionary and the benchmark's references all go through here, so that a
word is the same word on every side.
"""

from __future__ import annotations

import re
import unicodedata

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_SCALES = ((1_000_000_000, "billion"), (1_000_000, "million"), (1000, "thousand"), (100, "hundred"))
_SYMBOLS = {"&": " and ", "%": " percent ", "€": " euros ", "$": " dollars ", "@": " at "}
_ABBREVIATIONS = (
    (re.compile(r"\be-mail"), "email"),
    (re.compile(r"\b([ap])\.\s?m\.?(?=\W|$)"), r"\1 m"),
    (re.compile(r"\be\.\s?g\."), "for example"),
    (re.compile(r"\bi\.\s?e\."), "that is"),
    (re.compile(r"\betc\."), "et cetera"),
    (re.compile(r"\bno\.\s(?=\d)"), "number "),
)
_PRICE_SIGN_FIRST = re.compile(r"([€$])\s?(\d+(?:[.,]\d+)?)")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_DECIMAL = re.compile(r"\b(\d+)\.(\d+)\b")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
_INTEGER = re.compile(r"\d+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*'?")
_MAX_CARDINAL_DIGITS = 12


def cardinal(number: int) -> str:
    """Return a number from 0 to 999 999 999 999 in words, without "and" and hyphens."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")
    for size, name in _SCALES:
        if number >= size:
            count, rest = divmod(number, size)
            return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")
    raise AssertionError(number)


def ordinal(number: int) -> str:
    """Return the ordinal of a number in words: 21 is "twenty first"."""
    *front, last = cardinal(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*front, last])


def spoken(text: str) -> str:
    """Return written English as the words that are said, separated by single spaces.

    Prices, clock times, decimals, ordinals and years become words; whatever else is not a
    letter or an apostrophe separates words. A number of five and more digits, or with a leading
    zero, is read digit by digit, as a phone or file number is.
    """
    text = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss").replace("’", "'"))
    text = "".join(c for c in text if not unicodedata.combining(c))
    for pattern, replacement in _ABBREVIATIONS:
        text = pattern.sub(replacement, text)
    text = _PRICE_SIGN_FIRST.sub(r"\2 \1", text)
    text = _THOUSANDS.sub("", text)
    for symbol, words in _SYMBOLS.items():
        text = text.replace(symbol, words)
    text = _CLOCK.sub(_clock_words, text)
    text = _DECIMAL.sub(lambda m: f" {_integer_words(m[1])} point {_digits(m[2])} ", text)
    text = _ORDINAL.sub(lambda m: f" {ordinal(int(m[1][:_MAX_CARDINAL_DIGITS]))} ", text)
    text = _INTEGER.sub(lambda m: f" {_integer_words(m[0])} ", text)
    return " ".join(_WORD.findall(text))


def _clock_words(match: re.Match[str]) -> str:
    hour, minute = _integer_words(match[1].lstrip("0") or "0"), match[2]
    if minute == "00":
        return f" {hour} "
    return f" {hour} {'oh ' + _ONES[int(minute)] if minute < '10' else _integer_words(minute)} "


def _integer_words(digits: str) -> str:
    number = int(digits[:_MAX_CARDINAL_DIGITS])
    if digits.startswith("0") and len(digits) > 1:
        return _digits(digits)
    if len(digits) > 4:
        return cardinal(number) if digits.endswith("00") and len(digits) < 10 else _digits(digits)
    if 1100 <= number < 2100 and number % 100 >= 10 and not 2000 <= number < 2010:
        return f"{cardinal(number // 100)} {cardinal(number % 100)}"  # a year
    return cardinal(number)


def _digits(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)
