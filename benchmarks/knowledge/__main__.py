"""The knowledge benchmark: ``python -m benchmarks.knowledge``; see docs/knowledge.md."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.core.resources import resource
from apps.knowledge.entries import Entry, load_elsewhere, load_entries
from apps.knowledge.index.endpoint import EndpointEmbedder
from benchmarks.knowledge.errors import Mishearing, word_error_rate
from benchmarks.knowledge.measure import PROFILE, Figures, figures, find, finders, threshold
from benchmarks.knowledge.model import Model
from benchmarks.knowledge.questions import LANGUAGES, PARTS, Half, load

# The figures with word errors are over so many ways to mishear each question.
HEARINGS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a way of searching, on one half of one language."""

    language: str
    half: Half
    errors: float
    by: str
    figures: Figures


def texts_of(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield every text of the entries."""
    for entry in entries:
        yield from (entry.question, *entry.variants, entry.answer)


def measure(language: str, halves: Sequence[Half], model: Model | None = None) -> Iterator[Row]:
    """Yield the figures of one language, clean and with word errors, half by half."""
    entries = [
        entry
        for entry in load_entries(resource("knowledge"))
        if (entry.profile, entry.language) == (PROFILE, language)
    ]
    mishearing = Mishearing(texts_of(entries), language)
    others = load_elsewhere(resource("knowledge")).get((PROFILE, language), ())
    ways = finders(entries, language, model, others)
    tuning = load(language, "tuning")
    if model is not None:
        model.prepare(question.text for question in tuning)
    thresholds = {
        name: threshold(name, find(way, tuning, [q.text for q in tuning]))
        for name, way in ways.items()
    }
    for half in halves:
        questions = load(language, half)
        said = [question.text for question in questions]
        heard = [text for seed in range(HEARINGS) for text in mishearing.damage(said, seed)]
        if model is not None:
            model.prepare([*said, *heard])
        for asked, texts in ((questions, said), (questions * HEARINGS, heard)):
            errors = word_error_rate([question.text for question in asked], texts)
            for name, way in ways.items():
                result = figures(find(way, asked, texts), thresholds[name])
                yield Row(language, half, round(errors, 3), name, result)


def line(row: Row) -> str:
    """Return a row of the table."""
    shares = " | ".join(f"{100 * share:.1f}" for share in asdict(row.figures).values())
    return f"| {row.language} | {row.half} | {100 * row.errors:.0f} % | {row.by} | {shares} |"


def model_of(options: argparse.Namespace) -> AbstractContextManager[Model | None]:
    """Return the model that the command line names, if any."""
    if not options.embeddings_url:
        return nullcontext()
    return Model(
        EndpointEmbedder(
            options.embeddings_url,
            model=options.embeddings_model,
            dimensions=options.embeddings_dimensions,
            timeout_s=60.0,
        )
    )


def main() -> None:
    """Measure, print the table, and write the JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=PARTS, help="only this part")
    parser.add_argument("--language", choices=LANGUAGES, help="only this language")
    parser.add_argument("--embeddings-url", metavar="URL", help="ask with a model of meanings, too")
    parser.add_argument("--embeddings-model", metavar="NAME", help="the model, as its server says")
    parser.add_argument("--embeddings-dimensions", metavar="N", type=int, default=768)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args()
    if options.embeddings_url and not options.embeddings_model:
        parser.error("--embeddings-url needs --embeddings-model")
    halves = PARTS if options.half is None else (options.half,)
    print("| | half | word errors | by | hit@1 | hit@5 | nDCG | right refusals | wrong refusals |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    with model_of(options) as model:
        for language in (options.language,) if options.language else LANGUAGES:
            for row in measure(language, halves, model):
                rows.append(row)
                print(line(row), flush=True)
    if options.json is not None:
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        result = {"machine": machine, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
