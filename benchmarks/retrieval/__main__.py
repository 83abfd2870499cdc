"""``python -m benchmarks.retrieval [--fit]``: prints how well documents answer and decline."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from apps.core.passages import COVERED_SCORE
from apps.knowledge.index.base import Scope
from apps.knowledge.index.fake import FakeIndex
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.found import Ranked
from apps.knowledge.retrieval.second_stage import CALIBRATIONS, INPUTS
from benchmarks.knowledge.errors import Mishearing
from benchmarks.retrieval.data import SPACE, Asked, Collection, collections
from benchmarks.retrieval.fit import Example, fit

PATIENT_MS = 60_000.0
SEED = 7


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and the pieces that were found for it, best first."""

    asked: Asked
    ranked: tuple[Ranked, ...]

    @property
    def places(self) -> list[str]:
        """Which pieces were found."""
        return [f"{r.stored.document.id}#{r.stored.chunk.position}" for r in self.ranked]

    @property
    def covered(self) -> bool:
        """Whether it is answered at all."""
        return bool(self.ranked) and self.ranked[0].score >= COVERED_SCORE


async def ask(collection: Collection, errors: bool) -> list[Answered]:
    """Ask all questions of a set."""
    index, embedder = FakeIndex(), HashingEmbedder()
    for document, chunks in collection.documents:
        texts = [" ".join((document.title, *c.headings, c.text)) for c in chunks]
        await index.replace(document, chunks, await embedder.embed(texts))
    search = DocumentSearch(index, embedder, deadline_ms=PATIENT_MS)
    scope = Scope((SPACE,), collection.language)
    texts = [asked.text for asked in collection.questions]
    heard = Mishearing(texts, collection.language).damage(texts, SEED) if errors else texts
    return [
        Answered(asked, (await search.find(text, scope)).ranked)
        for asked, text in zip(collection.questions, heard, strict=True)
    ]


def examples(answered: list[Answered], first: int) -> Iterator[Example]:
    """Yield what was found for the questions that are not held out."""
    for number, one in enumerate(answered, start=first):
        if one.asked.held_out:
            continue
        for place, ranked in list(zip(one.places, one.ranked, strict=True))[:10]:
            inputs = [ranked.features[name] for name in INPUTS]
            right = place == one.asked.answer
            yield Example(np.array(inputs), right, number, one.asked.answer is not None)


def renumbered(found: list[Example]) -> list[Example]:
    """Return examples whose questions are others than those of another set."""
    return [replace(example, question=example.question + 100_000) for example in found]


def report(name: str, answered: list[Answered]) -> str:
    """Return one line of figures."""
    have = [one for one in answered if one.asked.answer is not None]
    none = [one for one in answered if one.asked.answer is None]
    hit1 = sum(one.places[:1] == [one.asked.answer] for one in have) / len(have)
    hit5 = sum(one.asked.answer in one.places[:5] for one in have) / len(have)
    right = sum(one.covered and one.places[0] == one.asked.answer for one in have) / len(have)
    wrong = sum(one.covered and one.places[0] != one.asked.answer for one in have) / len(have)
    declined = sum(not one.covered for one in none) / len(none)
    return (
        f"{name:<28} {len(have):>4} {hit1:>6.2f} {hit5:>6.2f} {right:>9.2f} {wrong:>7.2f}"
        f" {len(none):>5} {declined:>9.2f}"
    )


def main() -> None:
    """Measure, and with ``--fit`` print what the code should hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="fit the score, and print it")
    wants_fit = parser.parse_args().fit
    print(
        f"{'set':<28} {'have':>4} {'hit@1':>6} {'hit@5':>6} {'answered':>9} {'wrong':>7}"
        f" {'none':>5} {'declined':>9}"
    )
    for language in CALIBRATIONS:
        found: dict[str, list[Example]] = {}
        for collection in collections(language):
            for errors in (False, True):
                answered = asyncio.run(ask(collection, errors))
                known = found.setdefault(collection.name, [])
                known += examples(answered, first=10_000 * errors)
                for held_out in (False, True):
                    half = [one for one in answered if one.asked.held_out is held_out]
                    name = f"{language} {collection.name} {'15 % errors' if errors else 'clean'}"
                    print(report(f"{name}{' held out' if held_out else ''}", half))
        if wants_fit:
            # What the kfz documents leave out they nearly say: 0.5 is set by the town's questions.
            calibration = fit([*found["town"], *renumbered(found["kfz"])], found["town"])
            weights = ", ".join(f"{weight:.2f}" for weight in calibration.weights)
            print(f'    "{language}": Calibration({calibration.bias:.2f}, ({weights})),')


if __name__ == "__main__":
    main()
