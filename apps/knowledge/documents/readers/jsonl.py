"""JSON Lines: one object a line, with a text, or a question and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from apps.core.errors import DocumentError
from apps.core.json_text import read_json
from apps.core.words import fold
from apps.knowledge.documents.blocks import Block, one_line, shortened
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.readers.tables import ANSWERS, QUESTIONS, TOPICS, faq
from apps.knowledge.documents.readers.text import LONGEST_LINE, lines, open_text

_TITLES = frozenset(("title", "titel", "heading", "ueberschrift", "name"))
_TEXTS = frozenset(("text", "content", "inhalt", "body", "passage", "absatz"))
_LONGEST_TITLE = 200


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a passage an object; other fields are left out, for nobody would say them.

    Raises:
        DocumentError: ``broken``, with its line, where one is no object or says nothing.
    """
    for number, line in enumerate(lines(open_text(file)), start=1):
        if not line.strip():
            continue
        if len(line) >= LONGEST_LINE:
            raise _broken(number, "is longer than 64 Ki characters")
        try:
            found = read_json(line)
        except ValueError:
            raise _broken(number, "is no JSON") from None
        if not isinstance(found, dict):
            raise _broken(number, "is no object")
        block = _block(found)
        if block is None:
            raise _broken(number, "has neither a text nor a question with its answer")
        if block.text:
            yield block


def _block(found: Mapping[str, Any]) -> Block | None:
    fields = {fold(name): one_line(v) for name, v in found.items() if isinstance(v, str)}
    question, topic = _first(fields, QUESTIONS), _first(fields, TOPICS)
    if question is not None:
        answer = _first(fields, ANSWERS)
        return None if answer is None else faq(question, answer, topic or "")
    text = _first(fields, _TEXTS)
    if text is None:
        return None
    title = shortened(_first(fields, _TITLES) or "", _LONGEST_TITLE)
    return Block(text, tuple(part for part in (topic, title) if part), whole=True)


def _first(fields: Mapping[str, str], names: frozenset[str]) -> str | None:
    return next((text for name, text in fields.items() if name in names), None)


def _broken(line: int, what: str) -> DocumentError:
    return DocumentError(
        f"Line {line} {what}.",
        hint='One object a line, such as {"question": "...", "answer": "..."}.',
        code="broken",
    )
