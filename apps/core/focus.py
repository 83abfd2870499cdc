"""What a question is after (a price, a time, a place, papers), and what a sentence tells."""

from __future__ import annotations

import re
from enum import StrEnum

from apps.core.words import fold, words


class Focus(StrEnum):
    """The kinds of facts that callers ask for."""

    COST = "cost"
    DURATION = "duration"
    TIME = "time"
    PLACE = "place"
    DOCUMENTS = "documents"
    OTHER = "other"


# Tried in this order on the folded words of a question, joined by blanks; the first that fits
# counts. "how long is it valid" is a duration, "how long are you open" a time.
_ASKED = {
    "en": (
        (Focus.DURATION, r"how (?:long|many (?:minutes|days|weeks|hours|months)|quick\w*|fast)"),
        (Focus.COST, r"how much(?! time)|\bcosts?\b|\bprices?\b|\bfees?\b"
                     r"|\bfree\b|\bfine\b|\bpay for\b|\bhow many euros\b"),
        (Focus.DOCUMENTS, r"\bdocuments?\b|\bpapers\b|\bpaperwork\b|\bbring\b"
                          r"|what (?:do|would|will|else do) (?:i|we|you) need|\bneed from (?:me"
                          r"|us)\b"
                          r"|\bhand in\b|\bwhat is (?:required|needed)\b|\bwhich papers?\b"),
        (Focus.PLACE, r"\bwhere\b|which (?:room|address|street|counter|website|floor|bus)"),
        (Focus.TIME, r"\bwhen\b|\bwhat time\b|\bhow (?:soon|late|early|often)\b|\bdeadline\b"
                     r"|\btime limit\b|\bwhich (?:day|days|hours)\b|\bopening (?:hours|times)\b"
                     r"|\buntil\b|\bhow much time\b|\bhow old\b"),
    ),
    "de": (
        (Focus.DURATION, r"wie (?:lange|schnell|viele (?:minuten|tage|wochen|stunden|monate))"
                         r"|\bdauert\b|\bdauer\b"),
        (Focus.COST, r"wie ?viel\b(?! zeit)|\bkoste\w*|\bpreise?\b|\bgebuehr\w*|\bteuer\b"
                     r"|\bkostenlos\b|\bumsonst\b|\bbussgeld\b|\bstrafe\b|\beuro\b|\bbezahl\w*"),
        (Focus.DOCUMENTS, r"\bunterlagen\b|\bdokumente?\b|\bpapiere\b|\bmitbring\w*|\bbring\w*"
                          r"|was (?:brauche?|benoetige?)\b|\bnachweise?\b|\bvorlegen\b"
                          r"|was muss ich (?:dabei|mit)\w*"),
        (Focus.PLACE, r"\bwo\b|\bwohin\b|\bwelche[rsnm]? (?:raum|zimmer|adresse|strasse|schalter)"),
        (Focus.TIME, r"\bwann\b|wie (?:spaet|frueh|oft|alt)\b|\bfrist\w*|\buhrzeit\b"
                     r"|\bwelche[nrm]? tag"
                     r"|\boeffnungszeit\w*|\boffen\b|\bgeoeffnet\b|\bwie viel zeit\b"),
    ),
}  # fmt: skip

_TOLD = {
    "en": {
        Focus.COST: r"\beuros?\b|\bcents?\b|\bfree\b|\bfee\b|\bcosts?\b|\bno extra\b|\bpercent\b",
        Focus.DURATION: r"\b(?:minutes?|hours?|days?|weeks?|months?|years?|at once|same day)\b",
        Focus.PLACE: r"\bat (?:the|every|our|any|many|\w+ ?strasse|\w+allee)\b|\broom \d"
                     r"|\bfloor\b|\bstreet\b"
                     r"|\bon sonnenfurt|\bbehind\b|\bnext to\b|strasse\b|\bonline\b|\bstation\b",
        Focus.TIME: r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\bmorning\b|\bwithin\b"
                    r"|\bby (?:january|march|november|december)\b|\bdays?\b|\bmonths?\b|\byears?\b"
                    r"|\bminutes\b|\bopen\b|\bclosed\b|\bholidays\b",
        Focus.DOCUMENTS: r"\bbring\w*\b|\bneeds? (?:your|the|an?|both)\b|\bidentity card\b"
                         r"|\bpapers\b"
                         r"|\bcertificate\b|\breport\b|\bconfirmation number\b"
                         r"|\bpower of attorney\b",
    },
    "de": {
        Focus.COST: r"\beuro\b|\bcent\b|\bkostenlos\b|\bgebuehr\w*|\bkoste\w*|\bgratis\b"
                    r"|\bprozent\b",
        Focus.DURATION: r"\b(?:minuten?|stunden?|tage?n?|wochen?|monate?n?|jahre?n?|sofort)\b",
        Focus.PLACE: r"\b(?:am|im|in|beim|bei|an) (?:der|dem|den|raum|zimmer|schalter|\w+strasse)\b"
                     r"|\braum \d|\berdgeschoss\b|\bonline\b|sonnenfurt\.example|\w+strasse\b",
        Focus.TIME: r"\b\w+tags?\b|\buhr\b|\binnerhalb\b|\btage?n?\b|\bmonate?n?\b|\bjahre?n?\b"
                    r"|\bmorgens\b|\bgeoeffnet\b|\bgeschlossen\b|\bfrist\w*|\bminuten\b",
        Focus.DOCUMENTS: r"\bbring\w*|\bbrauch\w*|\bbenoetig\w*|\w*ausweis\b|\bpapiere\w*"
                         r"|\w*bescheinigung\b|\bvollmacht\b|\w*bericht\b|\bunterlagen\b",
    },
}  # fmt: skip

_ASKED_PATTERNS = {
    language: tuple((focus, re.compile(pattern)) for focus, pattern in patterns)
    for language, patterns in _ASKED.items()
}
_TOLD_PATTERNS = {
    language: {focus: re.compile(pattern) for focus, pattern in patterns.items()}
    for language, patterns in _TOLD.items()
}


def question_focus(question: str, language: str) -> Focus:
    """Return the kind of fact that a question asks for."""
    text = " ".join(words(question))
    for focus, pattern in _ASKED_PATTERNS[language]:
        if pattern.search(text):
            return focus
    return Focus.OTHER


def tells(text: str, focus: Focus, language: str) -> bool:
    """Return whether a text tells a kind of fact; none of its own tells ``OTHER``."""
    pattern = _TOLD_PATTERNS[language].get(focus)
    return pattern is not None and pattern.search(fold(text)) is not None


def told_by(sentence: str, language: str) -> frozenset[Focus]:
    """Return the kinds of facts that a sentence tells."""
    return frozenset(
        focus for focus in _TOLD_PATTERNS[language] if tells(sentence, focus, language)
    )
