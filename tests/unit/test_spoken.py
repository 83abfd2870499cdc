"""Written English becomes the words that are said, the same ones on every side."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.stt.spoken import cardinal, ordinal, spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It costs 30 euros 60.", "it costs thirty euros sixty"),
        ("Open 7:30 to 12:05", "open seven thirty to twelve oh five"),
        ("at 8:00 a.m.", "at eight a m"),
        ("€12.50 & 5%", "twelve point five zero euros and five percent"),
        ("the 21st and the 30th", "the twenty first and the thirtieth"),
        ("since 1998", "since nineteen ninety eight"),
        ("in 2005", "in two thousand five"),
        ("call 0999", "call zero nine nine nine"),
        ("file 123456", "file one two three four five six"),
        ("12,500 km", "twelve thousand five hundred km"),
        ("I’d like an e-mail", "i'd like an email"),
        ("Käse, e.g. Straße", "kase for example strasse"),
        ("part two (the title)", "part two the title"),
        ("", ""),
    ],
)
def test_numbers_and_signs_become_words(written: str, said: str) -> None:
    assert spoken(written) == said


@given(st.text())
def test_nothing_but_words_remains_and_saying_it_again_changes_nothing(text: str) -> None:
    said = spoken(text)
    assert re.fullmatch(r"([a-z']+( [a-z']+)*)?", said)
    assert spoken(said) == said


@given(st.integers(0, 999_999_999_999))
def test_every_number_has_a_name_of_its_own_kind(number: int) -> None:
    assert re.fullmatch(r"[a-z]+( [a-z]+)*", cardinal(number))
    assert ordinal(number) != cardinal(number)


def test_numbers_are_read_in_full() -> None:
    assert cardinal(0) == "zero"
    assert cardinal(1_000_201) == "one million two hundred one"
    assert ordinal(12) == "twelfth"
