"""Sentences are cut where a reader would cut them, whole or while the text still arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.sentences import SentenceSplitter, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Come to room 5. After that, pay.", ["Come to room 5.", "After that, pay."]),
        ("Am 1. Januar ist zu. Danach nicht.", ["Am 1. Januar ist zu.", "Danach nicht."]),
        ("Im 2. Stock links. Dann warten.", ["Im 2. Stock links.", "Dann warten."]),
        ("Das sind z. B. Papiere. Gut.", ["Das sind z. B. Papiere.", "Gut."]),
        ("Fragen Sie Dr. Maier. Er hilft.", ["Fragen Sie Dr. Maier.", "Er hilft."]),
        ("Ask Mr. Smith or J. Doe. Bye!", ["Ask Mr. Smith or J. Doe.", "Bye!"]),
        ("It costs 12.80 euros. See kfz.example today.", ["It costs 12.80 euros.",
                                                          "See kfz.example today."]),
        ("Open at 8:00. Closed at 4 p.m. Then go.", ["Open at 8:00.", "Closed at 4 p.m.",
                                                      "Then go."]),
        ("Take No. 7 please. No. You cannot.", ["Take No. 7 please.", "No.", "You cannot."]),
        ("Bring papers, e.g. the title. So do I. Yes?", ["Bring papers, e.g. the title.",
                                                        "So do I.", "Yes?"]),
        ("Er sagte: „Nein.“ Dann ging er.", ["Er sagte: „Nein.“", "Dann ging er."]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("One... two", ["One...", "two"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_text_is_cut_into_its_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_the_first_sentence_is_given_back_as_soon_as_it_is_certain() -> None:
    splitter = SentenceSplitter()
    assert splitter.push("Bring your identity card. ") == []
    assert splitter.push("The fee ") == ["Bring your identity card. "]
    assert splitter.push("is 12") == []
    assert splitter.flush() == ["The fee is 12"]


def test_a_number_waits_for_the_word_that_tells_whether_it_is_an_ordinal() -> None:
    splitter = SentenceSplitter()
    assert splitter.push("Am 1. Jan") == []
    assert splitter.push("uar ist zu. Ok ") == ["Am 1. Januar ist zu. "]


_TEXT = st.lists(
    st.sampled_from(
        [
            "Hello",
            "z. B.",
            "Dr.",
            "1.",
            "Januar",
            "ok.",
            "5.",
            "Room",
            "!",
            "?\n",
            "8:00",
            "„Nein.“",
            "…",
        ]
    )
    | st.text(max_size=6),
    max_size=20,
).map(" ".join)


@given(_TEXT, st.data())
def test_nothing_is_lost_or_changed_however_the_text_arrives(
    text: str, data: st.DataObject
) -> None:
    splitter = SentenceSplitter()
    found: list[str] = []
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += splitter.push(rest[:size])
        rest = rest[size:]
    found += splitter.flush()
    assert "".join(found) == text


@given(_TEXT, st.data())
def test_the_cuts_do_not_depend_on_how_the_text_arrives(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    splitter = SentenceSplitter()
    pieces = [*splitter.push(text[:at]), *splitter.push(text[at:]), *splitter.flush()]
    assert [piece.strip() for piece in pieces if piece.strip()] == split_sentences(text)
