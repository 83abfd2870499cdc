"""No figure of an answer may stand in none of its sources, in whatever form it is written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.passages import Passage
from apps.core.person import Person
from apps.core.policy import InquiryMode, Length, PolicySlots
from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.llm.answer import plan_answer
from apps.llm.grounding import Kind, Sources, check
from apps.llm.grounding.check import facts
from apps.llm.numerals import cardinal
from apps.llm.prompt import Exchange, Prompt
from apps.monitor.metric_info import FIGURES
from benchmarks.grounding.answers import Half
from benchmarks.grounding.values import CLASSES, Fact, forms

DE = Sources(
    (
        "Die Zulassung kostet 30 Euro 60 und dauert 20 Minuten. Geöffnet ist Montag bis Freitag "
        "von 8 bis 16 Uhr am Schalter 3. Schreiben Sie an kfz at sonnenfurt.example oder kommen "
        "Sie in die Industriestraße 3, 99999 Sonnenfurt. Es gilt § 5 Abs. 2 FZV seit dem "
        "1. Januar 2015. Das Kennzeichen ist SO-AB 123, die IBAN DE89 3704 0044 0532 0130 00.",
    ),
    "de",
)
EN = Sources(
    (
        "It costs 30 euros 60 and takes 2 hours. We are open Monday to Friday from 8 to 4. "
        "Call zero nine nine nine nine, four two zero zero. See section 12(3). Pay within a month. "
        "The office is at 12 Mill Lane, on sonnenfurt.example.",
    ),
    "en",
)


@pytest.mark.parametrize(
    "sentence",
    [
        "Das kostet dreißig Euro sechzig.", "30,60 Euro also.", "30.60 €, bitte.",
        "Es dauert etwa zwanzig Minuten.", "Am Mittwoch ab 8 Uhr.",
        "Wir haben werktags von acht bis sechzehn Uhr auf.", "8–16 Uhr", "8:00 bis 16:00 Uhr",
        "Schalter drei.", "Sie brauchen zwei Dinge: den Ausweis und die Papiere.", "1.",
        "Der erste Schritt ist die Anmeldung.", "An kfz@sonnenfurt.example.",
        "Industriestr. drei in 99999 Sonnenfurt", "Paragraf fünf Absatz zwei der FZV", "§5",
        "S O A B eins zwei drei", "DE89370400440532013000", "Seit dem ersten Januar 2015",
        "am 01.01.2015", "seit Januar 2015", "Ein Auto, eine Frage.",
    ],
)  # fmt: skip
def test_what_stands_there_may_be_said_in_german(sentence: str) -> None:
    assert check(sentence, DE) == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("30 Euro", "money"), ("31 Euro 60", "money"), ("dreißig Euro fünfzig", "money"),
        ("kostenlos", "money"), ("8 Euro", "money"), ("20 Cent", "money"), ("ein Euro", "money"),
        ("eine Million Euro", "money"), ("８０ Euro", "money"),
        ("drei\u00adßig Euro fünfzig", "money"),
        ("20 Stunden", "number"), ("einundzwanzig Minuten", "number"), ("20 Prozent", "number"),
        ("zweiwöchig", "number"), ("Schalter 4", "number"), ("Formular A4", "number"),
        ("ein Tag", "number"), ("24/7", "number"), ("ein Dutzend Formulare", "number"),
        ("um 9 Uhr", "time"), ("halb neun", "time"), ("bis siebzehn Uhr", "time"),
        ("am Samstag", "date"), ("am 2. Januar 2015", "date"), ("am 1. Januar 2016", "date"),
        ("im Februar", "date"), ("Rufen Sie 0999 123456 an.", "phone"),
        ("null neun neun eins zwei drei", "phone"), ("info@sonnenfurt.example", "email"),
        ("info at sonnenfurt Punkt example", "email"), ("auf sonnenfurt.com", "web"),
        ("sonnenfurt.example/termine", "web"), ("termine.sonnenfurt.example", "web"),
        ("Industriestraße 5", "address"), ("Lindenstraße 3", "address"),
        ("in der Bahnhofstraße", "address"), ("Am Markt 7", "address"), ("§ 6", "section"),
        ("§ 5 Abs. 3", "section"), ("§ 5 Abs. 2 StVG", "section"), ("Absatz 4", "section"),
        ("SO-AB 124", "plate"), ("S O A B eins zwei vier", "plate"),
        ("DE89 3704 0044 0532 0130 01", "account"),
    ],
)  # fmt: skip
def test_what_does_not_may_not_in_german(sentence: str, kind: str) -> None:
    assert kind in [violation.kind for violation in check(sentence, DE)]


@pytest.mark.parametrize(
    "sentence",
    [
        "It is thirty euros and sixty cents.", "€30.60.", "Two hours, that is 120 minutes.",
        "We open at 8 a.m. and close at 4 p.m.", "from eight to four", "on weekdays",
        "Come on Tuesday.", "Dial 09999 4200.", "Dial +49 9999 4200.", "Under section twelve.",
        "Section 12, subsection 3", "within one month", "First, bring your ID.",
        "Second, pay at the desk.", "No one will ask.", "May I help?", "Three easy steps.",
        "twelve Mill Lane", "www.sonnenfurt.example",
    ],
)  # fmt: skip
def test_what_stands_there_may_be_said_in_english(sentence: str) -> None:
    assert check(sentence, EN) == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("€30", "money"), ("$30.60", "money"), ("thirty-one euros sixty", "money"),
        ("about a hundred euros", "money"), ("sixty cents", "money"), ("for free", "money"),
        ("two days", "number"), ("one and a half years", "number"),
        ("half an hour", "number"), ("twelve months", "number"),
        ("a dozen forms", "number"), ("room 101", "number"), ("at 9", "number"),
        ("five p.m.", "time"), ("at noon", "time"), ("half past eight", "time"),
        ("on Sunday", "date"), ("in October", "date"), ("on the 2nd of May", "date"),
        ("call 112", "phone"), ("0999 94201", "phone"), ("+44 9999 4200", "phone"),
        ("forms@example.org", "email"), ("visit example.com", "web"), ("14 Mill Lane", "address"),
        ("on Station Road", "address"), ("section 12(4)", "section"), ("section XIV", "section"),
        ("plate SO-AB 123", "plate"), ("DE89 3704 0044 0532 0130 00", "account"),
    ],
)  # fmt: skip
def test_what_does_not_may_not_in_english(sentence: str, kind: str) -> None:
    assert kind in [violation.kind for violation in check(sentence, EN)]


# --- any value, in any form

_VALUES = {
    "money": st.tuples(st.integers(2, 900), st.integers(0, 99).map(lambda c: c if c >= 10 else 0)),
    "time": st.tuples(st.integers(7, 19), st.sampled_from([0, 15, 30, 45])),
    "date": st.tuples(st.sampled_from([0, 2026, 2031]), st.integers(1, 12), st.integers(1, 28)),
    "duration": st.tuples(st.integers(2, 90), st.sampled_from(["minute", "day", "month"])),
    "percent": st.tuples(st.integers(2, 99)),
    "weekday": st.tuples(st.integers(0, 6)),
    "phone": st.tuples(
        st.integers(100, 999).map("09{}".format), st.integers(1000, 9999).map(str)
    ),
    "email": st.tuples(st.sampled_from(["info", "amt"]), st.sampled_from(["stadt", "dorf"])),
    "web": st.tuples(st.sampled_from(["stadt", "dorf", "stadt-amt"])),
    "plate": st.tuples(
        st.sampled_from(["SO", "B", "KA"]), st.sampled_from(["AB", "XY"]), st.integers(10, 9999)
    ),
    "address": st.tuples(st.sampled_from(["Mühlenstraße", "Kirchgasse"]), st.integers(2, 120)),
    "section": st.tuples(st.integers(2, 99), st.integers(0, 9)),
}  # fmt: skip


def _values(kind: str, language: str) -> st.SearchStrategy[tuple[int | str, ...]]:
    if kind == "address" and language == "en":
        return st.tuples(st.sampled_from(["Mill Lane", "Park Road"]), st.integers(2, 120))
    return _VALUES[kind]


def _said(kind: str, language: str, form: str) -> str:
    frames = {
        "email": {"de": "Schreiben Sie eine E-Mail an {}.", "en": "Send an e-mail to {}."},
        "time": {"de": "Kommen Sie um {}.", "en": "Come at {}."},
    }
    own = {"de": "Es ist {}, so weit.", "en": "It is {}, so far."}
    return frames.get(kind, own)[language].format(form)


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("kind", CLASSES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_fact_may_be_said_in_any_form_and_no_other_one_in_any(
    kind: str, language: str, data: st.DataObject
) -> None:
    value = data.draw(_values(kind, language))
    ways = forms(Fact(kind, value), language)
    source = Sources((_said(kind, language, data.draw(st.sampled_from(ways))),), language)
    for way in ways:
        assert check(_said(kind, language, way), source) == []
    other = data.draw(_values(kind, language).filter(lambda drawn: _differs(kind, drawn, value)))
    for way in forms(Fact(kind, other), language):
        assert check(_said(kind, language, way), source)


def _differs(kind: str, one: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    if kind == "date":  # without the year, or with it, it is the same day
        return one[1:] != other[1:]
    if kind == "section":  # the section alone may be named
        return one[0] != other[0]
    if kind == "time":  # "halb acht" is said of both halves of the day
        return int(one[0]) % 12 != int(other[0]) % 12 or one[1] != other[1]
    return one != other


@settings(deadline=None)
@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_numbers_in_words_are_the_numbers(number: int, other: int) -> None:
    for language, frame in (("de", "Es sind {} Kilo."), ("en", "It is {} kilos.")):
        source = Sources((frame.format(number),), language)
        assert check(frame.format(cardinal(number, language)), source) == []
        assert (check(frame.format(cardinal(other, language)), source) == []) == (other == number)


@settings(deadline=None)
@given(st.text(max_size=300), st.sampled_from(["de", "en"]))
def test_no_text_breaks_the_check_and_every_text_may_be_said_again(
    text: str, language: str
) -> None:
    assert check(text, Sources((text,), language)) == []


# --- what an answer may rest on

FEES = Passage("fee", "What does it cost?", "It costs 30 euros 60.", 0.9, "en", "fees.md#fee")
PROMPT = Prompt(PolicySlots(), "en", "the vehicle office", "how much is it", (FEES,))


def test_a_passage_that_does_not_cover_the_question_is_no_source() -> None:
    far = Passage("far", "And that?", "It costs 45 euros.", 0.1, "en", "fees.md#far")
    prompt = Prompt(PolicySlots(), "en", "the vehicle office", "how much is it", (FEES, far))
    assert check("It costs 45 euros.", Sources.of(prompt))


def test_what_was_said_before_is_a_source() -> None:
    history = (Exchange("is it forty-five euros", "It is not."),)
    prompt = Prompt(PolicySlots(), "en", "the vehicle office", "sure?", (FEES,), history)
    assert check("No, not 45 euros.", Sources.of(prompt)) == []
    assert check("No, not 45 euros.", Sources.of(PROMPT))


def test_the_lines_that_offer_a_person_pass() -> None:
    for person in (Person(), Person(there=False), Person(reachable=False),
                   Person(reachable=False, number="099994200")):  # fmt: skip
        for language in ("de", "en"):
            prompt = Prompt(PolicySlots(), language, "TOM", "?", (), person=person)
            for line in (prompt.dont_know(), prompt.no_detail()):
                assert check(line, Sources.of(prompt)) == []


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_embedded_answerer_is_never_stopped(language: str) -> None:
    for entry in load_entries(resource("knowledge")):
        if entry.language != language:
            continue
        passage = Passage(entry.id, entry.question, entry.answer, 0.9, language, entry.source)
        slots = PolicySlots(length=Length.LONG, inquiry_mode=InquiryMode.PROACTIVE)
        prompt = Prompt(slots, language, "the office", entry.question, (passage,))
        for sentence in plan_answer(prompt).sentences:
            assert check(sentence, Sources.of(prompt)) == [], sentence


# --- the set, its cost, its names


def test_of_the_tuning_half_nothing_invented_is_spoken_and_hardly_anything_honest_stopped() -> None:
    half = Half("tuning")
    for answer in half.invented():
        assert answer.invented is not None
        assert check(answer.sentences[answer.invented], Sources.of(answer.prompt)), answer
    stopped = [
        answer
        for answer in half.honest()
        if any(check(sentence, Sources.of(answer.prompt)) for sentence in answer.sentences)
    ]
    assert len(stopped) <= 0.03 * 250


def test_a_sentence_costs_little_however_hostile_it_is() -> None:
    hostile = ["1 " * 5000, "a.b" * 5000, "0 9, " * 3000, "strasse " * 2000, "A-" * 5000,
               "dot example " * 1000, "§" * 5000, "x@" * 4000, "ein" * 4000]  # fmt: skip
    for text in hostile:
        began = time.process_time()
        facts(text, "de")
        assert time.process_time() - began < 1.0, text[:20]


def test_every_kind_has_a_series_of_its_metric() -> None:
    assert set(FIGURES) == {kind.value for kind in Kind}
