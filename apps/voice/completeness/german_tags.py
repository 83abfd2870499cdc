"""The class of each word of a German transcript, one letter a word.

The classes are in `german_words`: d determiner, p preposition, q preposition with its determiner,
c conjunction, s subordinator, w question word, r pronoun, o and l object pronouns, m modal, h
haben, b sein, u werden, v finite verb, i infinitive (and "they" form), y infinitive with zu, t
participle, a predicate and j attributive adjective, e adverb, k what leans on the next word, z
filler, n noun or unknown. A word nobody knows is a noun, so one misheard word seldom matters.
"""

import re
from functools import lru_cache

from apps.voice.completeness import german_words as lexicon
from apps.voice.completeness.lexicon import words as words_of
from apps.voice.completeness.numbers import digits_in

_DEMONSTRATIVE = words_of("das die der den dem dies")
_ADJECTIVAL = re.compile(r"\w{3,}(?:lich|ig|isch|bar|sam|los|(?<!sc)haft)(e[nrsm]?)?")
_PARTICIPLE = re.compile(r"(?:be|er|ver|zer|ent)\w{5,8}t|(?:\w{2,6})?ge\w{3,}(?:t|en)|\w{3,}iert")
_INSEPARABLE = words_of("be ent er ver zer ueber unter miss wider")
_FINITE = frozenset("vmhbu")


@lru_cache(maxsize=4096)
def _verb(word: str) -> str:
    """The classes a word can have as a verb: any of v, i, t, y, none for no verb."""
    if word in lexicon.NOUNS:
        return ""
    found = _forms(word)
    if found:
        return found
    for prefix in lexicon.PREFIXES:
        if word.startswith(prefix) and len(word) > len(prefix) + 2:
            rest = word[len(prefix) :]
            if rest.startswith("zu") and rest[2:] in lexicon.INFINITIVES:
                return "y"
            found = _forms(rest)
            if prefix in _INSEPARABLE and "ge" + rest in lexicon.PARTICIPLES:
                found = found.replace("t", "") + "t"  # "entwendet": no ge
            if found:
                return found
    if word.endswith("ieren") and len(word) > 7:
        return "i"
    return "t" if _PARTICIPLE.fullmatch(word) else ""


def _forms(word: str) -> str:
    return (
        ("v" if word in lexicon.FINITES else "")
        + ("i" if word in lexicon.INFINITIVES else "")
        + ("t" if word in lexicon.PARTICIPLES else "")
    )


@lru_cache(maxsize=4096)
def _open_class(word: str) -> str:
    """The class of a word that is no function word and no verb."""
    if word in lexicon.NOUNS or digits_in(word, "de"):
        return "n"
    if word in lexicon.ADJECTIVES:
        return lexicon.ADJECTIVES[word]
    if found := _ADJECTIVAL.fullmatch(word):
        return "j" if found[1] else "a" if len(word) > 6 else "n"
    for ending in (1, 2):
        if word[-ending:] in ("e", "en", "er", "es", "em") and "t" in _verb(word[:-ending]):
            return "j"
    return "n"


def tag(words: list[str]) -> str:
    """The words' classes, one letter each, decided from left to right."""
    tags = ""
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        kind = lexicon.CLOSED.get(word)
        if kind is None:
            kind = _content(word, words[place - 1] if place else "", tags, following)
        elif word.startswith("welch"):
            kind = "w"
        elif word == "als":
            kind = "s" if lexicon.CLOSED.get(following) in ("r", "d") else "p"
        elif word == "zu" and "i" in _verb(following):
            kind = "k"
        elif word == "mehr" and not following and re.search(r"\bkein|nicht", " ".join(words)):
            kind = "e"
        elif word == "noch" and not following and re.match("w.*r$", tags):
            kind = "e"  # "wie viele tage habe ich noch"
        elif word == "bis":
            kind = "s" if lexicon.CLOSED.get(following) in ("r", "d") else "p"
        elif word == "zu" and not following and re.search("^[^a]*[hb][^a]*[ne]$", tags):
            kind = "a"  # "ist am montag zu"
        elif word == "damit" and following and lexicon.CLOSED.get(following) not in ("r", "d"):
            kind = "e"
        elif (
            word in ("sein", "werden", "haben")
            and tags[-1:] != "c"
            and (tags.endswith("t") or not following)
        ):
            kind = "i" if re.search("[muvb]", tags) else kind
        elif kind == "j" and not following and word.endswith("er") and re.search("[bu].*n$", tags):
            kind = "a"  # "ist das auto billiger"
        tags += kind
    return tags


def _content(word: str, before: str, tags: str, following: str) -> str:
    classes = _verb(word)
    left = tags[-1:]
    if not classes or left in ("j", "q"):
        return _open_class(word) if not classes else "n"
    if word in lexicon.ADJECTIVES and "t" not in classes:
        return lexicon.ADJECTIVES[word]
    if left == "k" and before == "zu":
        return "y"
    if left == "p" or (
        left == "k" and classes[0] != "v" and before in ("viel", "mehr", "weniger", "herr")
    ):
        return "n"
    if not tags and "i" in classes and lexicon.CLOSED.get(following, "") in ("p", "q"):
        return "n"  # "kosten für die anmeldung"
    if left == "d":
        pronoun = before in _DEMONSTRATIVE and classes[0] == "v" and word.endswith("t")
        return "v" if pronoun else _open_class(word) if _open_class(word) == "j" else "n"
    if (
        left == "w"
        and "i" in classes
        and (lexicon.CLOSED.get(following, "") in _FINITE or _verb(following)[:1] in ("v", "i"))
    ):
        return "n"
    if "t" in classes and lexicon.CLOSED.get(following, "") in tuple("hbu"):
        return "t"  # "wenn das schild beschädigt ist"
    if "t" in classes and "v" in classes:
        return "t" if re.search("[hbu]", tags) or tags[-1:] not in ("r", "w", "n", "") else "v"
    if classes == "it":
        return "t" if re.search("[hb]", tags) and not re.search("[m]", tags) else "i"
    return classes[0] if classes != "vi" else "i"
