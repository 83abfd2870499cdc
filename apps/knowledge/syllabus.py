"""What a classifier of entries is taught: texts, and which entry each belongs to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.knowledge.elsewhere import subjects_elsewhere
from apps.knowledge.entries import Entry


@dataclass(frozen=True, slots=True)
class Syllabus:
    """Labelled texts: callers' questions first, then the answers' sentences.

    Attributes:
        texts: The entries' phrases, examples of what is asked elsewhere, the entries' sentences.
        labels: The class of each text: its entry's position, or ``none``.
        groups: The size and the class of each group of questions that belong together; they come
            first in ``texts``, in this order.
        none: The class of what no entry covers: the last one.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    none: int


def syllabus_of(
    entries: Sequence[Entry], language: str, not_answered: Sequence[str] = ()
) -> Syllabus:
    """Return what is taught of the entries of one profile and language.

    Args:
        entries: The entries.
        language: Their language.
        not_answered: Questions that none of them answers, beside what is asked of others anywhere.
    """
    none = len(entries)
    groups: list[tuple[tuple[str, ...], int]] = [
        ((text,), label)
        for label, entry in enumerate(entries)
        for text in (entry.question, *entry.variants)
    ]
    elsewhere = subjects_elsewhere([entry.question for entry in entries], language)
    groups += [(group, none) for group in elsewhere]
    groups += [((text,), none) for text in not_answered]
    known = [(text, label) for group, label in groups for text in group]
    known += [(told, label) for label, entry in enumerate(entries) for told in entry.sentences]
    texts, labels = zip(*known, strict=True)
    return Syllabus(texts, labels, tuple((len(group), label) for group, label in groups), none)
