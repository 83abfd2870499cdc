"""A count agrees with its noun."""

from io import StringIO

import pytest
from rich.console import Console

from apps.cli.kb_show import show, sum_up
from apps.core.plural import plural
from apps.knowledge.documents.outcome import Outcome, Result


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 passages"), (1, "1 passage"), (2, "2 passages")]
)
def test_one_is_one_and_all_else_are_many(number, said):
    assert plural(number, "passage") == said


def test_what_does_not_end_in_s_is_given():
    assert [plural(n, "record is", "records are") for n in (1, 3)] == [
        "1 record is",
        "3 records are",
    ]


@pytest.mark.parametrize(("passages", "said"), [(1, "1 passage"), (3, "3 passages")])
def test_a_document_that_was_followed_is_told_with_its_passages(passages, said):
    console = Console(file=StringIO(), width=100)
    outcome = Outcome("kfz/a.md", Result.NEW, passages)
    show(console, outcome, False, watching=True)
    sum_up(console, [outcome], False)
    assert console.file.getvalue() == f"new kfz/a.md, {said}\n1 new; {said}.\n"
