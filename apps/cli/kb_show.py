"""What `tom kb` says of documents: to people, and as JSON to programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.core.plural import plural
from apps.knowledge.documents.outcome import Outcome, Result
from apps.knowledge.index.base import Document


def console_for(as_json: bool) -> Console:
    """Return where people are told things: beside JSON, which is for programs."""
    return Console(stderr=as_json, quiet=False)


def show(console: Console, outcome: Outcome, as_json: bool, *, watching: bool = False) -> None:
    """Tell of one document: everything to programs, what needs looking at to people."""
    if as_json:
        print(json.dumps(_told(outcome), ensure_ascii=False), flush=True)
        return
    name = escape(outcome.id)
    match outcome.result:
        case Result.FAILED if outcome.error is not None:
            told = f"{escape(outcome.error.message)} \\[{outcome.error.code}]"
            console.print(f"[red]failed[/] {name}: {told}", soft_wrap=True)
            if outcome.error.hint:
                console.print(f"  {escape(outcome.error.hint)}", soft_wrap=True)
        case Result.DUPLICATE:
            same = escape(outcome.same_as)
            console.print(f"[yellow]left out[/] {name}: the same as {same}", soft_wrap=True)
        case Result.POOR:
            quality = f"its quality is {outcome.quality or 0:.2f}"
            console.print(f"[yellow]left out[/] {name}: {quality}", soft_wrap=True)
        case result if watching:
            count = f", {plural(outcome.passages, 'passage')}" if outcome.passages else ""
            console.print(f"[green]{result}[/] {name}{count}", soft_wrap=True)


def _told(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": outcome.id,
        "result": outcome.result.value,
        "passages": outcome.passages,
        "quality": outcome.quality,
        "redacted": dict(outcome.redacted),
    }
    if outcome.error is not None:
        told["error"] = outcome.error.as_dict()
    if outcome.same_as:
        told["same_as"] = outcome.same_as
    return told


def sum_up(console: Console, outcomes: Sequence[Outcome], as_json: bool) -> None:
    """Tell a run's counts, and how much personal data was taken out."""
    if as_json:
        return
    counts = Counter(one.result for one in outcomes)
    told = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
    passages = sum(one.passages for one in outcomes)
    console.print(f"{told}; {plural(passages, 'passage')}." if told else "Nothing has changed.")
    redacted: Counter[str] = Counter()
    for outcome in outcomes:
        redacted.update(outcome.redacted)
    if redacted:
        kinds = ", ".join(f"{n} {kind}" for kind, n in redacted.most_common())
        console.print(f"Taken out as personal data: {kinds}. What is public: space.yaml.")


def is_failure(outcome: Outcome, paths: Sequence[Path]) -> bool:
    """Whether an outcome makes the exit status 1: a picture among documents does not."""
    if outcome.result is not Result.FAILED:
        return False
    return bool(paths) or outcome.error is None or outcome.error.code != "unsupported"


def show_documents(console: Console, documents: Sequence[Document], as_json: bool) -> None:
    """List documents."""
    if as_json:
        for document in documents:
            print(json.dumps(_facts(document), ensure_ascii=False))
        return
    if not documents:
        console.print("Nothing is indexed. tom kb add FILE puts a document in.")
        return
    table = Table("document", "title", "language", "changed (UTC)", box=None)
    table.add_column("KiB", justify="right")
    table.add_column("quality", justify="right")
    for document in documents:
        table.add_row(
            escape(document.id),
            escape(document.title),
            document.language,
            _time(document.mtime_ns),
            f"{document.size / 1024:.0f}",
            f"{document.quality:.2f}",
        )
    console.print(table)


def show_stats(
    console: Console, documents: Sequence[Document], passages: int, as_json: bool
) -> None:
    """Tell how much is indexed, by space."""
    spaces = {space: _space(documents, space) for space in sorted({d.space for d in documents})}
    if as_json:
        told = {"documents": len(documents), "passages": passages, "spaces": spaces}
        print(json.dumps(told, ensure_ascii=False))
        return
    table = Table("space", "languages", "newest (UTC)", box=None)
    for name in ("documents", "MiB", "mean quality"):
        table.add_column(name, justify="right")
    for space, facts in spaces.items():
        table.add_row(
            escape(space),
            ", ".join(f"{name} {n}" for name, n in sorted(facts["languages"].items())),
            facts["newest"],
            str(facts["documents"]),
            f"{facts['bytes'] / 2**20:.1f}",
            f"{facts['quality']:.2f}",
        )
    console.print(table)
    all_of_them = plural(len(documents), "document")
    console.print(f"{all_of_them} with {plural(passages, 'passage')}.")


def _facts(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "language": document.language,
        "media_type": document.media_type,
        "bytes": document.size,
        "sha256": document.sha256,
        "quality": document.quality,
    }


def _space(documents: Sequence[Document], space: str) -> dict[str, Any]:
    own = [d for d in documents if d.space == space]
    return {
        "documents": len(own),
        "bytes": sum(d.size for d in own),
        "languages": dict(Counter(d.language for d in own)),
        "quality": sum(d.quality for d in own) / len(own),
        "newest": _time(max(d.mtime_ns for d in own)),
    }


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%d %H:%M}"
