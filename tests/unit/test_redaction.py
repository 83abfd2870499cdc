"""Personal data is found as it is written and as it is spoken; public figures stay."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.redaction import (
    NOTHING_PUBLIC,
    PLACEHOLDER,
    Finding,
    Kind,
    PublicFacts,
    counts,
    find,
    redact,
)

FOUND = [
    ("Schreiben Sie an anna.mueller@firma.de.", "email", "anna.mueller@firma.de"),
    ("anna(at)firma.de", "email", "anna@firma.de"),
    ("anna [at] firma [dot] de", "email", "anna@firma.de"),
    ("anna punkt mueller ät firma punkt de", "email", "anna.mueller@firma.de"),
    ("it is anna dot miller at company dot com", "email", "anna.miller@company.com"),
    ("max unterstrich muster klammeraffe web punkt de", "email", "max_muster@web.de"),
    ("Rufen Sie 0171 1234567 an", "phone", "01711234567"),
    ("Tel.: +49 (0) 6172 / 999-0", "phone", "061729990"),
    ("0049 30 1234567", "phone", "0301234567"),
    ("call me at (555) 123-4567", "phone", "5551234567"),
    ("Telefon 12345-67", "phone", "1234567"),
    ("meine nummer ist null eins sieben eins zwei drei vier fünf sechs", "phone", "017123456"),
    ("null eins sieben eins dreiundzwanzig fünfundvierzig", "phone", "01712345"),
    ("zero one seven one double two three four five", "phone", "017122345"),
    ("plus vier neun eins sieben eins zwei drei vier fünf", "phone", "01712345"),
    ("DE89 3704 0044 0532 0130 00", "iban", "DE89370400440532013000"),
    ("DE89370400440532013001", "iban", "DE89370400440532013001"),  # a slip, and still somebody's
    ("GB82 WEST 1234 5698 7654 32", "iban", "GB82WEST12345698765432"),
    ("Karte 4111 1111 1111 1111", "card", "4111111111111111"),
    ("378282246310005", "card", "378282246310005"),
    ("Das Kennzeichen ist B-AB 1234.", "plate", "BAB1234"),
    ("HH XY 99E steht im Hof", "plate", "HHXY99E"),
    ("mein kennzeichen ist berta strich anton berta eins zwei drei", "plate", "BAB123"),
    ("Steuer-ID 86 095 742 719", "id", "86095742719"),
    ("Sozialversicherungsnummer 65 170839 J 003", "id", "65170839J003"),
    ("Personalausweisnummer: L01X00T471", "id", "L01X00T471"),
    ("customer number is 4711-0815", "id", "47110815"),
    ("Steuernummer 12/345/67890", "id", "1234567890"),
    ("WVWZZZ1JZXW000001", "id", "WVWZZZ1JZXW000001"),
    ("SSN 078-05-1120", "id", "078051120"),
    ("Er ist geboren am 12.03.1980.", "birth date", "12031980"),
]

KEPT = [
    "Montag 08:00-16:00 Uhr und 13.30 – 18.00 Uhr",
    "vom 01.02.2024 bis 03.04.2024, 2024-05-06, im Jahr 2023/2024",
    "30,60 Euro, 1.000.000 Euro, 12 %, € 16,80",
    "§ 21 Abs. 1 Nr. 3 StVG, Zimmer 5, 12345 Berlin",
    "Das Blatt DIN-A 4, ISO-9001, EN-B 12",
    "Wählen Sie 112, 110 oder 115.",
    "zwischen zwanzig und dreißig, vierzig, fünfzig Leute",
    "eins zwei drei vier, und dann eins zwei",
    "The form is at example dot com.",
    "0.1019 (4.2) und 0,1147 (6,7)",
    "Artikel 4711-0815-2024 kostet nichts",
    "https://sonnenfurt.example/seite/0171123456789",
    "Die eVB-Nummer ist ein siebenstelliger Code.",
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND, ids=[text for text, _, _ in FOUND])
def test_it_is_found_for_what_it_is(text, kind, value):
    findings = find(text)
    assert [(finding.kind.value, finding.value) for finding in findings] == [(kind, value)]


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_personal_stays(text):
    assert redact(text).text == text


def test_what_was_found_is_replaced_in_its_place():
    told = redact("Anna, 0171 1234567, anna@firma.de.")
    assert told.text == "Anna, [phone], [email]."
    assert counts(told.findings) == {"phone": 1, "email": 1}
    assert PLACEHOLDER.findall(told.text) == ["[phone]", "[email]"]


def test_a_date_beside_a_phone_number_does_not_hide_it():
    assert redact("Tel. 0171 1234567 01.02.2024").text == "Tel. [phone] 01.02.2024"


def test_a_finding_never_shows_its_value():
    assert "1234567" not in repr(find("0171 1234567"))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("06172 999-0", "Sie erreichen uns unter +49 6172 9990."),
        ("06172 999-0", "null sechs eins sieben zwei neun neun neun null"),
        ("06172 999*", "Zimmer 5: 06172 999-117"),
        ("kfz@sonnenfurt.example", "KFZ@Sonnenfurt.example"),
        ("@sonnenfurt.example", "anna.mueller@sonnenfurt.example"),
        ("SON-AB 123", "Ein Kennzeichen wie SON-AB 123"),
        ("DE89 3704 0044 0532 0130 00", "an DE89370400440532013000"),
    ],
)
def test_what_an_office_calls_public_stays_however_it_is_written(entry, text):
    assert redact(text).text != text or entry.startswith("06172 999*")
    assert redact(text, PublicFacts.of([entry])).text == text


def test_a_domain_makes_nobody_elses_address_public():
    public = PublicFacts.of(["@stadt.example"])
    assert redact("anna@notstadt.example", public).text == "[email]"


def test_mailboxes_of_a_function_and_service_numbers_stay_in_documents_only():
    text = "info@firma.de, 0800 123 4567"
    assert redact(text, PublicFacts.of([])).text == text
    assert redact(text, NOTHING_PUBLIC).text == "[email], [phone]"


def test_what_another_detector_finds_is_taken_out_too():
    text = "Anna hat 0171 1234567"
    name = Finding(Kind.ID, 0, 4, "Anna")
    overlapping = Finding(Kind.ID, 5, 14, "hat 0171")
    assert redact(text, more=[name]).text == "[id] hat [phone]"
    assert redact(text, more=[overlapping]).text == "Anna [id]"


@given(st.text(alphabet="0123456789 .-/+()@abDE[]äß\n", max_size=200))
def test_any_text_keeps_all_that_was_not_found(text):
    findings = find(text)
    assert all(a.end <= b.start for a, b in pairwise(findings))
    rest, at = "", 0
    for finding in findings:
        rest += text[at : finding.start] + f"[{finding.kind}]"
        at = finding.end
    assert redact(text).text == rest + text[at:]


@pytest.mark.parametrize(
    "piece",
    ["1 ", "0-", "a.", "a@", "DE", "eins ", "A-", "null eins ", "x at y dot ", "(", "1.1.", "12/"],
)
def test_no_text_takes_long(piece):
    started = time.process_time()
    find(piece * (20_000 // len(piece)))
    assert time.process_time() - started < 2.0
