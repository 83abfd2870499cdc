"""A model of meanings helps to rank the entries where there is one, and is never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from apps.core.errors import EngineUnavailable
from apps.core.passages import COVERED_SCORE
from apps.knowledge import sensing, syllabus
from apps.knowledge.elsewhere import subjects_elsewhere
from apps.knowledge.entries import Entry
from apps.knowledge.index.base import Embedder, Vectors
from apps.knowledge.learning import learn
from apps.knowledge.ranking import EntryRanker
from apps.knowledge.retriever import Retriever
from apps.knowledge.senses import Sense, learn_sense
from apps.knowledge.sensing import Senses
from apps.knowledge.syllabus import syllabus_of
from benchmarks.knowledge.measure import WITH_MODEL, finders
from benchmarks.knowledge.model import Model

# What a model knows and words do not: which words mean the same.
MEANT = {
    "lake": ("lake", "pond", "mere", "lagoon", "tarn", "loch", "waters"),
    "tower": ("tower", "spire", "turret", "steeple", "belfry", "minaret", "keep"),
    "bread": ("bread", "loaf", "rolls", "baguette", "bagel", "pretzel", "toast"),
}
AXIS = {word: axis for axis, group in enumerate(MEANT.values()) for word in group}
# Known to the model, in no phrase of the entries.
UNSEEN = {"waters": "e-lake", "keep": "e-tower", "toast": "e-bread"}


class MeaningEmbedder:
    """Gives words of one meaning one axis, and all others a little of an axis of their own."""

    name, dimensions = "meanings", 64

    def __init__(self, fails: int = 0, from_call: int = 0) -> None:
        self.fails, self.from_call = fails, from_call
        self.asked: list[str] = []
        self.calls = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        if self.fails and self.calls > self.from_call:
            self.fails -= 1
            raise EngineUnavailable("The embeddings server cannot be reached: down.", hint="wait")
        self.asked += texts
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().strip("?.").split():
                if word in AXIS:
                    row[AXIS[word]] += 1.0
                else:
                    row[8 + sum(word.encode()) % 56] += 0.2
            row /= np.linalg.norm(row)
        return rows


def entries() -> list[Entry]:
    made = []
    for thing, (first, *others, _) in MEANT.items():
        variants = tuple(f"{frame} the {w}" for w in others for frame in ("find", "i want"))
        made.append(
            Entry(
                f"e-{thing}", f"Where is the {first}?", variants, (f"The {first} is here.",),
                "x", "en", "demo", f"demo/en/x.md#e-{thing}",
            )
        )  # fmt: skip
    return made


ENTRIES = entries()


@pytest.fixture(scope="module", autouse=True)
def few_subjects() -> Iterator[None]:
    """Learn from fewer questions that others answer: tens of times as fast, and enough here."""

    def some(own: Iterable[str], language: str) -> Iterator[tuple[str, ...]]:
        return islice(subjects_elsewhere(own, language), 40)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(syllabus, "subjects_elsewhere", some)
        yield


@pytest.fixture(scope="module")
def sense() -> Sense:
    return sense_of(MeaningEmbedder())


def sense_of(embedder: Embedder) -> Sense:
    taught = syllabus_of(ENTRIES, "en")
    vectors = asyncio.run(embedder.embed(taught.texts))
    return learn_sense(taught, learn(ENTRIES, "en", 0.3).lesson(taught), vectors)


@pytest.fixture
def retriever() -> Iterator[Retriever]:
    found = Retriever(ENTRIES)
    yield found
    found.close()


def vector(text: str) -> Vectors:
    found: Vectors = asyncio.run(MeaningEmbedder().embed([text]))[0]
    return found


def best(ranker: EntryRanker, query: str, by: Vectors | None) -> tuple[str, float]:
    ranked = ranker.rank(query, np.zeros(len(ENTRIES)), by)
    return (ENTRIES[ranked[0][0]].id, ranked[0][1]) if ranked else ("", 0.0)


def test_a_word_that_only_the_model_knows_finds_its_entry(sense: Sense) -> None:
    assert sense.helps
    ranker = EntryRanker(ENTRIES, "en")
    ranker.sense = sense
    for word, entry in UNSEEN.items():
        query = f"find the {word}"
        found, score = best(ranker, query, vector(query))
        assert found == entry
        assert score > 2 * best(ranker, query, None)[1]
    query = "can i pay my taxes here"
    assert best(ranker, query, vector(query))[1] < COVERED_SCORE


def test_without_a_vector_the_words_rank_as_if_there_were_no_model(sense: Sense) -> None:
    plain, taught = EntryRanker(ENTRIES, "en"), EntryRanker(ENTRIES, "en")
    taught.sense = sense
    bm25 = np.zeros(len(ENTRIES))
    for query in ("find the pond", "where is the loaf", "", "quite unknown"):
        assert taught.rank(query, bm25) == plain.rank(query, bm25)
        assert plain.rank(query, bm25, vector("find the pond")) == plain.rank(query, bm25)


def test_what_was_kept_says_what_was_learned(sense: Sense) -> None:
    again = Sense.from_arrays(sense.to_arrays())
    asked = vector("find the tarn")
    assert np.array_equal(again.looks_like(asked), sense.looks_like(asked))
    assert again.even_chance == sense.even_chance
    assert again.helps == sense.helps


def test_a_model_that_puts_all_texts_into_one_corner_tells_as_much(sense: Sense) -> None:
    class Cornered(MeaningEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            rows = await super().embed(texts)
            rows[:, 7] += 3.0
            return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    cornered = sense_of(Cornered())
    asked = asyncio.run(Cornered().embed(["find the waters"]))[0]
    assert cornered.hits == pytest.approx(sense.hits, abs=0.05)
    assert cornered.looks_like(asked).argmax() == sense.looks_like(vector("the waters")).argmax()


def test_the_entries_learn_from_the_model_once(tmp_path: Path, retriever: Retriever) -> None:
    embedder = MeaningEmbedder()
    first = Senses(retriever, embedder, tmp_path)
    told: list[tuple[int, int]] = []
    assert not retriever.knows_meanings("demo", "en")
    asyncio.run(first.learn(lambda done, of: told.append((done, of))))
    assert first.learned
    assert retriever.knows_meanings("demo", "en")
    assert told[-1][0] == told[-1][1] == len(embedder.asked) == len(set(embedder.asked))
    other = Retriever(ENTRIES)
    second = Senses(other, silent := MeaningEmbedder(), tmp_path)
    assert second.learned
    assert other.knows_meanings("demo", "en")
    assert not silent.asked
    query = "find the waters"
    found = [
        asyncio.run(one.search(query, language="en", profile="demo", vector=vector(query)))
        for one in (retriever, other)
    ]
    assert found[0] == found[1]
    assert found[0][0].entry_id == "e-lake"
    other.close()


def test_another_model_or_a_damaged_file_is_learned_anew(
    tmp_path: Path, retriever: Retriever
) -> None:
    asyncio.run(Senses(retriever, MeaningEmbedder(), tmp_path).learn())
    other = MeaningEmbedder()
    other.name = "another"
    assert not Senses(retriever, other, tmp_path).learned
    (path,) = tmp_path.glob("sense-*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    assert not Senses(retriever, MeaningEmbedder(), tmp_path).learned


async def test_a_server_that_is_down_is_tried_again_and_what_it_sent_is_not(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "_BATCH", 50)
    embedder = MeaningEmbedder(fails=2, from_call=1)
    senses = Senses(retriever, embedder, None, first_pause_s=0.01)
    learning = asyncio.create_task(senses.run())
    while embedder.fails:
        await asyncio.sleep(0.005)
        if embedder.calls > 1 and embedder.fails:
            assert "words alone so far" in senses.status
            assert not retriever.knows_meanings("demo", "en")
    await asyncio.wait_for(learning, 20)
    assert senses.learned
    assert senses.status == "helps to rank the entries"
    assert len(embedder.asked) == len(set(embedder.asked))


@pytest.mark.parametrize(
    "worse", [{"hits": 0.8, "hits_by_words": 0.9}, {"refusals": 0.8, "refusals_by_words": 0.9}]
)
def test_a_model_that_confuses_the_entries_or_their_border_is_not_used(
    retriever: Retriever,
    sense: Sense,
    monkeypatch: pytest.MonkeyPatch,
    worse: dict[str, float],
) -> None:
    confused = replace(sense, **worse)
    monkeypatch.setattr(sensing, "learn_sense", lambda *_: confused)
    senses = Senses(retriever, MeaningEmbedder(), None)
    asyncio.run(senses.learn())
    assert not retriever.knows_meanings("demo", "en")
    assert senses.status == "does not help with demo/en, ranked by words alone"


def test_the_benchmark_asks_with_a_model_as_a_call_does(retriever: Retriever) -> None:
    own = [
        Entry(e.id, e.question, e.variants, e.sentences, e.topic, "en", "kfz", e.source)
        for e in ENTRIES
    ]
    with Model(MeaningEmbedder()) as model:
        ways = finders(own, "en", model)
        model.prepare(["find the waters"])
        assert ways[WITH_MODEL]("find the waters")[0][0] == "e-lake"
    assert WITH_MODEL not in finders(own, "en")
