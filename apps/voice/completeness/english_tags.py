"""The class of each word of an English transcript, one letter a word.

The classes are in `english_words`: d determiner, p preposition, c conjunction, s subordinator, w
question word, r and o pronouns, b be, h have, x do, m modal, t to, v verb that needs something
after it, i verb that does not, n noun or unknown, a adjective, e adverb, k what leans on the next
word, z filler. A word nobody knows is a noun, so one misheard word seldom changes a verdict.
"""

import re

from apps.voice.completeness.english_words import BASES, BOTH, CLASSES
from apps.voice.completeness.lexicon import words as words_of

_CLITICS = {"'m": "am", "'ve": "have", "'ll": "will", "'d": "would", "'re": "are"}
_IS = words_of("what where who how when it that there he she here why this everything")
_NEGATED = {"can't": "can", "won't": "will", "shan't": "shall", "cannot": "can", "let's": "let"}
_SUFFIXES = ("able", "ible", "ful", "ous", "ive", "less")


def expand(word: str) -> list[str]:
    """A word without its contraction: "what's" is two words, "don't" its auxiliary alone."""
    if "'" not in word and word != "cannot":
        return [word]
    if word in _NEGATED:
        return [_NEGATED[word]]
    if word.endswith("n't"):
        return [word[:-3]]
    stem, mark, clitic = word.partition("'")
    if mark + clitic in _CLITICS:
        return [stem, _CLITICS[mark + clitic]]
    return [stem, "is"] if clitic == "s" and stem in _IS else [word]


def tag(words: list[str]) -> str:
    """The words' classes, one letter each, decided from left to right."""
    tags = ""
    waiting = False  # for the verb of an auxiliary
    for place, word in enumerate(words):
        before = tags[-1:]
        kind = CLASSES.get(word) or _guess(word, tags, waiting)
        if word == "like" and before not in tuple("mrtx"):
            kind = "p" if words[place + 1 :] else "z"
        elif word == "so" and CLASSES.get("".join(words[place + 1 : place + 2])) in ("a", "k"):
            kind = "k"
        elif kind == "a" and word in BOTH and waiting and before == "r":
            kind = "v"
        elif kind in "vi":
            kind = _verb_or_noun(word, kind, before, waiting, tags)
            waiting = waiting and kind == "n"
        elif kind in "xh" and waiting and before in ("r", "n", "t") and word in ("do", "have"):
            kind = "v" if word == "do" or place == len(words) - 1 else kind
        elif kind in "xm":
            waiting = True
        elif word == "when":
            asks = CLASSES.get(words[place + 1], "n") in "xmb" if words[place + 1 :] else False
            kind = "w" if asks or not tags or before in ("o", "v") else "s"
        elif word == "like":
            kind = (
                "v" if before in ("m", "r", "t", "x") else "z" if place + 1 == len(words) else "p"
            )
        elif word in ("more", "less") and place == len(words) - 1 and before in ("v", "i", "d"):
            kind = "e"
        elif kind == "r" and word in ("this", "that"):
            kind = _demonstrative(word, before, words, place)
        elif word == "one" and before in ("a", "d"):
            kind = "n"
        elif word == "her" and before in ("v", "i", "p") and place == len(words) - 1:
            kind = "o"
        tags += kind
    return tags


def _guess(word: str, tags: str, waiting: bool) -> str:
    if word.endswith("'s"):
        return "d"
    if tags == "w" and word.endswith("s"):
        return "v"  # "who inspects it"
    if tags.endswith("r") and not tags.endswith("br"):
        return (
            "v" if waiting else "i"
        )  # "it rains": what follows a subject is a verb, whatever was heard
    if word.endswith("ly") and len(word) > 4:
        return "e"
    if word.endswith("ed") and len(word) > 5 and tags[-1:] in ("n", "b", "h", "e"):
        return "v"
    return "a" if word.endswith(_SUFFIXES) else "n"


def _verb_or_noun(word: str, kind: str, before: str, waiting: bool, tags: str) -> str:
    if before in ("d", "k"):
        return "a" if word.endswith(("ing", "ed")) else "n"
    if before == "a":
        return "n"
    if before == "p":
        return kind if word.endswith("ing") else "n"
    if before == "n" and not waiting:
        inflected = word.endswith("ed") or word not in BASES
        third = word.endswith("s") and bool(re.search(r"(?:^|[swc])d[an]*$", tags))
        return kind if third or (inflected and not word.endswith("s")) else "n"
    if before == "" and word not in BASES:
        return "a"
    return kind


def _demonstrative(word: str, before: str, words: list[str], place: int) -> str:
    following = CLASSES.get(words[place + 1]) if place + 1 < len(words) else None
    if following is None:
        return "d" if place + 1 < len(words) or before not in ("v", "i", "p", "b") else "r"
    if word == "that" and (before == "n" or (before == "v" and following in "rd")):
        return "s"
    return "d" if following in "na" else "r"
