"""What full text search compares: the stems of a text's words, the same in every database."""

from __future__ import annotations

from collections.abc import Sequence

from apps.knowledge.index.base import Chunk, Document
from apps.knowledge.terms import content_words, stem

LANGUAGES = ("de", "en")
MAX_QUERY_TERMS = 24
"""A caller's question has fewer; what is longer was not asked."""


def passage_words(document: Document, chunk: Chunk) -> str:
    """Return the words that a passage is found by, its title's and headings' among them."""
    text = " ".join((document.title, *chunk.headings, chunk.text))
    return " ".join(_stems(text, chunk.language))


def question_words(query: str, language: str | None) -> tuple[str, ...]:
    """Return the words to search for, each once; of every language where none is given."""
    languages: Sequence[str] = LANGUAGES if language is None else (language,)
    found = dict.fromkeys(word for name in languages for word in _stems(query, name))
    return tuple(found)[:MAX_QUERY_TERMS]


def _stems(text: str, language: str) -> list[str]:
    known = language if language in LANGUAGES else "en"
    return [stem(word, known) for word in content_words(text, known)]
