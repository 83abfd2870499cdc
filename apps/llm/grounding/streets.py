"""How street addresses are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.core.words import fold
from apps.llm.grounding.facts import Fact, Kind, Rule

_I = re.IGNORECASE
_NAMES = re.compile("[a-z]+")
_NO_STREET = frozenset(
    _NAMES.findall(
        "einbahnstrasse landstrasse bundesstrasse spielstrasse seitenstrasse nebenstrasse"
        " fahrradstrasse autostrasse querstrasse kraftfahrstrasse privatstrasse"
    )
)
_ROOMS = (
    r"Zimmer|Schalter|Raum|Stock|Etage|Teil|Paragra\w+|Nummer|Gebäude|Halle|Gleis|Feld|Abschnitt"
    r"|Artikel|Absatz|Haus|Eingang|Automaten?|Tag|Jahr|Internet|Alter|Klasse|Januar|Februar|März"
    r"|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
)
_SUFFIX = (
    r"(?:stra(?:ß|ss)e|str\.?|gasse|allee|chaussee|weg|platz|ring|damm|ufer|markt|hof|steig|park)"
)
_STREET_EN = r"(?:Street|Road|Avenue|Lane|Square|Drive|Boulevard|St\.|Rd\.|Ave\.)"
_NO = r"(?P<no>\d+(?: ?[a-z](?!\w))?)"


def _address(match: re.Match[str], language: str) -> Sequence[Fact]:
    parts = match.groupdict()
    street = re.sub(r"str\.?$", "strasse", fold(match["street"].strip()))
    street = re.sub(r"[^a-z0-9]", "", re.sub(r"\bst\.$", "street", street))
    if street in _NO_STREET and not parts.get("no"):
        return ()
    no = re.sub(r"\s", "", parts.get("no") or "").lower()
    key = f"address:{street}:{no}" if no else f"address:{street}"
    return [Fact(Kind.ADDRESS, "", (key,), (f"address:{street}",))]


def _cues(text: str) -> tuple[str, ...]:
    """Return what a text must hold, one of them at least, for a rule to be tried."""
    return tuple(text.split())


_CUES_EN = _cues("street road avenue lane square drive boulevard st. rd. ave.")

STREETS = (
    Rule(
        re.compile(rf"\b(?P<street>[\wäöüß-]{{2,}}{_SUFFIX}) {_NO}\b", _I),
        _address,
        cues=_cues("str gasse allee chaussee weg platz ring damm ufer markt hof steig park"),
    ),
    Rule(
        re.compile(
            r"\b(?P<street>[A-ZÄÖÜ][\w-]+ (?:Straße|Strasse|Str\.|Platz|Weg|Allee"
            rf"|{_STREET_EN})) {_NO}\b"
        ),
        _address,
        cues=(*_cues("stra str. platz weg allee"), *_CUES_EN),
    ),
    Rule(
        re.compile(rf"\b{_NO},? (?P<street>[A-Z][\w-]+ {_STREET_EN})(?!\w)"),
        _address,
        cues=_CUES_EN,
    ),
    Rule(
        re.compile(
            rf"\b(?P<street>(?:Am|An der|An den|Auf dem|Auf der|In der|Im|Zum|Zur|Unter den"
            rf"|Hinter dem) (?!(?:{_ROOMS})\b)[A-ZÄÖÜ][a-zäöüß]+) {_NO}\b"
            r"(?![.:]\d)(?! ?(?:Uhr|Euro|%))"
        ),
        _address,
    ),
    Rule(
        re.compile(r"\b(?P<street>[A-ZÄÖÜ][\w-]{2,}(?:stra(?:ß|ss)e|gasse|allee|chaussee))\b"),
        _address,
        digits=False,
        cues=("stra", "gasse", "allee", "chaussee"),
    ),
    Rule(
        re.compile(rf"\b(?P<street>[A-Z][a-z-]+ {_STREET_EN})(?!\w)"),
        _address,
        digits=False,
        cues=_CUES_EN,
    ),
)
