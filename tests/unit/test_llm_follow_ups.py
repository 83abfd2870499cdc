"""Follow-up questions are understood from the dialogue, and then find the right entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from apps.llm.prompt import Exchange
from apps.llm.rewrite import rewrite, stay_on_topic

# What was asked before, the follow-up, and the entries that answer it rightly.
DIALOGUES = {
    "en": (
        ("what do i need to register a used car", "and for a motorcycle?", "reg-motorcycle"),
        (
            "what do i need to register a used car",
            "how much does that cost",
            "reg-used fee-registration",
        ),
        (
            "what do i need to register a new car",
            "and how long does it take",
            "reg-duration reg-new",
        ),
        ("how do i register a motorcycle", "what about a trailer", "reg-trailer"),
        (
            "how much does it cost to register a car",
            "and to deregister it?",
            "fee-deregistration dereg-how",
        ),
        ("when are you open on thursday", "and on saturday?", "hours-saturday"),
        ("are you open on saturday", "what about public holidays", "hours-holidays"),
        ("how do i deregister my car at the office", "can i do that online", "dereg-online"),
        ("how do i register my car", "can i do it online", "reg-online"),
        ("how do i get a custom number plate", "how much is that", "fee-custom-plate plate-custom"),
        ("i lost my registration certificate part one", "and the title?", "lost-part-two"),
        ("i lost the title", "how much does that cost", "lost-part-two fee-replacement-papers"),
        (
            "where can i have my car inspected",
            "which documents do i need for that",
            "insp-documents",
        ),
        ("what is the insurance confirmation number", "where do i get it", "ins-confirmation"),
        ("how do i book an appointment", "and how do i cancel it", "appt-cancel"),
        ("my number plates were stolen", "how much does that cost", "stolen-plates"),
        ("how do i get a seasonal plate", "what about an export plate", "plate-export"),
        ("how do i register a car that i imported", "how much", "reg-import fee-registration"),
        ("how do i register a company car", "what papers do i need", "reg-company"),
        ("where is the vehicle office", "and where can i park", "parking"),
        (
            "how do i change my address within sonnenfurt",
            "how much is it",
            "fee-address-change addr-within-town",
        ),
        ("can i register my car online", "what do i need for that", "reg-online"),
        ("do i pay vehicle tax for an electric car", "and where can i charge it", "ev-charging"),
        ("what do i need to register a new car", "and if it is used?", "reg-used"),
        ("where do i get an emission sticker", "how much", "emission-sticker"),
        (
            "how do i change the owner of a car",
            "do i need an appointment for that",
            "owner-change appt-walk-in appt-book",
        ),
    ),
    "de": (
        (
            "was brauche ich um einen gebrauchtwagen anzumelden",
            "und für ein motorrad?",
            "reg-motorcycle",
        ),
        (
            "welche unterlagen brauche ich um einen gebrauchtwagen anzumelden",
            "was kostet das",
            "reg-used fee-registration",
        ),
        ("wie melde ich ein motorrad an", "und einen anhänger?", "reg-trailer"),
        ("was kostet es ein auto anzumelden", "und die abmeldung?", "fee-deregistration"),
        ("wann haben sie am donnerstag geöffnet", "und am samstag?", "hours-saturday"),
        ("haben sie am samstag geöffnet", "wie ist es mit feiertagen", "hours-holidays"),
        ("wie melde ich mein auto im amt ab", "geht das auch online", "dereg-online"),
        ("wie melde ich mein auto an", "kann ich das online machen", "reg-online"),
        (
            "wie bekomme ich ein wunschkennzeichen",
            "wie teuer ist das",
            "fee-custom-plate plate-custom",
        ),
        (
            "ich habe den fahrzeugschein verloren was mache ich",
            "und der fahrzeugbrief?",
            "lost-part-two",
        ),
        (
            "ich finde den fahrzeugbrief nicht mehr",
            "was kostet das",
            "lost-part-two fee-replacement-papers",
        ),
        (
            "wo kann ich die hauptuntersuchung machen lassen",
            "welche unterlagen brauche ich dafür",
            "insp-documents",
        ),
        ("wie buche ich einen termin", "und wie sage ich ihn ab", "appt-cancel"),
        (
            "wie funktioniert ein saisonkennzeichen",
            "was ist mit einem ausfuhrkennzeichen",
            "plate-export",
        ),
        (
            "wie melde ich ein auto an das ich aus dem ausland eingeführt habe",
            "wie viel kostet das",
            "reg-import fee-registration",
        ),
        ("wie melde ich einen firmenwagen an", "welche unterlagen brauche ich", "reg-company"),
        ("wo ist die zulassungsstelle", "und wo kann ich parken", "parking"),
        (
            "zahle ich für ein elektroauto kraftfahrzeugsteuer",
            "und wo kann ich es laden",
            "ev-charging",
        ),
        ("was brauche ich um ein neues auto anzumelden", "und wenn es gebraucht ist?", "reg-used"),
        ("wo bekomme ich eine umweltplakette", "wie teuer", "emission-sticker"),
        ("wie lange dauert eine zulassung", "und ohne termin?", "appt-walk-in reg-duration"),
        ("wie ändere ich den halter eines autos", "wie viel kostet das", "owner-change"),
        ("was kostet ein wunschkennzeichen", "wie lange kann ich es reservieren", "plate-reserve"),
        ("mein auto wurde gestohlen", "was brauche ich dafür", "stolen-car"),
        (
            "wie bekomme ich ein h kennzeichen für meinen oldtimer",
            "wie teuer ist das",
            "plate-historic",
        ),
        ("kann jemand anderes das auto für mich anmelden", "und online?", "reg-online"),
    ),
}


@pytest.fixture(scope="module")
def retriever() -> Iterator[Retriever]:
    found = Retriever.from_folder(resource("knowledge"))
    yield found
    found.close()


@pytest.mark.parametrize(
    ("language", "before", "follow_up", "right"),
    [(language, *case) for language, cases in DIALOGUES.items() for case in cases],
)
async def test_a_follow_up_finds_the_right_entry(
    retriever: Retriever, language: str, before: str, follow_up: str, right: str
) -> None:
    first = await retriever.search(before, language=language, profile="kfz")
    history = [Exchange(before, "", first[0].entry_id, first[0].question)]
    question = rewrite(follow_up, history, language)
    passages = await retriever.search(question, language=language, profile="kfz")
    found = stay_on_topic(passages, question, history, language)
    assert found[0].entry_id in right.split(), question


@pytest.mark.parametrize(
    ("language", "before", "follow_up", "full"),
    [
        ("en", "What do I need to register a used car?", "And for a motorcycle?",
         "What do I need to register a motorcycle?"),
        ("en", "How do I register a motorcycle?", "How much does that cost?",
         "How much does it cost to register a motorcycle?"),
        ("en", "How do I register a motorcycle?", "how long?",
         "How long does it take to register a motorcycle?"),
        ("en", "What do I need to register a new car?", "and if it's used?",
         "What do I need to register a used car?"),
        ("en", "My car was stolen, what do I have to do?", "and how much is that",
         "My car was stolen, how much does that cost?"),
        ("en", "How do I change the owner of a car?", "do I need an appointment for that?",
         "do i need an appointment to change the owner of a car?"),
        ("en", "How do I get a seasonal plate?", "what about parking",
         "How does parking work?"),
        ("de", "Wie melde ich ein Motorrad an?", "Und einen Anhänger?",
         "Wie melde ich einen anhänger an?"),
        ("de", "Wie melde ich ein Motorrad an?", "Wie teuer ist das?",
         "Was kostet es, ein Motorrad anzumelden?"),
        ("de", "Kann ich mein Auto online abmelden?", "Wie lange dauert das?",
         "Wie lange dauert es, mein Auto online abzumelden?"),
        ("de", "Wie ändere ich den Halter eines Autos?", "brauche ich dafür einen Termin?",
         "brauche ich einen termin, um den Halter eines Autos zu ändern?"),
        ("de", "Wann haben Sie am Donnerstag geöffnet?", "und am Samstag?",
         "Wann haben Sie am samstag geöffnet?"),
    ],
)  # fmt: skip
def test_a_follow_up_becomes_a_full_question(
    language: str, before: str, follow_up: str, full: str
) -> None:
    assert rewrite(follow_up, [Exchange(before, "", "x", before)], language) == full


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "What do I need to register a trailer?"),
        ("en", "My number plates were stolen and I need new ones, what should I do?"),
        ("en", "where can I park at your office"),
        ("en", "thank you"),
        ("en", ""),
        ("en", "???"),
        ("de", "Wie melde ich mein Motorrad ab?"),
        ("de", "Ich habe meinen Fahrzeugschein verloren, was mache ich jetzt?"),
        ("de", "Danke"),
    ],
)
def test_a_question_that_stands_alone_stays_as_it_is(language: str, question: str) -> None:
    before = {"en": "How do I register a car?", "de": "Wie melde ich ein Auto an?"}[language]
    assert rewrite(question, [Exchange(before, "", "reg-new", before)], language) == question


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "how much does it cost to register a car"),
        ("en", "how long does it take to get plates"),
        ("en", "is it possible to register online"),
        ("de", "was kostet es ein auto anzumelden"),
        ("de", "was kostet das auto anzumelden"),
        ("de", "ist es möglich das auto online abzumelden"),
        ("de", "haben sie samstags offen"),
        ("de", "nehmen sie karten"),
    ],
)
def test_a_word_that_stands_for_nothing_brings_no_old_topic_back(
    language: str, question: str
) -> None:
    before = {"en": "How do I change my address?", "de": "Wie ändere ich meine Adresse?"}[language]
    history = [Exchange(before, "", "addr-within-town", before)]
    assert rewrite(question, history, language) == question


def test_the_pronoun_beside_a_formal_subject_still_means_the_topic() -> None:
    history = [Exchange("How do I change my address?", "", "addr-within-town", "")]
    asked = rewrite("is it possible to do that online", history, "en")
    assert asked == "is it possible to change my address online?"


@pytest.mark.parametrize(("language", "yes"), [("en", "yes please"), ("de", "ja gern")])
def test_yes_to_an_offer_asks_what_was_offered(language: str, yes: str) -> None:
    offered = Exchange("q", "a", "reg-new", "q", offer="How long does it take?")
    assert rewrite(yes, [offered], language) == "How long does it take?"
    assert rewrite(yes, [Exchange("q", "a", "reg-new", "q")], language) == yes


def test_without_a_history_nothing_changes() -> None:
    assert rewrite("and how much is that", [], "en") == "and how much is that"


async def test_what_the_same_entry_tells_is_told_from_it(retriever: Retriever) -> None:
    history = [Exchange("how do i change the owner of a car", "", "owner-change", "")]
    question = rewrite("how much is that", history, "en")
    found = await retriever.search(question, language="en", profile="kfz")
    other = replace(found[0], entry_id="other", question="What does tea cost?", score=0.6)
    told = replace(next(p for p in found if p.entry_id == "owner-change"), score=0.55)
    stayed = stay_on_topic([other, told], question, history, "en")
    assert [p.entry_id for p in stayed] == ["owner-change", "other"]
    assert stayed[0].score == 0.6
    unchanged = (other, told)
    assert stay_on_topic(unchanged, "what does a plate cost", history, "en") == unchanged
    assert stay_on_topic(unchanged, question, [], "en") == unchanged
    sure = (replace(other, score=0.95), told)
    assert stay_on_topic(sure, question, history, "en") == sure
    assert stay_on_topic((), question, history, "en") == ()
