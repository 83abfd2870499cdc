"""What a caller wants is told from hardly any words but those; questions stay questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.llm.intents import Intent, classify

UTTERANCES = {
    "en": {
        Intent.GOODBYE: (
            "goodbye",
            "bye bye",
            "ok thank you goodbye",
            "that's all thanks",
            "that was everything thank you very much",
            "no that's all bye",
            "good buy",
            "no more questions",
            "see you later",
            "have a nice day",
            "thanks a lot bye bye",
            "okay great that's everything i needed",
            "i'm done thank you",
            "great goodbye then",
        ),
        Intent.HANDOVER: (
            "human agent",
            "i want to speak to a human",
            "can i talk to a real person please",
            "connect me to an agent",
            "operator",
            "put me through to somebody",
            "could you transfer me to a colleague",
            "i'd like to speak with someone",
            "i don't want to talk to a machine",
            "get me a person please",
            "can i speak to a member of staff",
            "let me talk to your manager",
            "agent please",
            "a human being please",
        ),
        Intent.REPEAT: (
            "pardon",
            "could you repeat that please",
            "say that again",
            "what did you say",
            "sorry what was that",
            "i didn't understand that",
            "come again",
            "again please",
            "what",
            "i didn't catch that sorry",
            "can you say it again more slowly",
        ),
        Intent.YES: (
            "yes",
            "yes please",
            "sure",
            "yeah that'd be great",
            "of course",
            "ok",
            "yes it did",
            "that helps thank you",
            "sounds good",
            "please do",
            "yes thank you",
        ),
        Intent.NO: (
            "no",
            "no thank you",
            "not really",
            "nope",
            "no it didn't",
            "no thanks",
            "never mind",
        ),
        Intent.THANKS: (
            "thank you",
            "thanks a lot",
            "thank you so much that was very helpful",
            "many thanks",
        ),
        Intent.BACKCHANNEL: (
            "uh huh",
            "mhm",
            "i see",
            "aha",
            "got it",
            "hm",
            "wow",
            "oh really",
        ),
        Intent.QUESTION: (
            "can someone else register the car for me",
            "can another person register the car for me",
            "my agent number",
            "what is my insurance agent's number",
            "do i need an appointment",
            "what happens if i say goodbye to my car",
            "where do i hand in the plates",
            "do i have to repeat the inspection",
            "can my wife do it",
            "what documents do i need",
            "i lost the title again",
            "is there a person at the information desk on saturday morning",
            "can a representative pick up my plates",
            "how do i end my insurance contract",
            "how much is it",
            "i need a new plate",
            "what do i do",
            "when can i come again to the office",
            "thank you and how much does it cost",
            "yes and what about a trailer",
            "no i meant the motorcycle",
            "i have one more question about the fee",
            "can the dealer register it",
            "what should the authorised person bring",
            "do you have staff who speak turkish",
            "is the operator of a fleet allowed to register online",
        ),
    },
    "de": {
        Intent.GOODBYE: (
            "auf wiederhören",
            "tschüss",
            "danke tschüss",
            "das war alles",
            "vielen dank auf wiedersehen",
            "nein das war's danke",
            "ok dann bis bald",
            "keine weiteren fragen",
            "schönen tag noch",
            "das wäre dann alles vielen dank",
            "ciao",
            "ich habe keine fragen mehr danke",
            "auf wieder hören",
        ),
        Intent.HANDOVER: (
            "mitarbeiter",
            "ich möchte mit einem mitarbeiter sprechen",
            "kann ich mit einem menschen sprechen",
            "verbinden sie mich bitte",
            "mitarbeiter bitte",
            "ich will mit jemandem sprechen",
            "einen echten menschen bitte",
            "können sie mich mit einem kollegen verbinden",
            "ich will nicht mit einer maschine reden",
            "stellen sie mich durch",
            "bitte mit einem sachbearbeiter verbinden",
            "gibt es da auch einen richtigen menschen",
        ),
        Intent.REPEAT: (
            "wie bitte",
            "noch mal bitte",
            "können sie das wiederholen",
            "was haben sie gesagt",
            "das habe ich nicht verstanden",
            "ich habe sie nicht verstanden",
            "sagen sie das noch einmal",
            "bitte wiederholen sie das",
            "etwas langsamer bitte",
            "hä",
            "nochmal bitte",
        ),
        Intent.YES: (
            "ja",
            "ja bitte",
            "ja gern",
            "gerne",
            "natürlich",
            "klar",
            "ja das hat es",
            "ja danke",
            "genau",
            "sehr gern",
            "in ordnung",
        ),
        Intent.NO: (
            "nein",
            "nein danke",
            "nö",
            "eher nicht",
            "nein das hat nicht geholfen",
            "nicht nötig",
        ),
        Intent.THANKS: (
            "danke",
            "vielen dank",
            "danke schön",
            "herzlichen dank für die hilfe",
            "danke das war sehr hilfreich",
        ),
        Intent.BACKCHANNEL: (
            "mhm",
            "aha",
            "ach so",
            "verstehe",
            "alles klar",
            "hm",
            "moment bitte",
        ),
        Intent.QUESTION: (
            "kann jemand anderes das auto für mich anmelden",
            "kann ein mitarbeiter meiner firma das auto anmelden",
            "was brauche ich",
            "wann haben sie geöffnet",
            "muss ich die untersuchung wiederholen",
            "kann meine frau das machen",
            "wie kündige ich meine versicherung",
            "was kostet das",
            "ich habe noch eine frage zur gebühr",
            "ja und was ist mit einem anhänger",
            "nein ich meinte das motorrad",
            "danke und was kostet das",
            "ist am samstag ein mitarbeiter da",
            "wie bekomme ich einen neuen fahrzeugschein",
            "kann ich einen termin verschieben",
            "was mache ich wenn ich nicht komme",
            "mein auto ist weg",
            "wie lange dauert das",
            "ich habe den brief verloren",
            "kann ich das auto noch einmal anmelden",
            "welche unterlagen braucht ein mitarbeiter für einen firmenwagen",
        ),
    },
}


@pytest.mark.parametrize(
    ("language", "intent", "text"),
    [
        (language, intent, text)
        for language, by_intent in UTTERANCES.items()
        for intent, texts in by_intent.items()
        for text in texts
    ],
)
def test_an_utterance_has_its_intent(language: str, intent: Intent, text: str) -> None:
    assert classify(text, language) is intent


@pytest.mark.parametrize("language", ["de", "en"])
@given(text=st.text(max_size=80))
def test_any_text_has_an_intent(language: str, text: str) -> None:
    assert classify(text, language) in Intent


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "Goodbye!"), ("en", "GOODBYE."), ("de", "Tschüß!"), ("de", "Auf Wiederhören.")],
)
def test_case_and_punctuation_do_not_matter(language: str, text: str) -> None:
    assert classify(text, language) is Intent.GOODBYE
