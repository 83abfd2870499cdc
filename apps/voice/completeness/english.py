"""Is an English clause finished? Rules over the letters of `english_tags`, one letter a word."""

import re

from apps.voice.completeness.english_tags import tag
from apps.voice.completeness.english_words import (
    ANNOUNCING,
    BASES,
    CONTINUING,
    DEGREES,
    DITRANSITIVE,
    LEADING,
    LINKING,
    MOTION,
    NEXT,
    PHRASAL,
    RISING,
    TAKING,
    THINKING,
)
from apps.voice.completeness.lexicon import words as words_of
from apps.voice.completeness.verdict import Completeness

_FINALS = frozenset("dcstmxbhkzpw")
# Verbs and the preposition they may end a question with: "who do I talk to".
_STRANDED = words_of("to for from with about of on in at")
_INVERTED = re.compile(r"(?<=[nviaeo])[xmb](?=r)")
_SUBJECTS = words_of("i we he she they")
_AFTER_SUBJECT = re.compile(r"[vihbm]")
_VERB = re.compile(r"[vihb]")
_CHAIN = re.compile(r"[vihb](?:(?:t|o|e)*[vihb])*")
_OBJECT = re.compile(r"e*t?[dkaonrmwsp]")


def verdict(words: list[str], polite: bool) -> Completeness:
    """Judge a whole utterance, without openers and closing "please".

    Args:
        words: Lower case, contractions expanded.
        polite: A "please" stood at the end: a noun alone is then a request.
    """
    tags = tag(words)
    if not tags:
        return Completeness.OPEN
    if tags[-1] == "p" and any(
        kind in "vi" and (word, words[-1]) in PHRASAL
        for word, kind in zip(words[-5:-1], tags[-5:-1], strict=True)
    ):
        tags = tags[:-1] if words[-2] in TAKING else re.sub("v$", "i", tags[:-1])
        tags += "e"
    core = tags.rstrip("e") or "e"
    subject = words[len(core) - 1] in _SUBJECTS and core[-2:-1] not in tuple("xmbh")
    subject = subject or (tags[-1] in "ro" and words[-2:-1] != [] and words[-2] in THINKING)
    if tags[-1] in _FINALS or subject or core[-1] in "cs":
        return _final(words, tags)
    if re.search(r"dk?a+$", tags) or (words[-1] == "possible" and "it" in words):
        return Completeness.OPEN  # "a new"
    if _finished(words, tags, polite):
        return Completeness.COMPLETE
    return Completeness.OPEN


def _final(words: list[str], tags: str) -> Completeness:
    """Ends in a word that leads on; a few sentences may."""
    start, last = _last_clause(tags), tags[-1]
    clause = tags[start:]
    if last == "b" and re.fullmatch(r"w[ane]*(?:r|d[an]*n)(?:p?d?[an]*n)*b", clause):
        asked = start > 0 and bool(_VERB.search(tags[:start]))
        return Completeness.COMPLETE if asked else Completeness.OPEN
    if last == "p" and words[-1] in _STRANDED and _strands(words[start:], clause):
        return Completeness.OPEN
    if last == "d" and words[-1] in ("this", "that", "these", "those", "several", "both", "some"):
        return Completeness.OPEN if tags[-2:-1] in ("v", "i", "b") else Completeness.HANGING
    return Completeness.HANGING


def _strands(words: list[str], tags: str) -> bool:
    """Whether the question word belongs to the preposition at the end: "who do I talk to"."""
    asked = words[0] in ("who", "what", "which", "where", "whom")
    return asked and bool(re.search(r".[xmb].*[rn].*[vi]p$", tags))


def _last_clause(tags: str) -> int:
    """Where the last clause starts: at a subordinator, a question word, or an inversion."""
    start = 0
    for place in range(1, len(tags)):
        kind, before = tags[place], tags[place - 1]
        if (
            kind == "s"
            or (kind == "w" and before not in ("p", "c", "w"))
            or (before == "c" and kind in "rwxmbhvi" and place > 1)
            or (kind == "r" and before == "n" and _AFTER_SUBJECT.match(tags, place + 1))
            or (kind in "xmb" and _INVERTED.match(tags, place) and _VERB.search(tags, start, place))
        ):
            start = place
    return start


def _finished(words: list[str], tags: str, polite: bool) -> bool:
    start = _last_clause(tags)
    if start == 0:
        if tags[0] == "s":
            return False  # "if I sell my car": what then?
        return _clause(words, tags, polite)
    clause_words, clause = words[start:], tags[start:]
    before_words, before = words[:start], tags[:start]
    if before[-1] == "c":
        before_words, before = before_words[:-1], before[:-1]
        if re.match(r"[hbvi](?!r)", clause):  # "we moved and have a car"
            return _predicate(clause_words, clause, False)
    if clause[0] in "sw" and not re.match(r"w[ane]*[xmb]", clause):
        # A subordinate clause: its verb must be there, and what it depends on as well.
        body = (clause_words[1:], clause[1:]) if clause[0] == "s" else (clause_words, clause)
        if not (_VERB.search(before) or before == "n") or not _embedded(*body):
            return False
        object_ = clause[0] == "w" or clause_words[0] in ("that", "if", "whether")
        whole = before_words + ["it"] * object_, before + "n" * object_
        return _finished(*whole, polite)
    return _clause(clause_words, clause, polite)


def _embedded(words: list[str], tags: str) -> bool:
    """A clause in a statement's order, perhaps after a question word that is its object."""
    if tags.startswith("w"):
        if re.fullmatch(r"wt[vihb].*", tags):
            return tags[2] == "i" or len(tags) > 3 or words[0] in ("what", "who", "whom")
        found = re.match(r"w[ane]*(?=[rd])", tags)
        fronted = _fronted(words)
        skip = found.end() if found else 1
        return _statement(words[skip:], tags[skip:], fronted) or (
            not found and _predicate(words, tags, False)
        )
    if tags[:1] in tuple("vihbmx"):  # a relative clause: "the car that hit me"
        return _predicate(words, tags, False)
    return _statement(words, tags, False)


def _clause(words: list[str], tags: str, polite: bool) -> bool:
    first = tags[0]
    if first == "w":
        return _question(words, tags)
    if first in "xmbh" and len(tags) > 1:
        return _inverted(words, tags, False, "")
    if words[0] in ("which", "whose", "whom") or re.match(r"p(?:w|d)[ane]*[xmb]", tags):
        found = re.search(r"[xmb]", tags)
        if found:
            return _inverted(words[found.start() :], tags[found.start() :], True, "which")
        return (
            words[0] in ("which", "whose")
            and bool(re.search(r"[vi]", tags[1:]))
            and (_predicate(words, tags, False))
        )
    if first in "vi" and words[0] in BASES:
        return len(tags) > 1 and _predicate(words, tags, False)
    if _VERB.search(tags) or "m" in tags:
        return _statement(words, tags, False)
    return _fragment(words, tags, polite)


def _fronted(words: list[str]) -> bool:
    """The question word is the object: "what do I need", "how long does it take"."""
    return words[0] in ("what", "who", "whom", "which", "whose") or (
        words[0] == "how" and len(words) > 1 and words[1] in DEGREES
    )


def _question(words: list[str], tags: str) -> bool:
    found = re.search(r"[xmbh]", tags)
    if words[:2] == ["what", "if"]:
        return _statement(words[2:], tags[2:], False)
    if words[:2] in (["what", "about"], ["how", "about"]):
        return tags[-1] in "nro" and len(words) > 2
    if found is None:  # "who pays for it", "what happens now", "how to park"
        if tags[1:2] == "t":
            return _embedded(words, tags)
        asks_subject = words[0] in ("who", "what", "how")
        return asks_subject and bool(_VERB.search(tags)) and _predicate(words, tags, False)
    if found.start() + 1 >= len(tags):
        return False
    at = found.start()
    placed = words[0] in ("where", "how", "when") and words[-1] in MOTION
    return _inverted(
        words[at:], tags[at:], _fronted(words) or placed, words[0] + " " + words[at - 1]
    )


def _inverted(words: list[str], tags: str, fronted: bool, asked: str) -> bool:
    """From the auxiliary on: "do I need a permit", "is the pool open"."""
    subject = re.match(r".e*(?:r|o|d?[ane]*n(?:c?d?[an]*n)*)", tags)
    if subject is None and len(words) > 1 and words[1].endswith("ing"):
        allowed = tags[0] == "b" and "a" in tags[2:]  # "is smoking allowed"
        return allowed or bool(re.search(r"[neo].*[vi]$", tags))  # "how does paying online work"
    if subject is None:
        return fronted and _predicate(words, tags, False)  # "who can help me"
    rest = tags[subject.end() :]
    if tags[0] == "b":
        return _be(words, tags, subject.end(), asked)
    if tags[0] == "h" and not re.match(r"e*[vihb]", rest):
        return False
    if not _VERB.search(rest):
        return False
    return _predicate(words[subject.end() :], rest, fronted)


def _be(words: list[str], tags: str, end: int, asked: str) -> bool:
    """A form of be and its subject: some questions end there, others want a predicate."""
    rest, subject = tags[end:], tags[1:end].strip("e")
    question, _, degree = asked.partition(" ")
    if words[1] in ("there", "this", "that", "it") and rest:
        return (
            rest[-1] in "naievo"
            and not rest.endswith("tv")
            and words[-1] not in ANNOUNCING
            and rest[0] != "s"
        )
    if rest.strip("e"):
        if re.match(r"e*[vih]", rest):
            passive = re.match(r"e*v", rest)
            if passive and not words[end + passive.end() - 1].endswith("ing"):
                return True  # "why was my card declined"
            return _predicate(words[end:], rest, question in ("what", "who", "which"))
        return "a" in rest or bool(asked and question != "which") or subject == "r"
    if words[-1] in ANNOUNCING or not question:
        return False
    if question in ("when", "which") or degree == "time":
        return bool(NEXT & set(words))
    return (
        subject != "r"
        or words[1] not in ("i", "we", "they", "he", "she", "there")
        or (question in ("who", "where", "how") and words[1] != "i")
    )


def _statement(words: list[str], tags: str, fronted: bool) -> bool:
    found = re.search(r"[vihbmx]", tags)
    if found is None or found.start() == 0:
        return False
    if not re.search(r"[rnoa]", tags[: found.start()]):
        return False
    return _predicate(words[found.start() :], tags[found.start() :], fronted)


def _predicate(words: list[str], tags: str, fronted: bool) -> bool:
    """From the first verb on: has the last verb of the chain what it needs?"""
    found = None
    for found in _CHAIN.finditer(tags):
        if tags[found.end() : found.end() + 1] != "t":
            break
    if found is None:
        return False
    after, verb = tags[found.end() :], words[found.end() - 1]
    kind = tags[found.end() - 1]
    linked = re.search(r"([vih])e*t[v]$", tags[: found.end()])
    if fronted and linked and words[linked.start()] not in LINKING:
        fronted = False  # "what do I bring to register": register what?
    if words[-1] in ANNOUNCING and kind in "hv":
        return False
    if len(after.strip("e")) == 0 and verb in CONTINUING:
        return False
    if kind in "hv" and re.fullmatch("e*a+", after):
        return False  # "my car has foreign"
    if verb in LEADING and after == "o":
        return False
    if verb in DITRANSITIVE and re.match(r"e*o", after):
        return bool(re.match(r"e*o[eanodkrwstp]", after)) and after[-1] != "o"
    if after.endswith("tv") or (kind == "b" and not after.strip("e")):
        return False
    if kind == "i":
        return True
    if after.startswith("e") and verb in RISING:
        return True
    passive = kind == "v" and "b" in tags[: found.end()] and not verb.endswith("ing")
    return (
        fronted
        or passive
        or bool(_OBJECT.match(after) if kind != "b" and verb not in MOTION else after)
    )


def _fragment(words: list[str], tags: str, polite: bool) -> bool:
    """No verb: "opening hours", "parking permit for residents"."""
    if polite:
        return "n" in tags
    if re.match(r"a[dn].*n$", tags) and words[0].endswith("ing"):
        return words[-1] not in ANNOUNCING  # "changing an appointment"
    bare = tags[0] in "na" and tags[-1] == "n" and words[-1] not in ANNOUNCING
    return bare and tags.count("n") >= 2 and not re.search(r"[wro]", tags)
