"""Decides what is to be done so that the index holds what lies in the folder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apps.knowledge.documents.folder import Look, Problem, SeenFile
from apps.knowledge.index.base import Document


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        changed: Files whose size, date or rules differ from what is indexed, with that.
        new: Files that are not indexed.
        gone: Documents whose files are no more.
        unchanged: Documents that are as they were; their files are not even opened.
        problems: What cannot be read; what is indexed of it stays.
    """

    changed: tuple[tuple[SeenFile, Document], ...]
    new: tuple[SeenFile, ...]
    gone: tuple[Document, ...]
    unchanged: tuple[Document, ...]
    problems: tuple[Problem, ...]

    @property
    def size(self) -> int:
        """How many documents are to be worked on."""
        return len(self.changed) + len(self.new) + len(self.gone) + len(self.problems)


def plan(
    known: Iterable[Document],
    looks: Iterable[Look],
    recipe: Callable[[str], str],
    *,
    again: bool = False,
) -> Plan:
    """Compare what is indexed with what lies in the folder.

    Args:
        known: What is indexed of the part that was looked at.
        looks: What lies there.
        recipe: How a space's documents are read now.
        again: Whether all are to be read again, changed or not.
    """
    documents = {document.id: document for document in known}
    changed, new, unchanged, problems = [], [], [], []
    for look in looks:
        if isinstance(look, Problem):
            problems.append(look)
            continue
        document = documents.pop(look.id, None)
        if document is None:
            new.append(look)
        elif not again and _same(document, look, recipe(look.space)):
            unchanged.append(document)
        else:
            changed.append((look, document))
    gone = (d for d in documents.values() if not _hidden(d.id, problems))
    return Plan(tuple(changed), tuple(new), tuple(gone), tuple(unchanged), tuple(problems))


def _same(document: Document, file: SeenFile, recipe: str) -> bool:
    facts = (document.size, document.mtime_ns, document.recipe)
    return facts == (file.size, file.mtime_ns, recipe)


def _hidden(document_id: str, problems: Iterable[Problem]) -> bool:
    """Whether a document may still be there: its file, or a folder above, cannot be looked at."""
    return any(
        problem.id in ("", document_id) or document_id.startswith(f"{problem.id}/")
        for problem in problems
    )
