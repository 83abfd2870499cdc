"""How money is written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from apps.llm.grounding.facts import Fact, Kind, Rule, written
from apps.llm.grounding.units import ANY_CASE, NO_UNIT, NUMBER, ONE, START, counted, left_out

_CURRENCIES = {"$": "dollar", "£": "pound", "usd": "dollar", "gbp": "pound", "chf": "franc",
               "dollar": "dollar", "dollars": "dollar", "pfund": "pound", "pounds": "pound",
               "pound": "pound", "franken": "franc", "francs": "franc"}  # fmt: skip


def price(currency: str) -> Callable[[Decimal], tuple[str, ...]]:
    """Return what a number of units of a currency means."""
    return lambda value: (f"money:{currency}:{written(value * 100)}",)


def _money(match: re.Match[str], language: str) -> Sequence[Fact]:
    parts = match.groupdict()
    value = counted(match["n"], language)
    spread = price(_CURRENCIES.get(parts["currency"].lower(), "euro"))
    return [Fact(Kind.MONEY, "", spread(value), left_out(value), spread=spread)]


def _cents(match: re.Match[str], language: str) -> Sequence[Fact]:
    def spread(value: Decimal) -> tuple[str, ...]:
        return price("euro")(value / 100)

    return [Fact(Kind.MONEY, "", spread(counted(match["n"], language)), spread=spread)]


def _free(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.MONEY, "", ("money:free",))]


def _money_and_cents(match: re.Match[str], language: str) -> Sequence[Fact]:
    cents = Decimal(match["cents"] or match["cents2"] or 0) / 100
    spread = price("euro")
    value = counted(match["n"], language)
    return [Fact(Kind.MONEY, "", spread(value + cents), left_out(value + cents), spread=spread)]


MONEY = (
    Rule(re.compile(rf"(?P<currency>€|EUR|\$|£|USD|GBP|CHF) ?(?P<n>{NUMBER})(?:,-+)?"), _money),
    Rule(
        re.compile(
            rf"{START}(?P<n>{NUMBER}|{ONE})(?:,-+)?[ -]?(?:€|EUR|Euros?)(?!\w)"
            rf"(?: (?:(?:und|and) )?(?P<cents>\d{{1,2}})(?: (?:Cents?|ct)(?!\w))"
            rf"| (?P<cents2>\d{{2}}){NO_UNIT}(?!\w))?",
            ANY_CASE,
        ),
        lambda match, language: _money_and_cents(match, language),
        digits=False,
    ),
    Rule(re.compile(rf"{START}(?P<n>{NUMBER}) ?(?:Cents?|ct)(?!\w)", ANY_CASE), _cents),
    Rule(
        re.compile(
            rf"{START}(?P<n>{NUMBER}) ?(?P<currency>dollars?|\$|£|pounds?|Pfund|Franken|francs"
            r"|CHF|USD|GBP)(?!\w)",
            ANY_CASE,
        ),
        _money,
    ),
)

FREE = Rule(
    re.compile(
        r"(?<!nicht )(?<!not )\b(?:kostenlos\w*|kostenfrei\w*|gebührenfrei\w*|gratis|umsonst"
        r"|unentgeltlich|free of charge|for free|costs? nothing|kostet nichts|keine Gebühr"
        r"|no (?:charge|fee))\b",
        ANY_CASE,
    ),
    _free,
    digits=False,
    cues=("kosten", "kostet", "gebühr", "gratis", "umsonst", "unentgelt", "free", "nothing", "no "),
)
