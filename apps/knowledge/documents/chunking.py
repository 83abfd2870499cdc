"""Cuts blocks into passages: whole sentences, under one heading, of a size to be spoken from. Pure.

Streaming: of a document of any size, two passages are held at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from apps.core.sentences import split_sentences
from apps.knowledge.documents.blocks import Block

BASE_CHARS, MOST_CHARS = 600, 2400
# A file this large gives some 20,000 passages of the base size; larger ones get longer passages.
_GROWS_FROM_BYTES = 12_000_000
_OVER = 1.5
_SMALL = 1 / 4
_ENDS = (".", "!", "?", ":", ";", "…", '."', ".“", ".)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage before its language and its place are known; ``whole`` as in ``Block``."""

    text: str
    headings: tuple[str, ...]
    page: int | None
    whole: bool = False


def target_chars(file_bytes: int) -> int:
    """Return how long the passages of a file should be: 600 characters, up to 2400 of huge ones."""
    return min(MOST_CHARS, max(BASE_CHARS, BASE_CHARS * file_bytes // _GROWS_FROM_BYTES))


def cut(blocks: Iterable[Block], target: int) -> Iterator[Piece]:
    """Yield passages of about ``target`` characters.

    A passage never crosses a heading; sentences are cut only where one alone is far too long; a
    short rest joins the passage before it under the same heading.
    """
    draft, held = _Draft(), None
    for piece in _pieces(blocks, target, draft):
        if held is not None and _joins(held, piece, target):
            held = Piece(f"{held.text} {piece.text}", held.headings, held.page)
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


def _joins(held: Piece, piece: Piece, target: int) -> bool:
    if held.whole or piece.whole or held.headings != piece.headings or held.page != piece.page:
        return False
    return len(piece.text) < target * _SMALL and len(held.text) < target * _OVER


@dataclass(slots=True)
class _Draft:
    """The passage that is being filled."""

    sentences: list[str] = field(default_factory=list)
    size: int = 0
    headings: tuple[str, ...] = ()
    page: int | None = None
    whole: bool = False

    def take(self) -> Piece:
        """Return the passage and begin anew."""
        piece = Piece(" ".join(self.sentences), self.headings, self.page, self.whole)
        self.sentences, self.size = [], 0
        return piece


def _pieces(blocks: Iterable[Block], target: int, draft: _Draft) -> Iterator[Piece]:
    for block in blocks:
        another_page = block.page != draft.page and draft.size >= target / 2
        if draft.sentences and (block.headings != draft.headings or block.whole or another_page):
            yield draft.take()
        if not draft.sentences:
            draft.headings, draft.page, draft.whole = block.headings, block.page, block.whole
        for sentence in _sentences(block.text, target):
            if draft.sentences and draft.size + len(sentence) > target:
                yield draft.take()
                draft.page = block.page
            draft.sentences.append(sentence)
            draft.size += len(sentence) + 1
        if draft.sentences and block.whole:
            yield draft.take()
    if draft.sentences:
        yield draft.take()


def _sentences(text: str, target: int) -> Iterator[str]:
    """Yield a block's sentences, the last one closed by a stop, none far over the target."""
    found = split_sentences(text)
    if found and not found[-1].endswith(_ENDS):
        found[-1] += "."
    for sentence in found:
        at = 0
        while len(sentence) - at > target * _OVER:
            space = max(sentence.rfind(sign, at + target // 2, at + target) for sign in " ;,")
            end = space if space > 0 else at + target - 1
            yield sentence[at : end + 1].strip()
            at = end + 1
        if rest := sentence[at:].strip():
            yield rest
