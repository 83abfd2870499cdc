"""What may be said although it looks personal: an office's own numbers and addresses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from apps.core.redaction.base import Finding, Kind

# Mailboxes of a function and not of a person: RFC 2142, and what German offices use.
_ROLES = frozenset(
    re.findall(
        r"[\w-]+",
        """
        abuse anfrage anfragen bauamt beschwerde bewerbung billing booking buchhaltung
        buergeramt buergerbuero buergerservice buero contact datenschutz donotreply dsb einkauf
        empfang fahrerlaubnis feedback finanzamt fuehrerscheinstelle gemeinde gemeindeverwaltung
        help hilfe hostmaster impressum info jobs jugendamt karriere kfz kfz-zulassung kontakt
        kreis kundendienst kundenservice landkreis mail marketing newsletter no-reply noc
        noreply office ordnungsamt post postmaster poststelle press presse privacy rathaus
        reception rechnung redaktion sales security sekretariat service sozialamt stadt
        stadtverwaltung standesamt steueramt support team termin termine terminvergabe vertrieb
        verwaltung webmaster zulassung zulassungsstelle
        """,
    )
)
# Freephone, shared-cost, directory and premium numbers belong to organisations (BNetzA).
_SERVICE_NUMBERS = re.compile(r"0(?:800|180\d|900|137|138|118)|116\d{3}$")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def phone_digits(text: str) -> str:
    """Return a phone number's digits, Germany's ``+49`` and ``0049`` written as ``0``."""
    # "+49 (0) 171": the zero in brackets is for those who dial without the country.
    plain = re.sub(r"\(0\)", "", text) if text.lstrip(" (").startswith(("+", "00")) else text
    digits = re.sub(r"\D", "", plain)
    if text.lstrip(" (").startswith("+"):
        digits = "00" + digits
    return "0" + digits[4:] if digits.startswith("0049") else digits


# What stands before a name and names nobody; degrees do so only where "Dr" and the like stand too.
TITLES = frozenset(
    re.findall(
        r"\w+",
        """
        herr herrn frau fräulein familie dr prof professor professorin doktor dipl mr mrs ms miss
        mister
        """,
    )
)
_DEGREES = frozenset(("med", "jur", "phil", "rer", "nat", "ing", "h", "c"))
_NAME_WORD = re.compile(r"[^\W\d_]+")
_OWNER = re.compile(r"['’]s?(?!\w)")


def name_words(text: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without titles: ``petra musterfrau``."""
    found = [word.lower() for word in _NAME_WORD.findall(_OWNER.sub("", text))]
    titled = not TITLES.isdisjoint(found)
    none = TITLES | _DEGREES if titled else TITLES
    return tuple(word for word in found if word not in none)


def bare(text: str) -> str:
    """Return the letters and digits of a text, in capitals."""
    return "".join(sign for sign in text if sign.isalnum()).upper()


@dataclass(frozen=True, slots=True)
class PublicFacts:
    """What is not redacted.

    Attributes:
        mailboxes: Mail addresses, in lower case.
        domains: Domains all of whose mail addresses are public.
        numbers: Phone numbers, by their digits.
        number_starts: Beginnings of phone numbers: an office's extensions.
        others: Plates, accounts and other numbers, by their letters and digits.
        names: Words of persons' names, the family name last.
        functions: Whether mailboxes of a function (``info@``) and service numbers (``0800``) of
            anybody are public: they name no person.
    """

    mailboxes: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    number_starts: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    names: frozenset[tuple[str, ...]] = frozenset()
    functions: bool = False

    @classmethod
    def of(cls, entries: Iterable[str]) -> PublicFacts:
        """Read a list such as a space's ``public:``.

        Args:
            entries: ``info@stadt.example``; ``@stadt.example`` for all of a domain;
                ``06172 999-0``; ``06172 999*`` for all that begin so; a plate, an IBAN or another
                number as it is; ``Dr. Petra Musterfrau``, also for "Frau Musterfrau".
        """
        mailboxes, domains, numbers, starts, others = set(), set(), set(), [], set()
        names = set()
        for entry in (text.strip() for text in entries):
            if entry.startswith("@"):
                domains.add(entry[1:].lower())
            elif "@" in entry:
                mailboxes.add(entry.lower())
            elif entry.endswith("*") and phone_digits(entry):
                starts.append(phone_digits(entry))
            elif entry:
                numbers.add(phone_digits(entry))
                others.add(bare(entry))
                if not any(map(str.isdigit, entry)):
                    family, comma, given = entry.partition(",")
                    names.add(name_words(f"{given} {family}" if comma else entry))
        return cls(
            frozenset(mailboxes),
            frozenset(domains),
            frozenset(numbers - {""}),
            tuple(starts),
            frozenset(others - {""}),
            frozenset(names - {()}),
            functions=True,
        )

    def covers(self, finding: Finding) -> bool:
        """Whether something that was found may stay."""
        if finding.kind is Kind.EMAIL:
            box, _, domain = finding.value.partition("@")
            named = finding.value in self.mailboxes or domain in self.domains
            return named or (self.functions and box.translate(_UMLAUTS) in _ROLES)
        if finding.kind is Kind.PHONE:
            named = finding.value in self.numbers or finding.value.startswith(self.number_starts)
            return named or (self.functions and _SERVICE_NUMBERS.match(finding.value) is not None)
        if finding.kind is Kind.NAME:
            said = finding.value.split()
            return any(_is_name_of(said, name) for name in self.names)
        return finding.value in self.others


def _is_name_of(said: list[str], name: tuple[str, ...]) -> bool:
    """Whether some words name a person: their family name, and nothing that is not theirs.

    A given name alone may be another's, and another given name is another person's.
    """
    plain = [word if word in name else word.removesuffix("s") for word in said]  # "Petras"
    return name[-1] in plain and all(word in name for word in plain)


NOTHING_PUBLIC = PublicFacts()
"""For what callers say: everything that looks personal goes."""
