"""Documents are searched by words and vectors at once, in their scope, before a deadline."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from apps.core.errors import EngineUnavailable, StoreError
from apps.core.passages import Within
from apps.knowledge.index.base import Chunk, Document, Scope
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.found import Outcome
from apps.knowledge.retrieval.knowledge import KnowledgeBase
from apps.knowledge.retrieval.log import row_of
from apps.store.batch_writer import MAX_WAITING
from apps.store.database import open_database
from apps.store.retrieval_log import (
    RetrievalWriter,
    purge_retrievals,
    retrievals_of,
)
from tests.calls import knowledge

NEVER_S, PATIENT_MS, SHORT_MS = 60.0, 10_000.0, 700.0
POOL = Document("pool", "town", "The pool", "pool.md", "text/markdown", "en", "", 0, 0, 1.0)
SAUNA = Chunk(0, "The sauna opens daily at 11:00.", ("Sauna",), None, "en")
SCOPE = Scope(("town",), "en")


class BrokenIndex(FakeIndex):
    async def by_words(self, query, scope, k):
        raise StoreError("The disk is gone.")

    by_vector = by_words


class BrokenEmbedder(FakeEmbedder):
    async def embed(self, texts):
        raise EngineUnavailable("No server.")


async def filled(index, *documents):
    embedder = FakeEmbedder()
    for document in documents or (POOL,):
        await index.replace(document, [SAUNA], await embedder.embed([SAUNA.text]))
    return index


def find(index=None, embedder=None, scope=SCOPE, deadline_ms=PATIENT_MS, documents=()):
    async def run():
        full = await filled(index or FakeIndex(), *documents)
        search = DocumentSearch(full, embedder or FakeEmbedder(), deadline_ms=deadline_ms)
        return await search.find("when does the sauna open", scope)

    return asyncio.run(run())


def test_both_halves_find_and_every_stage_is_timed():
    found = find()
    assert found.outcome is Outcome.COMPLETE
    assert found.ranked[0].word_rank == found.ranked[0].vector_rank == 1
    assert set(found.ms) == {"words", "vector", "load", "second"}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(("other",), "en"),
        Scope(("town",), "de"),
        Scope(("town",), "en", tenant="other"),
    ],
)
def test_nothing_of_another_space_language_or_tenant_is_found(scope):
    assert find(scope=scope).ranked == ()


def test_a_tenant_finds_its_own_documents_alone():
    theirs = replace(POOL, tenant="b", title="Theirs")
    found = find(scope=Scope(("town",), "en", tenant="b"), documents=(POOL, theirs))
    assert [ranked.stored.document.title for ranked in found.ranked] == ["Theirs"]


def test_a_turn_goes_on_with_the_vectors_where_the_words_are_late():
    found = find(FakeIndex(delay_s=NEVER_S), deadline_ms=SHORT_MS)
    assert (found.outcome, len(found.ranked)) == (Outcome.VECTOR_ALONE, 1)


def test_a_turn_goes_on_with_the_words_where_the_vector_is_late():
    found = find(embedder=FakeEmbedder(delay_s=NEVER_S), deadline_ms=SHORT_MS)
    assert (found.outcome, len(found.ranked)) == (Outcome.WORDS_ALONE, 1)


def test_a_turn_goes_on_with_the_words_where_the_embeddings_server_fails():
    found = find(embedder=BrokenEmbedder())
    assert (found.outcome, len(found.ranked)) == (Outcome.WORDS_ALONE, 1)


def test_where_nothing_comes_in_time_there_is_nothing_and_it_is_said():
    late = find(FakeIndex(delay_s=NEVER_S), FakeEmbedder(delay_s=NEVER_S), deadline_ms=100)
    assert (late.outcome, late.ranked) == (Outcome.LATE, ())


def test_a_broken_index_takes_no_call_down():
    broken = find(BrokenIndex())
    assert (broken.outcome, broken.ranked) == (Outcome.FAILED, ())


def test_an_entry_answers_while_the_documents_are_late():
    async def run():
        index = await filled(FakeIndex(delay_s=NEVER_S))
        slow = DocumentSearch(index, FakeEmbedder(delay_s=NEVER_S), deadline_ms=50)
        seen = []
        base = KnowledgeBase(knowledge(), slow, observer=lambda *told: seen.append(told))
        question = "how much does it cost to register a car"
        within = Within(("town",), call_ref="c" * 32)
        passages = await base.search(question, language="en", profile="kfz", within=within)
        return passages, seen

    passages, ((lookup, found),) = asyncio.run(run())
    assert passages[0].entry_id == "fee-registration"
    assert found.documents.outcome is Outcome.LATE
    row = row_of(lookup, found, b"k" * 32)
    assert row.deadline_hit
    assert row.call_ref == "c" * 32
    assert row.candidates[0]["id"] == "fee-registration"
    assert "register" not in repr(row)


def test_a_cancelled_turn_leaves_no_search_behind():
    async def run():
        index = await filled(FakeIndex(delay_s=NEVER_S))
        search = DocumentSearch(index, FakeEmbedder(), deadline_ms=PATIENT_MS)
        base = KnowledgeBase(knowledge(), search)
        asking = base.search("sauna", language="en", profile="kfz", within=Within(("town",)))
        task = asyncio.create_task(asking)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.05)
        return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    assert asyncio.run(run()) == []


def some_row(**changes):
    async def run():
        seen = []
        base = KnowledgeBase(knowledge(), observer=lambda *told: seen.append(told))
        await base.search("how much is it", language="en", profile="kfz")
        return seen[0]

    return replace(row_of(*asyncio.run(run()), b"k" * 32), **changes)


def test_equal_questions_have_equal_hashes_under_one_key_and_no_other():
    one = some_row()
    assert one.query_hash == some_row().query_hash
    assert len(one.query_hash) == 32


def test_retrievals_are_written_in_batches_and_read_again(tmp_path):
    row = some_row(call_ref="c" * 32)

    async def run():
        db = open_database(tmp_path / "tom.db")
        async with RetrievalWriter(db, flush_ms=1) as writer:
            for _ in range(3):
                writer.put(row)
        with db.reading() as conn:
            found = retrievals_of(conn, "c" * 32)
        with db.transaction() as conn:
            gone = purge_retrievals(conn, row.at_hour.replace(year=row.at_hour.year + 1))
        await db.aclose()
        return found, gone

    found, gone = asyncio.run(run())
    assert (len(found), gone) == (3, 3)
    assert found[0].candidates == row.candidates
    assert found[0].at_hour.minute == 0


def test_a_log_that_cannot_follow_loses_rows_and_counts_them(tmp_path):
    row, lost = some_row(), []

    async def run():
        db = open_database(tmp_path / "tom.db")
        writer = RetrievalWriter(db, on_lost=lost.append)
        for _ in range(MAX_WAITING + 2):
            writer.put(row)
        await db.aclose()
        return writer.lost

    assert asyncio.run(run()) == sum(lost) == 2


def test_the_fake_embedder_gives_rows_of_unit_length():
    rows = asyncio.run(FakeEmbedder().embed(["the sauna", "a library"]))
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1.0, 1.0])
