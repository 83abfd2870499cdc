"""What full text search compares: the stems of a text's words, the same in every database."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.core.words import words
from apps.knowledge.index.base import Chunk, Document
from apps.knowledge.terms import PARTICLES, content_words, lexicon, stem

LANGUAGES = ("de", "en")
_CLAUSE = re.compile(r"[.,;:!?()\n]+")
MAX_QUERY_TERMS = 24
"""A caller's question has fewer; what is longer was not asked."""


def passage_words(document: Document, chunk: Chunk) -> str:
    """Return the words that a passage is found by, its title's and headings' among them."""
    language = _known(chunk.language)
    text = "\n".join((document.title, *chunk.headings, chunk.text))
    found = (word for clause in _CLAUSE.split(text) for word in _content(clause, language))
    return " ".join(stem(word, language) for word in found)


def question_words(query: str, language: str | None) -> tuple[str, ...]:
    """Return the words to search for, each once; of every language where none is given."""
    languages: Sequence[str] = LANGUAGES if language is None else (_known(language),)
    found = dict.fromkeys(
        stem(word, name) for name in languages for word in content_words(query, name)
    )
    return tuple(found)[:MAX_QUERY_TERMS]


def _content(clause: str, language: str) -> list[str]:
    """Return a clause's words without stop words, its verb whole where German divides it.

    Only a particle at the clause's end is a verb's; elsewhere it is a preposition, and there are
    many of those in a passage.
    """
    found = words(clause)
    if language == "de" and found and found[-1] in PARTICLES:
        return content_words(clause, language)
    stop_words = lexicon(language).stop_words
    return [word for word in found if word not in stop_words]


def _known(language: str) -> str:
    return language if language in LANGUAGES else "en"
