"""Words are compared in one form, and questions are sorted by what they are after."""

from __future__ import annotations

import pytest

from apps.core.focus import Focus, question_focus, told_by
from apps.core.words import fold, words


def test_umlauts_and_their_spellings_compare_equal() -> None:
    assert fold("Gebühr") == fold("GEBUEHR") == "gebuehr"
    assert words("Straße") == words("strasse")


def test_clitics_are_dropped_but_a_negation_stays() -> None:
    assert words("What's up, I don't know the citizens' office") == [
        "what", "up", "i", "dont", "know", "the", "citizens", "office",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "language", "focus"),
    [
        ("how much is it", "en", Focus.COST),
        ("what does a custom plate cost", "en", Focus.COST),
        ("where can i charge my electric car", "en", Focus.PLACE),
        ("how long does it take", "en", Focus.DURATION),
        ("which documents do i need", "en", Focus.DOCUMENTS),
        ("what do i need to register a car", "en", Focus.DOCUMENTS),
        ("when are you open", "en", Focus.TIME),
        ("can i register online", "en", Focus.OTHER),
        ("was kostet das", "de", Focus.COST),
        ("wie viel Zeit habe ich", "de", Focus.TIME),
        ("wie lange dauert das", "de", Focus.DURATION),
        ("welche Unterlagen brauche ich", "de", Focus.DOCUMENTS),
        ("wo sind Sie", "de", Focus.PLACE),
        ("wann haben Sie geöffnet", "de", Focus.TIME),
        ("wie melde ich mein Auto an", "de", Focus.OTHER),
    ],
)
def test_a_question_is_after_one_kind_of_fact(question: str, language: str, focus: Focus) -> None:
    assert question_focus(question, language) is focus


def test_a_sentence_tells_several_kinds_of_facts() -> None:
    told = told_by("The office in room 5 is open on Monday and the plate costs 12 euros.", "en")
    assert {Focus.COST, Focus.PLACE, Focus.TIME} <= told
    assert Focus.DOCUMENTS not in told
    assert Focus.COST in told_by("Die Gebühr beträgt 12 Euro.", "de")
