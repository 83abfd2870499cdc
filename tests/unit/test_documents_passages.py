"""Passages are whole sentences under one heading; language and quality come from their words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import DocumentError
from apps.knowledge.documents.blocks import Block, Outline, one_line, row_text
from apps.knowledge.documents.chunking import BASE_CHARS, MOST_CHARS, cut, target_chars
from apps.knowledge.documents.language import LanguageTally
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.quality import QualityTally
from apps.knowledge.documents.reading import Passage, Summary, Task, read


def read_file(path: Path, **task) -> tuple[list[Passage], Summary]:
    *passages, summary = read(Task(str(path), **task))
    return passages, summary


def test_a_passage_keeps_sentences_whole_and_near_the_target():
    sentence = "This sentence has some forty characters."
    pieces = list(cut([Block(" ".join([sentence] * 60))], 200))
    assert len(pieces) > 10
    for piece in pieces:
        assert set(piece.text.replace(sentence, "").split()) == set()
        assert len(piece.text) <= 300


def test_a_passage_never_crosses_a_heading():
    found = list(cut([Block("One.", ("A",)), Block("Two.", ("A",)), Block("Three.", ("B",))], 600))
    assert [(piece.text, piece.headings) for piece in found] == [
        ("One. Two.", ("A",)),
        ("Three.", ("B",)),
    ]


def test_what_is_whole_stays_alone():
    found = list(cut([Block("a: 1", whole=True), Block("b: 2", whole=True)], 600))
    assert [piece.text for piece in found] == ["a: 1.", "b: 2."]


def test_a_passage_is_cited_by_the_page_where_it_begins():
    long = "A sentence that goes on for a while here. " * 10
    found = list(cut([Block(long, (), 1), Block(long, (), 2)], 600))
    assert [piece.page for piece in found] == [1, 2]


def test_a_short_rest_joins_the_passage_before_it():
    sentence = "This sentence has some forty characters. "
    found = list(cut([Block(sentence * 5 + "End.")], 205))
    assert [piece.text[-4:] for piece in found] == ["End."]


@given(
    st.lists(st.text(alphabet="ab .!?\n", min_size=1, max_size=400), max_size=20),
    st.integers(20, 300),
)
def test_no_word_is_lost_and_no_passage_is_far_too_long(texts, target):
    found = list(cut([Block(one_line(text)) for text in texts if one_line(text)], target))
    letters = "".join(sign for text in texts for sign in text if sign in "ab")
    assert "".join(s for piece in found for s in piece.text if s in "ab") == letters
    assert all(len(piece.text) <= 3 * target for piece in found)


@pytest.mark.parametrize(
    ("size", "target"), [(0, BASE_CHARS), (1_000_000, BASE_CHARS), (1 << 30, MOST_CHARS)]
)
def test_very_large_files_get_longer_passages(size, target):
    assert target_chars(size) == target
    assert BASE_CHARS < target_chars(24_000_000) < MOST_CHARS


def test_an_outline_knows_what_stands_above():
    outline = Outline()
    outline.heading(1, "A")
    outline.heading(3, "B")
    outline.heading(2, "C")
    assert outline.path == ("A", "C")


def test_a_row_names_its_columns():
    assert row_text(("Fee", "", "Same"), ("30", "x", "Same", "more")) == "Fee: 30; x; Same; more"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("die zulassung des fahrzeugs kostet mit der post und auf dem amt", "de"),
        ("the registration of the car is paid for at the office", "en"),
        ("Kfz 2026", None),
        ("the und of der", None),
    ],
)
def test_a_language_is_told_by_its_commonest_words(text, language):
    tally = LanguageTally()
    tally.add(text.lower().split())
    assert tally.language == language


def quality(text: str, domain: str = "") -> float:
    tally = QualityTally()
    tally.add(text, text.lower().replace(".", "").split(), frozenset(domain.split()))
    return tally.quality(has_domain=bool(domain))


def test_quality_ranks_prose_above_a_stub_above_garbage():
    prose = "The fee for the registration of a car is paid at the office on the first floor. " * 5
    garbage = "x7$ %%§ 0101 qwrtz9 ||| " * 40
    assert 1.0 >= quality(prose) > 0.9 > quality("Fees: see there.") > quality(garbage)
    assert quality(garbage) < 0.2
    assert quality("") == 0.0


def test_quality_knows_what_a_document_should_speak_of():
    cars = "The fee for the registration of a car is paid at the office. " * 5
    cakes = "The recipe for the baking of a cake is kept in the kitchen. " * 5
    domain = "fee registration car plate"
    assert quality(cars, domain) > quality(cakes, domain) + 0.1


@given(st.text(max_size=500), st.text(max_size=50))
def test_quality_is_between_nothing_and_one(text, domain):
    assert 0.0 <= quality(text, domain) <= 1.0


def test_a_file_is_read_to_passages_without_personal_data(tmp_path: Path):
    path = tmp_path / "anna.md"
    path.write_text(
        "# Ansprechpartner 0171 1234567\n\nFrau Müller ist unter 0171 1234567 und der Zentrale"
        " 06172 999-0 zu erreichen.\n\n## English\n\nShe is at anna@firma.de for all the others."
    )
    passages, summary = read_file(path, public=("06172 999-0",))
    assert passages == [
        Passage(
            "Frau Müller ist unter [phone] und der Zentrale 06172 999-0 zu erreichen.",
            ("Ansprechpartner [phone]",),
            None,
            "de",
        ),
        Passage(
            "She is at [email] for all the others.",
            ("Ansprechpartner [phone]", "English"),
            None,
            "en",
        ),
    ]
    assert summary.title == "Ansprechpartner [phone]"
    assert summary.redacted == {"phone": 2, "email": 1}  # the heading once
    assert summary.media_type == "text/markdown"


def test_a_language_that_is_certain_is_not_guessed(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("The form is at the office and it is free.")
    passages, summary = read_file(path, language="de")
    assert [passage.language for passage in passages] == ["de"]
    assert summary.language == "de"
    path.write_text("Kfz 2026")
    assert read_file(path, fallback_language="en")[1].language == "en"


def test_a_task_travels_as_json():
    task = Task("/x", public=("115",), language="en", domain=("car",), limits=Limits(pages=7))
    assert Task.from_dict(task.to_dict()) == task


def test_a_document_of_too_many_passages_is_refused(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "row\n" * 20)
    with pytest.raises(DocumentError) as error:
        read_file(path, limits=Limits(chunks=10))
    assert error.value.code == "too_long"


@pytest.mark.parametrize(("mebibytes", "seconds"), [(0, 60), (8, 60), (32, 240)])
def test_large_files_have_more_time(mebibytes, seconds):
    assert Limits(parse_s=60).of_size(mebibytes * MIB).parse_s == seconds
