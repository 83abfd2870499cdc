"""Numbers in words, German and English."""

from __future__ import annotations


def _listed(text: str) -> list[str]:
    return text.split()


_UNITS = {
    "en": _listed(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen"
    ),
    "de": _listed(
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn"
        " fünfzehn sechzehn siebzehn achtzehn neunzehn"
    ),
}
_TENS = {
    "en": _listed("twenty thirty forty fifty sixty seventy eighty ninety"),
    "de": _listed("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"),
}
LARGEST = 999_999

_ORDINALS_EN = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
_ORDINALS_DE = {"eins": "ers", "drei": "drit", "sieben": "sieb", "acht": "ach"}


def cardinal(number: int, language: str) -> str:
    """Return a number in words.

    Raises:
        ValueError: The number is negative or above 999,999.
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"no words for {number}")
    return cardinal_en(number) if language == "en" else cardinal_de(number)


def cardinal_en(number: int) -> str:
    """Return an English number, 0 to 999,999, in words."""
    if number < 20:
        return _UNITS["en"][number]
    if number < 100:
        tens, units = divmod(number, 10)
        return _TENS["en"][tens - 2] + (f"-{_UNITS['en'][units]}" if units else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_UNITS['en'][hundreds]} hundred" + (f" and {cardinal_en(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    joint = " and " if rest < 100 else " "
    return f"{cardinal_en(thousands)} thousand" + (f"{joint}{cardinal_en(rest)}" if rest else "")


def cardinal_de(number: int, *, alone: bool = True) -> str:
    """Return a German number, 0 to 999,999; not ``alone``, one is "ein" instead of "eins"."""
    if number == 1 and not alone:
        return "ein"
    if number < 20:
        return _UNITS["de"][number]
    if number < 100:
        tens, units = divmod(number, 10)
        word = _TENS["de"][tens - 2]
        return f"{cardinal_de(units, alone=False)}und{word}" if units else word
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{cardinal_de(hundreds, alone=False)}hundert" + (cardinal_de(rest) if rest else "")
    thousands, rest = divmod(number, 1000)
    return f"{cardinal_de(thousands, alone=False)}tausend" + (cardinal_de(rest) if rest else "")


def ordinal(number: int, language: str, ending: str = "e") -> str:
    """Return an ordinal number in words; German takes an ending ("erste", "ersten")."""
    word = cardinal(number, language)
    if language == "en":
        head, dash, last = word.rpartition("-")
        if not dash:
            head, dash, last = word.rpartition(" ")
        last = _ORDINALS_EN.get(last, last.removesuffix("y") + "ie" * last.endswith("y") + "th")
        return f"{head}{dash}{last}"
    stem = _ORDINALS_DE.get(word, word)
    return f"{stem}{'st' if number >= 20 else 't'}{ending}"


def year(number: int, language: str) -> str:
    """Return a year in words: "nineteen ninety-nine", "neunzehnhundertneunundneunzig"."""
    century, rest = divmod(number, 100)
    if language == "de":
        if 11 <= century <= 19:
            return f"{cardinal_de(century)}hundert" + (cardinal_de(rest) if rest else "")
        return cardinal_de(number)
    if century == 20 and rest < 10:
        return cardinal_en(number)
    if not rest:
        return f"{cardinal_en(century)} hundred"
    return f"{cardinal_en(century)} " + (
        f"oh {cardinal_en(rest)}" if rest < 10 else cardinal_en(rest)
    )


def digits(text: str, language: str) -> str:
    """Return each digit of a text as a word, its other signs left out."""
    return " ".join(_UNITS[language][int(sign)] for sign in text if sign.isdigit())
