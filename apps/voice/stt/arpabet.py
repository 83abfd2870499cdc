"""Maps espeak-ng's phonemes (IPA, American English) to the 39 of CMU's dictionary (ARPAbet)."""

from __future__ import annotations

import re

_TABLE = {
    # vowels and diphthongs
    "aɪɚ": "AY ER", "aɪə": "AY AH", "aɪ": "AY", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "əʊ": "OW",
    "ɔɪ": "OY", "ɑː": "AA", "ɑ": "AA", "aː": "AA", "a": "AA", "æ": "AE", "ɐ": "AH", "ʌ": "AH",
    "ə": "AH", "əl": "AH L", "ɔː": "AO", "ɔ": "AO", "ɒ": "AA", "oː": "AO", "o": "OW", "ɛ": "EH",
    "e": "EH", "eː": "EY", "ɜː": "ER", "ɜ": "ER", "ɚ": "ER", "ɪ": "IH", "ᵻ": "IH", "iː": "IY",
    "i": "IY", "iə": "IY AH", "ʊ": "UH", "uː": "UW", "u": "UW", "yː": "UW", "y": "UW", "ʏ": "UH",
    "ø": "ER", "øː": "ER", "œ": "ER",
    # vowels that carry an r
    "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R",
    # consonants
    "b": "B", "d": "D", "dʒ": "JH", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH", "ç": "HH",
    "j": "Y", "k": "K", "x": "K", "l": "L", "ɫ": "L", "ɬ": "L", "l̩": "AH L", "m": "M",
    "m̩": "AH M", "n": "N", "n̩": "AH N", "ŋ": "NG", "p": "P", "pf": "P F", "ɹ": "R", "r": "R",
    "ʁ": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "ʔ": "T", "ts": "T S", "tʃ": "CH",
    "θ": "TH", "v": "V", "w": "W", "ʍ": "W", "z": "Z", "ʒ": "ZH",
}  # fmt: skip
_SYMBOL = re.compile("|".join(sorted(map(re.escape, _TABLE), key=len, reverse=True)))
_UNWRITTEN = re.compile("[ˈˌ_ \u200d\u0361\u0303]")

PHONES = frozenset(phone for phones in _TABLE.values() for phone in phones.split())
"""All 39 phones of CMU's dictionary."""


def arpabet(ipa: str) -> tuple[str, ...]:
    """Return a word's ARPAbet phones; empty when the IPA holds a symbol that is not known.

    Stress, ties and separators are dropped, and so is the r that espeak-ng writes between "ɚ" and
    a vowel: CMU's dictionary has "registering" as ... S T ER IH NG.
    """
    text = _UNWRITTEN.sub("", ipa)
    phones: list[str] = []
    position = 0
    while position < len(text):
        match = _SYMBOL.match(text, position)
        if match is None:
            if text[position] == "ː":  # a lengthened diphthong or consonant
                position += 1
                continue
            return ()
        new = _TABLE[match[0]].split()
        if new == ["R"] and phones[-1:] == ["ER"]:
            new = []  # CMU writes "registering" as ... T ER IH NG
        phones += new
        position = match.end()
    return tuple(phones)
