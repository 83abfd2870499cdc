"""Numbers and abbreviations are written out as people say them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.llm.numerals import cardinal, ordinal, year
from apps.llm.spoken import spoken_form


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("en", "It costs 30 euros 60.", "It costs thirty euros sixty."),
        ("en", "It costs 1 euro or €12.80.", "It costs one euro or twelve euros eighty."),
        ("en", "From 8:00 to 12:05.", "From eight o'clock to twelve oh five."),
        ("en", "Since January 1st 2015.", "Since January first twenty fifteen."),
        ("en", "By November 30th.", "By November thirtieth."),
        ("en", "Call 09999 4200.", "Call zero nine nine nine nine, four two zero zero."),
        ("en", "Call 112 first.", "Call one one two first."),
        ("en", "Plate SO-AB 123.", "Plate S O A B one two three."),
        ("en", "About 1,250 kilos, e.g. 12.5 percent.",
         "About one thousand two hundred and fifty kilos, for example twelve point five percent."),
        ("en", "The 21st and the 12th.", "The twenty-first and the twelfth."),
        ("en", "In 1905 and 2007.", "In nineteen oh five and two thousand and seven."),
        ("en", "100 km/h & more", "one hundred kilometres per hour and more"),
        ("de", "Das kostet 30 Euro 60.", "Das kostet dreißig Euro sechzig."),
        ("de", "Das kostet 12,80 € oder 1 Euro.",
         "Das kostet zwölf Euro achtzig oder ein Euro."),
        ("de", "Ab 1.250 Euro.", "Ab eintausendzweihundertfünfzig Euro."),
        ("de", "Um 8:30 Uhr oder 13 Uhr.", "Um acht Uhr dreißig oder dreizehn Uhr."),
        ("de", "Am 1. Januar 2015.", "Am ersten Januar zweitausendfünfzehn."),
        ("de", "Der 3. Oktober.", "Der dritte Oktober."),
        ("de", "Im 2. Stock.", "Im zweiten Stock."),
        ("de", "Seit 1999, z. B. 1 Monat.",
         "Seit neunzehnhundertneunundneunzig, zum Beispiel ein Monat."),
        ("de", "Wählen Sie 112.", "Wählen Sie eins eins zwei."),
        ("de", "Etwa 99,9 %.", "Etwa neunundneunzig Komma neun Prozent."),
        ("de", "Zimmer Nr. 5", "Zimmer Nummer fünf"),
        ("de", "Kennzeichen SO-AB 123", "Kennzeichen S O A B eins zwei drei"),
        ("de", "Nach § 5 Abs. 2 Nr. 3.", "Nach Paragraf fünf Absatz zwei Nummer drei."),
        ("de", "Die §§ 5 und 6.", "Die Paragrafen fünf und sechs."),
        ("de", "Art. 6, diese Art.", "Artikel sechs, diese Art."),
        ("de", "An kfz-amt@sonnenfurt.example.",
         "An kfz Bindestrich amt at sonnenfurt Punkt example."),
        ("de", "Auf https://www.sonnenfurt.example/termine2.",
         "Auf w w w Punkt sonnenfurt Punkt example Schrägstrich termine zwei."),
        ("de", "IBAN DE89 3704 0044 0532 0130 00.",
         "IBAN D E acht neun, drei sieben null vier, null null vier vier, null fünf drei zwei,"
         " null eins drei null, null null."),
        ("de", "In der Hauptstr. 12b.", "In der Hauptstraße zwölf b."),
        ("de", "Bis zum 01.02.2026.", "Bis zum ersten Februar zweitausendsechsundzwanzig."),
        ("de", "Der 3.10. ist frei.", "Der dritte Oktober ist frei."),
        ("de", "+49 30 12", "plus vier neun, drei null, eins zwei"),
        ("en", "Under § 12(3).", "Under section twelve, subsection three."),
        ("en", "See Art. 6 and Sec. 3.", "See article six and section three."),
        ("en", "Write to info_2@sonnenfurt.example.",
         "Write to info underscore two at sonnenfurt dot example."),
        ("en", "On www.sonnenfurt.example/dates.",
         "On w w w dot sonnenfurt dot example slash dates."),
        ("en", "IBAN GB29 NWBK 6016 1331 9268 19",
         "IBAN G B two nine, N W B K, six zero one six, one three three one, nine two six eight,"
         " one nine"),
        ("en", "At 12a Mill Lane.", "At twelve a Mill Lane."),
        ("en", "Nothing to write out.", "Nothing to write out."),
        ("en", "12345678", "one two three four five six seven eight"),
    ],
)  # fmt: skip
def test_a_sentence_is_written_as_it_is_said(language: str, text: str, spoken: str) -> None:
    assert spoken_form(text, language) == spoken


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (21, "twenty-one", "einundzwanzig"),
        (101, "one hundred and one", "einhunderteins"),
        (1000, "one thousand", "eintausend"),
        (999_999, "nine hundred and ninety-nine thousand nine hundred and ninety-nine",
         "neunhundertneunundneunzigtausendneunhundertneunundneunzig"),
    ],
)  # fmt: skip
def test_cardinals(number: int, english: str, german: str) -> None:
    assert cardinal(number, "en") == english
    assert cardinal(number, "de") == german


def test_ordinals_and_years() -> None:
    assert [ordinal(n, "en") for n in (1, 2, 3, 5, 20, 33)] == [
        "first", "second", "third", "fifth", "twentieth", "thirty-third",
    ]  # fmt: skip
    assert [ordinal(n, "de", "en") for n in (1, 3, 7, 8, 20)] == [
        "ersten", "dritten", "siebten", "achten", "zwanzigsten",
    ]  # fmt: skip
    assert (year(1900, "en"), year(2024, "en")) == ("nineteen hundred", "twenty twenty-four")
    assert (year(1900, "de"), year(2024, "de")) == ("neunzehnhundert", "zweitausendvierundzwanzig")


def test_numbers_beyond_words_are_refused() -> None:
    with pytest.raises(ValueError, match="no words"):
        cardinal(1_000_000, "en")
    with pytest.raises(ValueError, match="no words"):
        cardinal(-1, "de")


@given(st.integers(0, 999_999))
def test_different_numbers_sound_different(number: int) -> None:
    other = (number + 1) % 1_000_000
    for language in ("de", "en"):
        assert cardinal(number, language) != cardinal(other, language)


@pytest.mark.parametrize("language", ["de", "en"])
@given(text=st.text(alphabet="0123456789.,:-/ €%&aAzZ°\n", max_size=40))
def test_no_text_breaks_the_writing_out_and_no_digit_is_left(language: str, text: str) -> None:
    assert not re.search(r"[0-9]", spoken_form(text, language))


def test_no_answer_of_the_sample_keeps_a_digit() -> None:
    for entry in load_entries(resource("knowledge")):
        for sentence in entry.sentences:
            assert not re.search(r"\d", spoken_form(sentence, entry.language))


@pytest.mark.parametrize("language", ["de", "en"])
def test_an_international_number_begins_with_a_plus(language):
    said = spoken_form("+4930123456", language)
    assert said.startswith("plus ")
    assert len(said.split()) == 11
