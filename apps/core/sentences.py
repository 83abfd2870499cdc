"""Cuts German and English text into sentences, all at once or while it is still arriving.

A stop ends a sentence when white space follows it and it is neither an abbreviation's ("z. B.",
"Mr.", "No. 5"), an initial's, nor a German ordinal's ("1. Januar"). Stops inside numbers, times
and addresses ("12.80", "8:00", "sonnenfurt.example") have no white space behind them.
"""

from __future__ import annotations

import re

# The stop, closing quotes or brackets behind it, and the white space that makes it an end.
_STOP = re.compile(r"[.!?…]+[\"'”“’»)\]]*\s+|\n\s*")
_LAST_WORD = re.compile(r"[^\s(\[\"'„“«]+$")
_NEXT_WORD = re.compile(r"\w+|\W")
# What is longer is no word that anything here asks for: the rest need not be looked through.
_LONGEST_WORD = 40


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations as they are written; "so." and "do." may end a sentence, "So." and "Do." are days.
_ABBREVIATIONS = _names(
    "Mr Mrs Ms Dr Prof St Jr Sr Hr Hrn Fr Dipl Ing Tel Str Abs Art Mo Di Mi Do Sa So"
    " Mon Tue Tues Wed Thu Thur Thurs Fri Sat Jan Feb Apr Jun Jul Aug Sep Sept Okt Oct Nov Dez Dec"
    " vs ca approx bzw ggf evtl inkl zzgl vgl bspw sog z.B Z.B d.h D.h u.a e.g i.e"
)
# These may close a sentence, and do when a capital letter follows.
_CLOSING = _names("etc usw a.m p.m u.u")
_BEFORE_NUMBERS = _names("no nr")
# What follows a German ordinal: "1. Januar", "2. Stock". Elsewhere "room 5." ends its sentence.
_ORDINAL_OF = _names(
    "januar februar märz april mai juni juli august september oktober november dezember"
    " stock etage obergeschoss og quartal halbjahr mal tag werktag woche monat jahr"
    " montag dienstag mittwoch donnerstag freitag samstag sonntag klasse weihnachtstag"
)


def _is_end(before: str, stop: str, after: str) -> bool:
    """Decide whether a stop between two pieces of text ends a sentence.

    Args:
        before: The sentence so far, without the stop.
        stop: The stop with what closes behind it, without white space.
        after: The whole word that follows.
    """
    match = _LAST_WORD.search(before[-_LONGEST_WORD:])
    if stop != "." or match is None:
        return True
    word = match.group()
    if word.isdigit() and len(word) <= 2:
        return after.lower() not in _ORDINAL_OF and not after.islower()
    if word.lower() in _BEFORE_NUMBERS:
        return not after.isdigit()
    if word.lower() in _CLOSING:
        return after[:1].isupper()
    # A single letter is an initial or half of "z. B."; "I." ends a sentence in English.
    single = len(word) == 1 and word.isalpha() and word != "I"
    return word not in _ABBREVIATIONS and not single


class SentenceSplitter:
    """Collects pieces of text and gives back whole sentences as soon as they are certain.

    Everything that goes in comes out, in order and unchanged: joining what ``push`` and
    ``flush`` return gives the text back.
    """

    def __init__(self, text: str = "") -> None:
        self._rest = text

    def push(self, piece: str) -> list[str]:
        """Add a piece and return the sentences that are now complete, white space included."""
        self._rest += piece
        return self._take(_ends(self._rest))

    def flush(self) -> list[str]:
        """Return what is left, as sentences; the last one may be unfinished."""
        found = self._take(_ends(self._rest, whole=True))
        rest, self._rest = self._rest, ""
        return [*found, rest] if rest else found

    def _take(self, ends: list[int]) -> list[str]:
        """Cut the text at the given positions and keep what is behind the last."""
        starts = [0, *ends]
        self._rest, found = (
            self._rest[starts[-1] :],
            [self._rest[start:end] for start, end in zip(starts, ends, strict=False)],
        )
        return found


def _ends(text: str, whole: bool = False) -> list[int]:
    """Return the positions behind the white space of each certain sentence end in a text.

    Args:
        text: The text, beginning at a sentence.
        whole: Whether nothing will follow; until then the last word may still grow.
    """
    ends: list[int] = []
    for match in _STOP.finditer(text):
        following = _NEXT_WORD.match(text, match.end())
        if following is None or (following.end() == len(text) and not whole):
            break
        before = text[ends[-1] if ends else 0 : match.start()]
        stop = match.group().strip()
        if not stop or _is_end(before, stop, following.group()):
            ends.append(match.end())
    return ends


def split_sentences(text: str) -> list[str]:
    """Return a whole text's sentences, without the white space around them."""
    pieces = SentenceSplitter(text).flush()
    return [piece.strip() for piece in pieces if piece.strip()]
