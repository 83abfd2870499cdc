"""Which passages a sentence rests on, and how a source is named aloud. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from apps.core.passages import Citation, Passage
from apps.core.redaction import PLACEHOLDER
from apps.core.words import words
from apps.llm.style import wording

_TELLING_LENGTH = 4
_ENOUGH_SHARED = 0.6
_ENOUGH_WORDS = 2
_MARK = re.compile(r"\s*\[\d{1,2}\](?=\W|$)")
_MOST_NAMED = 2


def without_marks(sentence: str) -> str:
    """Return a sentence without marks such as [1], by which a model names what it was given."""
    return _MARK.sub("", sentence).strip()


def rests_on(sentence: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Return the passage that a sentence was made from; none for one that tells nothing of any.

    A sentence that stands in a passage rests on it. One in other words rests on the passage that
    has most of its telling words, if that is most of them.

    Args:
        sentence: As it will be said.
        passages: What the answer may rest on, best first.
    """
    said = words(sentence)
    telling = {word for word in said if len(word) >= _TELLING_LENGTH or word.isdigit()}
    run = f" {' '.join(said)} "
    for passage in passages:
        if len(said) > _ENOUGH_WORDS and run in f" {' '.join(words(passage.text))} ":
            return (passage,)
    if len(telling) < _ENOUGH_WORDS:
        return ()
    shares = [len(telling & set(words(passage.text))) / len(telling) for passage in passages]
    best = max(range(len(passages)), key=lambda i: (shares[i], -i), default=None)
    if best is None or shares[best] < _ENOUGH_SHARED:
        return ()
    return (passages[best],)


def spoken_source(citations: Sequence[Citation], language: str) -> str:
    """Return what a caller is told who asks where an answer came from; "" without a citation."""
    says = wording(language)
    named = {_place(citation): citation for citation in citations}.values()
    sentences = [
        says.source("also" if number else "first", _named(citation, language))
        for number, citation in enumerate(list(named)[:_MOST_NAMED])
    ]
    return " ".join(sentences)


def _place(citation: Citation) -> tuple[str, int | None]:
    return citation.title, citation.page


def _named(citation: Citation, language: str) -> str:
    says = wording(language)
    if not citation.document_id:
        return says.source("entry", citation.title.rstrip("?.! "))
    title = _sayable(citation.title) or PurePosixPath(citation.source).stem
    named = says.source("document", title)
    if citation.page is not None:
        return named + says.source("page", str(citation.page))
    heading = _sayable(citation.headings[-1]) if citation.headings else ""
    return named + says.source("heading", heading) if heading not in ("", title) else named


def _sayable(title: str) -> str:
    """Return a title without placeholders of what was taken out of it."""
    return " ".join(PLACEHOLDER.sub(" ", title).split())
