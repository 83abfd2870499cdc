"""CSV and TSV: a list of questions with their answers, or any table with a header."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from typing import BinaryIO

from apps.core.errors import DocumentError
from apps.core.words import fold
from apps.knowledge.documents.blocks import Block, one_line, row_text, shortened
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.readers.text import LONGEST_LINE, lines, open_text

QUESTIONS = frozenset(("frage", "question", "fragen", "questions", "q"))
ANSWERS = frozenset(("antwort", "answer", "antworten", "answers", "a", "text"))
TOPICS = frozenset(("thema", "topic", "rubrik", "kategorie", "category", "section", "abschnitt"))
_DELIMITERS = ";,\t|"
_SAMPLE_LINES = 20
_MOST_CELLS = 200
_LONGEST_QUESTION = 200


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a table's rows, each a passage of its own."""
    csv.field_size_limit(LONGEST_LINE * 4)
    found = lines(open_text(file))
    sample = list(itertools.islice(found, _SAMPLE_LINES))
    try:
        rows = csv.reader(itertools.chain(sample, found), delimiter=_delimiter(sample))
        header = tuple(one_line(cell) for cell in next(rows, ())[:_MOST_CELLS])
        names = [fold(name) for name in header]
        question, answer = _column(names, QUESTIONS), _column(names, ANSWERS)
        topic = _column(names, TOPICS)
        for row in rows:
            cells = tuple(one_line(cell) for cell in row[:_MOST_CELLS])
            if question is not None and answer is not None:
                block = faq(_at(cells, question), _at(cells, answer), _at(cells, topic))
            else:
                block = Block(row_text(header, cells), whole=True)
            if block.text:
                yield block
    except csv.Error as error:
        raise DocumentError(
            f"The table cannot be read: {error}.",
            hint="Check that its quotation marks are closed.",
            code="broken",
        ) from None


def faq(question: str, answer: str, topic: str = "") -> Block:
    """Return a question with its answer as a passage; without an answer it is empty."""
    above = tuple(text for text in (topic, shortened(question, _LONGEST_QUESTION)) if text)
    return Block(answer, above, whole=True)


def _delimiter(sample: list[str]) -> str:
    """Return what parts the cells: the sign that stands most often in the header."""
    head = sample[0] if sample else ""
    return max(_DELIMITERS, key=head.count)


def _column(names: list[str], wanted: frozenset[str]) -> int | None:
    return next((i for i, name in enumerate(names) if name in wanted), None)


def _at(cells: tuple[str, ...], column: int | None) -> str:
    return cells[column] if column is not None and column < len(cells) else ""
