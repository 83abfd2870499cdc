"""Writes number words as digits, German and English, so that both can be compared. Pure.

"dreißig Euro sechzig" becomes "30 Euro 60", "the twenty-third" becomes "the 23º". Articles
("ein", "one", "a") stay as they are: only what follows them tells whether they count anything.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from apps.core.words import fold

ORDINAL = "º"
"""Behind a number: it is an ordinal. NFKC never leaves this sign in a text."""

_WORD = re.compile(r"[^\W\d_]+")
_LASTING = re.compile(
    r"\b(\w+?)((?:tägig|wöchig|monatig|jährig|stündig|minütig)\w*)", re.IGNORECASE
)
_JOINT = re.compile(r"(?: |-)?")


def _table(text: str, start: int = 0, step: int = 1) -> dict[str, int]:
    return {word: start + step * i for i, word in enumerate(text.split())}


_ONES = {
    **_table("zero one two three four five six seven eight nine"),
    **_table("null eins zwei drei vier fuenf sechs sieben acht neun"),
    "zwo": 2,
}
_TEENS = {
    **_table("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10),
    **_table("zehn elf zwoelf dreizehn vierzehn fuenfzehn sechzehn siebzehn achtzehn neunzehn", 10),
}
_TENS_EN = _table("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
_TENS_DE = _table("zwanzig dreissig vierzig fuenfzig sechzig siebzig achtzig neunzig", 20, 10)
_SCALES = {"hundred": 100, "thousand": 1000, "hundert": 100, "tausend": 1000}
_SCALES |= dict.fromkeys(("million", "millions", "millionen"), 1_000_000)
_ORDINALS_EN = {
    **_table(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", 1
    ),
    **{word + "th": value for word, value in _TEENS.items() if value > 12},
    **{word[:-1] + "ieth": value for word, value in _TENS_EN.items()},
}
_ORDINAL_DE = re.compile(r"(.+)te[nrms]?")
_ORDINAL_STEMS_DE = {"ers": 1, "drit": 3, "sieb": 7, "ach": 8}
_MIXED = {
    "anderthalb": "1,5",
    "eineinhalb": "1,5",
    "zweieinhalb": "2,5",
    "dreieinhalb": "3,5",
    "dozen": "12",
    "dutzend": "12",
}
_DOUBLED = {"double": 2, "triple": 3}
_FRACTIONS = {"½": "5", "¼": "25", "¾": "75"}
_HALVES = re.compile(r"(\d*) ?([½¼¾])")


@dataclass(frozen=True, slots=True)
class _Count:
    """What a word counts: a number, its kind (one, teen, tens, scale, whole), an ordinal or not."""

    value: int
    kind: str
    ordinal: bool = False


@lru_cache(maxsize=8192)
def _count(word: str) -> _Count | None:
    """Return what one word counts, or None when it is no number."""
    for table, kind in ((_ONES, "one"), (_TEENS, "teen"), (_TENS_EN, "tens"), (_SCALES, "scale")):
        if word in table:
            return _Count(table[word], kind)
    if word in _ORDINALS_EN:
        value = _ORDINALS_EN[word]
        return _Count(value, "one" if value < 10 else "whole", ordinal=True)
    value_de = _german(word)
    if value_de is not None:
        return _Count(value_de, "whole")
    match = _ORDINAL_DE.fullmatch(word)
    if match is None:
        return None
    stem = match[1]
    found = _ORDINAL_STEMS_DE.get(stem) or _german(stem) or _german(stem.removesuffix("s"))
    return None if not found else _Count(found, "whole", ordinal=True)


def _german(word: str) -> int | None:
    """Return the value of a German number written as one word."""
    for scale, value in (("tausend", 1000), ("hundert", 100)):
        head, found, tail = word.partition(scale)
        if found:
            many = _german(head) if head and head != "ein" else 1
            rest = _german(tail.removeprefix("und") or "null") if tail else 0
            return None if many is None or rest is None else many * value + rest
    for table in (_ONES, _TEENS, _TENS_DE):
        if word in table:
            return table[word]
    ones, found, tens = word.partition("und")
    if found and tens in _TENS_DE:
        unit = 1 if ones == "ein" else _ONES.get(ones)
        return None if not unit else _TENS_DE[tens] + unit
    return None


def plain(text: str) -> str:
    """Return text in one form of each sign: no invisible ones, one hyphen, ASCII digits."""
    if not text.isascii():
        text = _HALVES.sub(lambda m: f"{m[1] or 0},{_FRACTIONS[m[2]]}", text)
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return "".join(map(_plain_sign, text))


@lru_cache(maxsize=4096)
def _plain_sign(sign: str) -> str:
    if sign in "‐‑‒–—−":
        return "-"
    kind = unicodedata.category(sign)
    if kind == "Nd":
        return str(unicodedata.decimal(sign))
    return "" if kind == "Cf" else " " if kind.startswith("Z") else sign


def _apart(match: re.Match[str]) -> str:
    """Write "zweiwöchig" as "2 wöchig"."""
    value = _german(fold(match[1]))
    return match.group() if value is None else f"{value} {match[2]}"


def in_digits(text: str) -> str:
    """Return plain text with its number words as digits."""
    if "ig" in text:
        text = _LASTING.sub(_apart, text)
    words = [(match.start(), match.end(), fold(match.group())) for match in _WORD.finditer(text)]
    parts: list[str] = []
    done = at = 0
    while at < len(words):
        written, after = _read(text, words, at)
        if after > at:
            parts += (text[done : words[at][0]], written)
            done = words[after - 1][1]
        at = max(after, at + 1)
    return "".join((*parts, text[done:]))


_Words = list[tuple[int, int, str]]


def _read(text: str, words: _Words, at: int) -> tuple[str, int]:
    """Read the number that begins at a word: how it is written, and the word behind it."""
    word = words[at][2]
    if word in _MIXED:
        return _MIXED[word], at + 1
    if word in _DOUBLED and at + 1 < len(words):
        then = _count(words[at + 1][2])
        if then is not None and then.kind == "one" and not then.ordinal:
            return " ".join([str(then.value)] * _DOUBLED[word]), at + 2
    first = _count(word)
    if first is None or (word == "one" and not _counts(text, words, at)):
        return "", at
    if first.kind == "scale" and (
        first.value > 1000 or text[: words[at][0]].rstrip()[-1:].isdigit()  # "2 million"
    ):
        return "", at
    total, ordinal, after = _whole(text, words, at, first)
    return f"{total}{ORDINAL if ordinal else ''}", after


def _counts(text: str, words: _Words, at: int) -> bool:
    """Tell whether "one" is a digit or part of a number, and no pronoun or article."""
    beside = []
    if at + 1 < len(words) and text[words[at][1] : words[at + 1][0]] in (" ", ", ", "-"):
        beside.append(words[at + 1][2])
    if at and text[words[at - 1][1] : words[at][0]] in (" ", ", ", "-"):
        beside.append(words[at - 1][2])
    return any(
        word != "second" and (word in _LABELS or _count(word) is not None) for word in beside
    )


_GOES_ON = {("tens", "one"), *(("scale", kind) for kind in ("one", "teen", "tens", "whole"))}
_LEVELS = ("subsection", "paragraph", "sentence", "clause")
_LABELS = frozenset(
    ("part", "number", "section", "room", "counter", "line", "class", "floor", "article", *_LEVELS)
)


def _whole(text: str, words: _Words, at: int, first: _Count) -> tuple[int, bool, int]:
    """Read on from a number's first word: its value, whether it is an ordinal, where it ends."""
    total, group, before, at = 0, first.value, first, at + 1
    while at < len(words) and not before.ordinal:
        gap, then, place = text[words[at - 1][1] : words[at][0]], _count(words[at][2]), at
        if _JOINT.fullmatch(gap) is None:
            break
        if words[at][2] in ("and", "und") and before.kind == "scale" and at + 1 < len(words):
            then, place = _count(words[at + 1][2]), at + 1  # "two hundred and five"
            if then is not None and then.kind == "scale":
                break
        if then is None or (words[place][2] == "second" and before.kind != "tens"):
            break
        if then.kind == "scale" and then.value == 100 and before.kind != "scale":
            group *= 100
        elif then.kind == "scale" and then.value > 100:
            total, group = total + group * then.value, 0
        elif then.value and (before.kind, then.kind) in _GOES_ON:
            group += then.value
        else:
            break
        before, at = then, place + 1
    return total + group, before.ordinal, at
