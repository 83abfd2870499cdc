"""How e-mail and web addresses, accounts, sections and plates are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.core.words import fold
from apps.llm.grounding.facts import Fact, Kind, Rule

_I = re.IGNORECASE
_TOP = (
    "de|com|org|net|eu|info|example|test|invalid|online|shop|app|gov|io|co|uk|us|at|ch|bayern"
    "|berlin|hamburg|nrw|koeln|saarland|biz|page|site|service|digital"
)
_DOMAIN = r"[a-z0-9äöüß](?:[a-z0-9äöüß-]*[a-z0-9äöüß])?(?:\.[a-z0-9äöüß-]+)*\.[a-z]{2,}"
_SPOKEN_DOMAIN = rf"[\wäöüß-]+(?: (?:dot|Punkt) [\w-]+)*? (?:dot|Punkt) (?:{_TOP})(?!\w)"
_MAIL_WORDS = re.compile(r"mail|schreiben|schicken|write|send", _I)
_NAMES = re.compile("[a-z]+")
_NO_MAILBOX = frozenset(
    _NAMES.findall(
        "us are is available online register book apply reach visit found look form them it here"
        " website site page homepage also and or appointment deregister"
    )
)


def _domain(text: str) -> str:
    text = re.sub(r" (?:dot|punkt) ", ".", text.lower())
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", text).rstrip("/.,;:!?)")


def _email(match: re.Match[str], language: str) -> Sequence[Fact]:
    box = re.sub(r" (?:dot|punkt|minus|dash|hyphen) ", ".", match["box"].lower())
    spoken = match["at"].strip().lower() == "at"
    # "The form is at sonnenfurt.example": English says so of places, too.
    place = language == "en" and not _MAIL_WORDS.search(match.string)
    if spoken and (place or box in _NO_MAILBOX):
        return ()
    domain = _domain(match["domain"])
    return [Fact(Kind.EMAIL, "", (f"email:{box}@{domain}",))]


def _web(match: re.Match[str], language: str) -> Sequence[Fact]:
    whole = _domain(match.group())
    host = whole.partition("/")[0]
    return [Fact(Kind.WEB, "", (f"web:{whole}",), (f"web:{host}",))]


def _account(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.ACCOUNT, "", (f"account:{re.sub(r'[^0-9A-Z]', '', match.group().upper())}",))]


# --- sections of laws

_LAW = (
    r"[A-ZÄÖÜ][a-zäöü]*[A-ZÄÖÜ][A-Za-zÄÖÜäöü]*"
    r"|[A-ZÄÖÜ][a-zäöüß]*(?:-[A-ZÄÖÜ][a-zäöüß]+)*(?:gesetz(?:es|buchs?)?|ordnung)"
    r"|(?:[A-Z][a-z]+ )+(?:Act|Code|Ordinance|Regulations?)"
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def _arabic(text: str) -> str:
    if not text[0].isalpha():
        return text.lower()
    values = [_ROMAN[sign] for sign in text.upper()]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return str(sum(-a if a < b else a for a, b in pairs))


def _section(match: re.Match[str], language: str) -> Sequence[Fact]:
    levels = [_arabic(match["n"]), match["sub"] or match["sub2"], match["sentence"], match["point"]]
    law = fold(match["law"] or "")
    known, path = [], "section"
    for name, level in zip(("", "sub", "sentence", "point"), levels, strict=True):
        if level:
            path = f"{path}:{name}{level}"
            known.append(path)
    key = f"{path}@{law}" if law else path
    laws = [f"{path}@{law}" for path in known] if law else []
    sub = [f"subsection:{levels[1]}"] if levels[1] else []
    return [Fact(Kind.SECTION, "", (key,), (*known, *laws, *sub))]


def _subsection(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.SECTION, "", (f"subsection:{match['n']}",))]


# --- plates


def _plate(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.PLATE, "", (f"id:{re.sub(r'[^0-9A-ZÄÖÜ]', '', match.group().upper())}",))]


CONTACTS = (
    Rule(
        re.compile(
            rf"(?P<box>[\w.+-]+)(?P<at> ?(?:@|\(at\)|\[at\]|klammeraffe) ?)"
            rf"(?P<domain>{_SPOKEN_DOMAIN}|{_DOMAIN})",
            _I,
        ),
        _email,
        digits=False,
        cues=("@", "(at)", "[at]", "klammeraffe"),
    ),
    Rule(
        re.compile(
            r"(?P<box>[\w+-]+(?:(?:\.| (?:dot|Punkt|minus|dash|hyphen) )[\w+-]+)*)"
            r"(?P<at> (?:at|ät) )"
            rf"(?P<domain>{_SPOKEN_DOMAIN}|{_DOMAIN})",
            _I,
        ),
        _email,
        digits=False,
        cues=(" at ", " ät "),
    ),
    Rule(
        re.compile(rf"(?:https?://|www\.|(?<![\w@.]))(?:{_DOMAIN})(?:/[^\s,;!?)]*)?(?!\w)"),
        _web,
        digits=False,
    ),
    Rule(
        re.compile(rf"\b(?:www (?:dot|Punkt) )?{_SPOKEN_DOMAIN}", _I),
        _web,
        digits=False,
        cues=(" dot ", " punkt "),
    ),
    Rule(re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), _account),
    Rule(
        re.compile(
            r"(?:§§? ?|\bParagra(?:f|ph)(?:en)? |\bArt(?:ikels?|icles?|\.) ?|\b[Ss]ections? "
            r"|\b[Ss]ec\. ?|\bAbschnitte?s? |\b[Cc]lauses? )(?P<n>\d+[a-z]?|[IVXLC]+)(?!\w)"
            r"(?:,? ?(?:Abs(?:atz|\.)|[Ss]ubsection|[Pp]ara(?:graph|\.)) ?\(?(?P<sub>\d+)\)?"
            r"|\((?P<sub2>\d+)\))?"
            r"(?:,? (?:Satz|sentence) (?P<sentence>\d+))?"
            r"(?:,? (?:Nr\.|Nummer|no\.|number) ?(?P<point>\d+))?"
            rf"(?: (?:der |des |of the )?(?P<law>{_LAW})(?!\w))?"
        ),
        _section,
        digits=False,
        cues=("§", "paragra", "art", "sec", "abschnitt", "clause"),
    ),
    Rule(
        re.compile(r"\b(?:Abs(?:atz|\.)|[Ss]ubsection) ?\(?(?P<n>\d+)\)?"),
        _subsection,
        cues=("abs", "subsection"),
    ),
    Rule(re.compile(r"\b(?:[A-ZÄÖÜ][ ,-]+){2,5}(?:\d ?){1,4}(?:[EH]\b)?(?!\w)"), _plate),
    Rule(re.compile(r"\b[A-ZÄÖÜ]{1,3}[- ][A-Z]{1,2}[- ]?\d{1,4} ?[EH]?\b"), _plate),
)
"""These go first."""
