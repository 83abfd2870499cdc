"""A question's vector is made once a turn, and nobody waits for it longer than it is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from apps.core.errors import EngineUnavailable
from apps.core.passages import Within
from apps.knowledge import syllabus
from apps.knowledge.elsewhere import subjects_elsewhere
from apps.knowledge.entries import Entry
from apps.knowledge.index.base import Vectors
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex
from apps.knowledge.index.sharing import SharedEmbedder
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.knowledge import KnowledgeBase
from apps.knowledge.retrieval.meaning import MISSES, REST_S, QuestionMeaning
from apps.knowledge.retriever import Retriever
from apps.knowledge.sensing import Senses
from apps.running_knowledge import ModelStatus, OpenedKnowledge, open_knowledge
from apps.settings import Settings
from apps.store.database import open_database

ENTRIES = [
    Entry(
        f"e-{i}", f"Where is the {thing}?",
        (f"the {thing} please", f"find the {thing}", f"i want to see the {thing}"),
        (f"The {thing} is here.",), "x", "en", "demo", f"demo/en/x.md#e-{i}",
    )
    for i, thing in enumerate(("lakeside", "tower", "bakery"))
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_subjects() -> Iterator[None]:
    """Learn from fewer questions that others answer: tens of times as fast, and enough here."""

    def some(own: Iterable[str], language: str) -> Iterator[tuple[str, ...]]:
        return islice(subjects_elsewhere(own, language), 40)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(syllabus, "subjects_elsewhere", some)
        yield


class CountingEmbedder(FakeEmbedder):
    """Counts what it is asked, and fails while it is told to."""

    def __init__(self, delay_s: float = 0.0) -> None:
        super().__init__(delay_s=delay_s)
        self.asked: list[tuple[str, ...]] = []
        self.ended = 0
        self.down = False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(tuple(texts))
        try:
            if self.down:
                await asyncio.sleep(0)
                raise EngineUnavailable("The embeddings server cannot be reached.", hint="wait")
            return await super().embed(texts)
        finally:
            self.ended += 1


async def test_who_asks_at_once_and_who_asks_later_share_one_answer() -> None:
    inner = CountingEmbedder(delay_s=0.01)
    shared = SharedEmbedder(inner)
    both = await asyncio.gather(*(shared.embed(["the tower"]) for _ in range(2)))
    again = await shared.embed(["the tower"])
    assert inner.asked == [("the tower",)]
    assert np.array_equal(both[0], both[1])
    assert np.array_equal(both[0], again)
    with pytest.raises(ValueError, match="read-only"):
        again[0, 0] = 1.0
    await shared.embed(["a", "b"])
    await shared.embed(["a", "b"])
    assert inner.asked[1:] == [("a", "b")] * 2


async def test_who_gives_up_waiting_takes_the_answer_from_nobody_else() -> None:
    inner = CountingEmbedder(delay_s=0.02)
    shared = SharedEmbedder(inner)
    first, second = (asyncio.create_task(shared.embed(["the tower"])) for _ in range(2))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await second).any()
    assert first.cancelled()


async def test_when_nobody_waits_any_more_the_request_ends() -> None:
    inner = CountingEmbedder(delay_s=30.0)
    shared = SharedEmbedder(inner)
    waits = [asyncio.create_task(shared.embed(["the tower"])) for _ in range(2)]
    await asyncio.sleep(0.005)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    await asyncio.sleep(0)
    assert inner.ended == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    inner = CountingEmbedder()
    inner.down = True
    shared = SharedEmbedder(inner)
    both = await asyncio.gather(*(shared.embed(["x"]) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(one, EngineUnavailable) for one in both)
    inner.down = False
    assert len(await shared.embed(["x"])) == 1
    assert len(inner.asked) == 2


@pytest.mark.parametrize("trouble", ["late", "down"])
async def test_after_some_misses_no_question_waits_for_a_while(trouble: str) -> None:
    now = 100.0
    inner = CountingEmbedder(delay_s=30.0 if trouble == "late" else 0.0)
    inner.down = trouble == "down"
    meaning = QuestionMeaning(inner, 15, clock=lambda: now)
    for _ in range(MISSES):
        assert not meaning.resting
        assert await meaning.of("the tower") is None
    assert meaning.resting
    assert await meaning.of("the tower") is None
    assert len(inner.asked) == MISSES
    now += REST_S
    inner.down, inner.delay_s = False, 0.0
    found = await meaning.of("the tower")
    assert found is not None
    assert found.shape == (inner.dimensions,)


async def test_a_miss_now_and_then_is_forgotten() -> None:
    inner = CountingEmbedder()
    meaning = QuestionMeaning(inner, 1000)
    for turn in range(3 * MISSES):
        inner.down = turn % MISSES != 0
        assert (await meaning.of(f"tower {turn}") is None) == inner.down
    assert not meaning.resting


async def test_a_question_without_words_has_no_meaning() -> None:
    assert await QuestionMeaning(CountingEmbedder(), 1000).of(" ") is None


async def test_entries_and_documents_share_the_vector_and_late_ones_change_nothing() -> None:
    inner = CountingEmbedder()
    shared = SharedEmbedder(inner)
    retriever = Retriever(ENTRIES)
    words_alone = await KnowledgeBase(retriever).look("the tower", "en", "demo", 3, Within(("s",)))
    senses = Senses(retriever, shared, None)
    await senses.learn()
    assert retriever.knows_meanings("demo", "en")
    documents = DocumentSearch(FakeIndex(), shared)
    base = KnowledgeBase(retriever, documents, meaning=QuestionMeaning(shared, 1000))
    inner.asked.clear()
    found = await base.look("the tower", "en", "demo", 3, Within(("s",)))
    assert inner.asked == [("the tower",)]
    assert found.ms["meaning"] >= 0
    assert found.entries[0].entry_id == "e-1"
    assert found.entries != words_alone.entries
    inner.delay_s = 30.0
    slow = KnowledgeBase(retriever, meaning=QuestionMeaning(inner, 15))
    late = await slow.look("the tower", "en", "demo", 3, Within(("s",)))
    assert late.entries == words_alone.entries
    retriever.close()


async def test_without_a_model_nothing_is_asked_and_no_time_is_told() -> None:
    inner = CountingEmbedder()
    retriever = Retriever(ENTRIES)
    base = KnowledgeBase(retriever, meaning=QuestionMeaning(inner, 1000))
    found = await base.look("the tower", "en", "demo", 3, Within())
    assert "meaning" not in found.ms
    assert not inner.asked
    assert OpenedKnowledge(base).model_status() is None
    retriever.close()


async def test_operators_see_whether_the_model_serves() -> None:
    inner = CountingEmbedder()
    inner.down = True
    retriever = Retriever(ENTRIES)
    senses, meaning = Senses(retriever, inner, None), QuestionMeaning(inner, 1000)
    opened = OpenedKnowledge(KnowledgeBase(retriever), None, senses, meaning)

    def told() -> ModelStatus:
        status = opened.model_status()
        assert status is not None
        return status

    assert not told().up
    with pytest.raises(EngineUnavailable):
        await senses.learn()
    assert "cannot be reached" in told().why
    inner.down = False
    await senses.learn()
    assert told().up
    inner.down = True
    for _ in range(MISSES):
        await meaning.of("x")
    assert "too late" in told().why
    retriever.close()


@pytest.mark.parametrize("documents", [True, False])
async def test_a_server_of_embeddings_ranks_the_entries_too_once_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        data_dir=tmp_path,
        embeddings_url="http://127.0.0.1:9",
        embeddings_model="small",
        kb_answers=documents,
        kb_deadline_ms=50,
    )
    async with AsyncExitStack() as stack:
        store = open_database(settings.store)
        stack.push_async_callback(store.aclose)
        retriever = Retriever(ENTRIES)
        stack.callback(retriever.close)
        opened = await open_knowledge(settings, retriever, store, stack)
        assert opened.senses is not None
        assert opened.model_status() == ModelStatus(
            "small-768", False, "is learning demo/en from its vectors"
        )
        with pytest.raises(EngineUnavailable):
            await opened.senses.learn()
        found = await opened.base.search("the tower", language="en", profile="demo")
        assert found[0].entry_id == "e-1"
        without = settings.model_copy(update={"embeddings_url": ""})
        plain = await open_knowledge(without, retriever, store, stack)
        assert plain.senses is None
        assert plain.model_status() is None
