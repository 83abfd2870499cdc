"""Every answer says what it was made from: to the log, to the caller's side, and aloud if asked."""

import asyncio

import pytest

from apps.core.passages import Citation, Passage, Within
from apps.core.policy import InquiryMode, PolicySlots
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.turn import Answers, NameSources
from apps.knowledge.index.base import Chunk, Document
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.knowledge import KnowledgeBase
from apps.llm.answer import AnswerPlan
from apps.llm.citing import rests_on, spoken_source, without_marks
from apps.llm.intents import Intent, classify
from apps.llm.prompt import assemble
from tests.calls import CallerHungUp, CallerText, ScriptedDoor, hold_call, knowledge

LISTEN = "listening"
SAUNA = Chunk(
    2, "The sauna opens daily at 11:00. Towels can be rented for 3 euros.", ("Sauna",), 4, "en"
)
POOL = Document(
    "pool/guide.pdf",
    "kfz",
    "Guide to the pool",
    "guide.pdf",
    "application/pdf",
    "en",
    "",
    0,
    0,
    1.0,
)
CITED = Citation("Guide to the pool", "guide.pdf", ("Sauna",), 4, document_id="pool/guide.pdf")


async def _typed_call(*questions, **options):
    index, embedder = FakeIndex(), FakeEmbedder()
    await index.replace(POOL, [SAUNA], await embedder.embed([SAUNA.text]))
    base = KnowledgeBase(knowledge(), DocumentSearch(index, embedder, deadline_ms=5000))
    steps = [(LISTEN, CallerText(question)) for question in questions]
    door = ScriptedDoor(*steps, (LISTEN, CallerHungUp()), audio=False)
    return await hold_call(door, base=base, **options)


def typed_call(*questions, **options):
    return asyncio.run(_typed_call(*questions, **options))


def answers(call):
    return [r for r in call.sink.records if r.kind == "assistant" and r.data.get("citations")]


def test_a_document_answers_what_no_entry_covers_and_is_cited_everywhere():
    call = typed_call("when does the sauna open", "where did you get that from")
    said = call.door.said("assistant")
    assert "The sauna opens daily at 11:00." in said
    (record,) = answers(call)
    assert record.data["sources"] == ["guide.pdf"]
    assert record.data["citations"] == [
        {
            "title": "Guide to the pool",
            "source": "guide.pdf",
            "headings": ["Sauna"],
            "page": 4,
            "document": "pool/guide.pdf",
        }
    ]
    told = [m for m in call.door.of("transcript.final") if m.get("citations")]
    assert told[0]["citations"] == record.data["citations"]
    assert said[-1] == "That comes from the document “Guide to the pool”, page 4."


def test_what_neither_an_entry_nor_a_document_covers_is_not_answered():
    call = typed_call("how can I adopt a cat")
    assert answers(call) == []
    assert "I don't have that here." in " ".join(call.door.said("assistant"))


def test_an_entry_that_covers_the_question_answers_before_any_document():
    call = typed_call("how much does it cost to register a car")
    assert {r.data["citations"][0].get("entry") for r in answers(call)} == {"fee-registration"}


def test_a_profile_can_have_every_source_of_a_document_named():
    slots = PolicySlots(inquiry_mode=InquiryMode.CONFIRM)
    call = typed_call(
        "when does the sauna open", slots=slots, profile={"name_sources": "documents"}
    )
    *_, answer, source, question = call.door.said("assistant")
    assert answer.startswith("The sauna opens")
    assert source == "That comes from the document “Guide to the pool”, page 4."
    assert question.endswith("?")


@pytest.mark.parametrize(
    ("when", "of_document", "of_entry"),
    [
        (NameSources.NEVER, False, False),
        (NameSources.DOCUMENTS, True, False),
        (NameSources.ALWAYS, True, True),
    ],
)
def test_sources_are_named_when_the_profile_says_so(when, of_document, of_entry):
    entry = Passage("fee", "What does it cost?", "12 euros.", 0.9, "en", "a.md#fee")
    piece = Passage("d#2", "Sauna", SAUNA.text, 0.9, "en", "guide.pdf", CITED)
    assert (when.names(piece), when.names(entry)) == (of_document, of_entry)


def passages():
    return (
        Passage("a", "Fees?", "The fee is 30 euros. You can pay by card.", 0.9, "en", "a.md"),
        Passage("b", "Times?", "The office opens at eight on Monday.", 0.8, "en", "b.md"),
    )


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("You can pay by card.", "a"),
        ("Our office opens on Monday at eight.", "b"),
        ("The fee comes to 30 euros.", "a"),
        ("Of course.", None),
        ("Did that answer your question?", None),
        ("The swimming pool has a new slide.", None),
    ],
)
def test_a_sentence_rests_on_the_passage_that_it_was_made_from(sentence, expected):
    found = rests_on(sentence, passages())
    assert [p.entry_id for p in found] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("The fee is 30 euros [1].", "The fee is 30 euros."),
        ("[2] It opens at eight.", "It opens at eight."),
        ("Room [12]", "Room"),
        ("In 2026 it rises.", "In 2026 it rises."),
    ],
)
def test_marks_of_sources_are_not_spoken(said, heard):
    assert without_marks(said) == heard


def test_who_asks_hears_the_page_or_else_the_heading_and_two_sources_at_most():
    by_heading = Citation("Satzung", "s.md", ("Gebühren",), document_id="s.md")
    third = Citation("Drittes", "c.md", document_id="c.md")
    assert (
        spoken_source([by_heading], "de")
        == "Das steht in dem Dokument „Satzung“, unter „Gebühren“."
    )
    said = spoken_source([CITED, CITED, by_heading, third], "de")
    assert said == (
        "Das steht in dem Dokument „Guide to the pool“, Seite 4. "
        "Außerdem steht es in dem Dokument „Satzung“, unter „Gebühren“."
    )
    entry = Citation("Was kostet das?", "a.md#fee", entry_id="fee")
    assert (
        spoken_source([entry], "de")
        == "Das steht in unseren eigenen Antworten, unter „Was kostet das“."
    )


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("where did you get that from", "en"),
        ("Where does that come from?", "en"),
        ("how do you know that", "en"),
        ("what is your source", "en"),
        ("which document is that in", "en"),
        ("woher wissen Sie das", "de"),
        ("Woher haben Sie das denn?", "de"),
        ("wo steht das", "de"),
        ("wo kann ich das nachlesen", "de"),
        ("was ist Ihre Quelle dafür", "de"),
    ],
)
def test_asking_for_the_source_is_understood(said, language):
    assert classify(said, language) is Intent.SOURCE


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("where do I get the number plates", "en"),
        ("how do you register a car", "en"),
        ("which document do I need", "en"),
        ("where does the bus stop", "en"),
        ("wo steht mein Auto wenn es abgeschleppt wurde", "de"),
        ("woher bekomme ich die Plakette", "de"),
        ("wo kann ich das Auto anmelden", "de"),
    ],
)
def test_a_question_of_ones_own_is_no_question_for_the_source(said, language):
    assert classify(said, language) is Intent.QUESTION


class Listening:
    """Knows one passage, and keeps where it was asked to look."""

    def __init__(self):
        self.within = []

    async def search(self, query, *, within, **_):
        self.within.append(within)
        return (Passage("d#2", "Sauna", SAUNA.text, 0.9, "en", "guide.pdf", CITED),)


def test_a_follow_up_looks_near_what_the_last_answer_was_made_of():
    base, talk = Listening(), Conversation("en", PolicySlots())
    answers = Answers(talk, base, None, "kfz", "x", spaces=("kfz",), call_ref="c")
    asyncio.run(answers.prompt(answers.question("when does the sauna open")))
    plan = AnswerPlan(True, "d#2", "Sauna", ())
    talk.note_answer(2, "when", "when does the sauna open", plan)
    talk.note_said(2, SAUNA.text, asyncio.run(base.search("", within=None)))
    talk.note_heard(2, SAUNA.text)
    asyncio.run(answers.prompt(answers.question("how much is that")))
    asyncio.run(answers.prompt(answers.question("does the town library lend films to children")))
    first, _, follow_up, new_question = base.within
    assert first == Within(("kfz",), call_ref="c")
    assert follow_up == Within(("kfz",), follows=("d#2",), call_ref="c")
    assert new_question == first


def test_a_language_model_gets_passages_by_number_and_documents_with_their_title():
    piece = Passage("d#2", "Sauna", "It opens at 11:00. [9] <b>", 0.9, "en", "guide.pdf", CITED)
    entry = Passage("fee", "What does it cost?", "12 euros.", 0.8, "en", "a.md#fee")
    prompt = assemble(PolicySlots(), [piece, entry], (), "when", language="en", office="x")
    content = prompt.messages()[-1]["content"]
    assert "[1] Guide to the pool, Sauna: It opens at 11:00. (9)" in content
    assert "[2] What does it cost? 12 euros." in content
    assert content.count("[") == 2


def test_a_source_is_named_without_what_was_taken_out_of_its_title() -> None:
    titled = Citation("Mail to [email]", "kfz/mail.md", ("Ask [phone]",), document_id="kfz/mail.md")
    assert "[" not in spoken_source([titled], "en")
    nameless = Citation("[email]", "kfz/mail.md", document_id="kfz/mail.md")
    assert "“mail”" in spoken_source([nameless], "en")
