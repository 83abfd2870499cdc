"""The subject of a question as a phrase, and questions about it: the grammar of follow-ups.

"How do I register a motorcycle?" is about *to register a motorcycle*, "Mein Auto wurde gestohlen,
was muss ich tun?" about *mein Auto wurde gestohlen*. From such a phrase and what a caller is
after, a full question is made: "How much does it cost to register a motorcycle?"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from apps.core.focus import Focus


class Kind(StrEnum):
    """The grammar of a topic's phrase."""

    ACTION = "action"  # en: "register a motorcycle"; de: "ein Motorrad anzumelden"
    THING = "thing"  # a noun phrase
    CASE = "case"  # a clause: "my car was stolen"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a question is about."""

    kind: Kind
    phrase: str


# Tried in this order on a question without its question mark; the named group is the phrase.
_TOPICS = {
    "en": (
        (Kind.CASE, r"(?P<p>(?:i|my|we|our|someone|the)\b.+), (?:what|how|do|can|when|where|who"
                    r"|is|am"
                    r"|should)\b.*"),
        (Kind.CASE, r"(?P<p>(?:i|my|we|our|someone|the)\b.+?) (?:what|how|when|where|who)\b.*"),
        (Kind.ACTION, r"(?:how|where|when|why) (?:do|can|could|should|would|must) (?:i|we|you|one)"
                      r" (?P<p>.+?)(?: (?:and|or) (?:how|what|where|when)\b.*)?"),
        (Kind.ACTION, r"(?:what|which \w+|what \w+|how much|how long)\b.*? to (?P<p>(?!do\b"
                      r"|have\b|pay\b"
                      r"|bring\b|the\b|a\b|an\b|my\b|your\b|this\b|get there\b)\w+ .+)"),
        (Kind.ACTION, r"(?:can|may|could) (?:i|we|you|someone else|somebody else) (?P<p>.+)"),
        (Kind.THING, r"(?:what|which)\b.*? (?:fees?|price|costs?|charge|tax) (?:is |are )?for"
                     r" (?P<p>.+)"),
        (Kind.THING, r"(?:what|which \w+)\b.*? (?:need|bring|want|necessary"
                     r"|required)(?: with me)? for"
                     r" (?P<p>.+)"),
        (Kind.THING, r"(?:what|how much|how long) (?:do|does|will|would) (?P<p>.+?)"
                     r" (?:cost|take|last)(?: me)?"),
        (Kind.THING, r"how (?:do|does) (?P<p>.+?) work"),
        (Kind.THING, r"(?:what|where|when|how much|how high|how long) (?:is|are)"
                     r" (?P<p>(?:the|a|an|my|your|our) .+?)(?: (?:and|due|valid|open)\b.*)?"),
    ),
    "de": (
        (Kind.CASE, r"(?P<p>(?:ich|mein\w*|wir|unser\w*|jemand|der|die|das)\b.+), (?:was|wie|wo"
                    r"|wann"
                    r"|wer|brauche|kann|muss|soll)\b.*"),
        (Kind.CASE, r"(?P<p>(?:ich|mein\w*|wir|unser\w*|jemand|der|die|das)\b.+?) (?:was|wie|wo"
                    r"|wann"
                    r"|wer)\b.*"),
        (Kind.ACTION, r"(?:was|welche \w+|wie viel)\b.*?, um (?P<p>.+ (?:\w+zu\w+en|zu \w+n))"),
        (Kind.ACTION, r"(?:was|wie|wie viel|wie lange)\b.*? es,? (?P<p>.+ (?:\w+zu\w+en|zu \w+n))"),
        (Kind.THING, r"(?:was|welche \w+|wie hoch|wie viel)\b.*? für (?P<p>.+)"),
        (Kind.THING, r"(?:was|wie viel|wie lange) (?:kostet|kosten|dauert|dauern) (?P<p>(?!es\b"
                     r"|das\b).+)"),
        (Kind.THING, r"wie funktionier(?:t|en) (?P<p>.+)"),
        (Kind.THING, r"(?:was|wo|wann|wie) (?:ist|sind) (?P<p>(?:der|die|das|mein\w*|ihr\w*) .+?)"
                     r"(?: (?:und|fällig|geöffnet|zugänglich)\b.*)?"),
        (Kind.THING, r"(?:wie|wo|wann) (?:bekomme|kriege|erhalte|finde) ich (?P<p>.+?)"
                     r"(?:,? (?:und|um)\b.*)?"),
    ),
}  # fmt: skip

_GERMAN_VERB = re.compile(
    r"(?:wie|wo|wann|bis wann) (?P<verb>\w+e) ich (?P<rest>.+?)(?: und w\w+ .*)?$", re.IGNORECASE
)
_GERMAN_MODAL = re.compile(
    r"(?:(?:wie|wo|wann|bis wann) )?(?:kann|muss|darf|soll|könnte|möchte) (?:ich|man|wir"
    r"|jemand anderes) (?P<rest>.+) (?P<verb>\w+n)$",
    re.IGNORECASE,
)
_ZU = re.compile(r"^(\w{2,6}?)zu(\w+en|\w+n)$")
_PARTICLES = ("ab", "an", "auf", "aus", "ein", "mit", "nach", "um", "vor", "weg", "zurück")

_ASK = {
    "en": {
        Focus.COST: {
            Kind.ACTION: "How much does it cost to {p}?",
            Kind.THING: "How much does {p} cost?",
            Kind.CASE: "{p}, how much does that cost?",
        },
        Focus.DURATION: {
            Kind.ACTION: "How long does it take to {p}?",
            Kind.THING: "How long does {p} take?",
            Kind.CASE: "{p}, how long does that take?",
        },
        Focus.TIME: {
            Kind.ACTION: "When can I {p}?",
            Kind.THING: "When is {p}?",
            Kind.CASE: "{p}, by when do I have to report that?",
        },
        Focus.PLACE: {
            Kind.ACTION: "Where can I {p}?",
            Kind.THING: "Where is {p}?",
            Kind.CASE: "{p}, where do I have to go?",
        },
        Focus.DOCUMENTS: {
            Kind.ACTION: "Which documents do I need to {p}?",
            Kind.THING: "Which documents do I need for {p}?",
            Kind.CASE: "{p}, which documents do I need?",
        },
    },
    "de": {
        Focus.COST: {
            Kind.ACTION: "Was kostet es, {p}?",
            Kind.THING: "Was kostet {p}?",
            Kind.CASE: "{p}, was kostet das?",
        },
        Focus.DURATION: {
            Kind.ACTION: "Wie lange dauert es, {p}?",
            Kind.THING: "Wie lange dauert {p}?",
            Kind.CASE: "{p}, wie lange dauert das?",
        },
        Focus.TIME: {
            Kind.ACTION: "Wann ist es möglich, {p}?",
            Kind.THING: "Wann ist {p}?",
            Kind.CASE: "{p}, bis wann muss ich das melden?",
        },
        Focus.PLACE: {
            Kind.ACTION: "Wo ist es möglich, {p}?",
            Kind.THING: "Wo ist {p}?",
            Kind.CASE: "{p}, wo muss ich hin?",
        },
        Focus.DOCUMENTS: {
            Kind.ACTION: "Welche Unterlagen brauche ich, um {p}?",
            Kind.THING: "Welche Unterlagen brauche ich für {p}?",
            Kind.CASE: "{p}, welche Unterlagen brauche ich?",
        },
    },
}

_PATTERNS = {
    language: tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in patterns)
    for language, patterns in _TOPICS.items()
}


def topic_of(question: str, language: str) -> Topic | None:
    """Return what a question is about, or None when its grammar does not tell."""
    text = " ".join(question.split()).rstrip("?!. ")
    if language == "de" and (action := _german_action(text)) is not None:
        return action
    for kind, pattern in _PATTERNS[language]:
        match = pattern.fullmatch(text)
        if match is not None:
            return Topic(kind, match["p"].strip(" ,"))
    return None


def _german_action(text: str) -> Topic | None:
    """Return the infinitive of "Wie melde ich mein Auto ab?" and "Kann ich es abmelden?"."""
    match = _GERMAN_MODAL.fullmatch(text)
    if match is not None:
        if match["rest"].endswith(" machen"):  # "die Hauptuntersuchung machen lassen"
            return Topic(Kind.THING, match["rest"].removesuffix(" machen"))
        return Topic(Kind.ACTION, f"{match['rest']} {_with_zu(match['verb'])}")
    match = _GERMAN_VERB.fullmatch(text)
    if match is None or match["verb"].lower() in ("bekomme", "kriege", "erhalte", "finde"):
        return None
    rest, verb = match["rest"], _infinitive(match["verb"].lower())
    main, comma, clause = rest.partition(",")
    before, _, last = main.rpartition(" ")
    if last.lower() in _PARTICLES:
        return Topic(Kind.ACTION, f"{before}{comma}{clause}{comma} {last.lower()}zu{verb}")
    return Topic(Kind.ACTION, f"{rest} zu {verb}")


def _infinitive(verb: str) -> str:
    """Return the infinitive of a regular verb's first person: melde, ändere, wechsle."""
    if verb.endswith("dere"):
        return verb[:-1] + "n"
    if verb.endswith("le") and verb[-3:-2] not in "aeiouäöül":
        return verb[:-2] + "eln"
    return verb + "n"


def whether(topic: Topic, language: str) -> str:
    """Return the question whether an action is possible."""
    return (
        f"Kann ich {plain_action(topic.phrase)}?" if language == "de" else f"Can I {topic.phrase}?"
    )


def plain_action(phrase: str) -> str:
    """Return "mein Auto abmelden" for the German topic "mein Auto abzumelden"."""
    head, _, verb = phrase.rpartition(" ")
    if head.endswith("zu"):
        return f"{head.removesuffix('zu').strip()} {verb}".strip()
    verb = _ZU.sub(r"\1\2", verb)
    return f"{head} {verb}".strip()


def _with_zu(verb: str) -> str:
    """Return "abzumelden" for "abmelden" and "zu laden" for "laden"."""
    for particle in _PARTICLES:
        rest = verb.removeprefix(particle)
        # "anmelden" splits, "angeln" and "antworten" do not matter here.
        if rest != verb and len(rest) > 4:
            return f"{particle}zu{rest}"
    return f"zu {verb}"


def ask_about(focus: Focus, topic: Topic, language: str) -> str:
    """Return a full question about a topic; ``focus`` must not be OTHER."""
    text = _ASK[language][focus][topic.kind].format(p=topic.phrase)
    return text[:1].upper() + text[1:]
