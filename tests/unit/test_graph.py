"""The graph relates what is known, from documents, entries and approved insights alone."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError
from apps.core.passages import COVERED_SCORE
from apps.knowledge.entries import Entry
from apps.knowledge.graph import rows
from apps.knowledge.graph.base import ALLOWED, Edge, EdgeType, Node, NodeType, Part, check
from apps.knowledge.graph.build import of_document, of_entries, of_insight
from apps.knowledge.graph.feeding import Feeder
from apps.knowledge.graph.graph import KnowledgeGraph
from apps.knowledge.graph.keeping import GraphKeeper
from apps.knowledge.graph.store import GraphDatabase
from apps.knowledge.index.base import Chunk, Document, Scope
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from apps.store.database import open_database
from apps.store.insights import Insight, InsightState, decide, insights, propose

PATIENT_MS = 60_000.0
TENANT = "default"
SCOPE = Scope(("town",), "en")
DOGS = Document("town/dogs", "town", "Dogs", "dogs.md", "text/markdown", "en", "1", 0, 0, 1.0)
PIECES = (
    Chunk(0, "Dogs are welcome in the town.", (), None, "en"),
    Chunk(1, "A dog is registered within two weeks.", ("Licence", "Register a dog"), 1, "en"),
    Chunk(2, "A dead dog is deregistered in two weeks.", ("Licence", "Deregister a dog"), 1, "en"),
    Chunk(3, "Dogs wear a leash in the park.", ("Leash",), 2, "en"),
)  # fmt: skip
TOO_MUCH = Insight(
    "",
    InsightState.PROPOSED,
    "en",
    "town",
    "That is too expensive",
    ("that is too much money", "i cannot afford that"),
    "I understand. You can pay the fees in instalments.",
    "families",
)


APPROVED = replace(TOO_MUCH, id="a1")
HEARD = "well that is too expensive for me"


def test_sections_belong_to_what_is_above_them_and_the_widest_to_the_document():
    part = of_document(DOGS, PIECES)
    names = {node.id: node.name for node in part.nodes}
    belongs = {(names[e.start], names[e.end]) for e in part.edges}
    assert belongs == {
        ("Licence", "Dogs"),
        ("Register a dog", "Licence"),
        ("Deregister a dog", "Licence"),
        ("Leash", "Dogs"),
    }
    of = {node.name: node.passages for node in part.nodes}
    assert of["Register a dog"] == ("town/dogs#1",)
    assert of["Dogs"] == ("town/dogs#0",)


def test_an_insight_becomes_an_objection_that_a_strategy_handles():
    part = of_insight(replace(TOO_MUCH, id="a1"))
    kinds = {node.id: node.type for node in part.nodes}
    assert [(kinds[e.start], e.type, kinds[e.end]) for e in part.edges] == [
        (NodeType.OBJECTION, EdgeType.HANDLES, NodeType.STRATEGY),
        (NodeType.STRATEGY, EdgeType.EFFECTIVE_FOR, NodeType.PERSONA),
    ]


headings = st.lists(st.text("abc ", min_size=1, max_size=5), max_size=4).map(tuple)


@given(st.lists(headings, max_size=8))
def test_whatever_the_headings_ids_are_unique_and_edges_lead_between_allowed_nodes(paths):
    chunks = [Chunk(i, "Text.", path, None, "en") for i, path in enumerate(paths)]
    part = of_document(DOGS, chunks)
    ids = [node.id for node in part.nodes]
    assert len(set(ids)) == len(ids)
    assert {e.start for e in part.edges} | {e.end for e in part.edges} <= set(ids)
    check(part)
    found = [passage for node in part.nodes for passage in node.passages]
    assert sorted(found) == sorted(f"town/dogs#{i}" for i in range(len(paths)))


@pytest.mark.parametrize("kind", list(EdgeType))
def test_an_edge_between_nodes_that_it_does_not_relate_is_refused(kind):
    start, end = next((a, b) for a in NodeType for b in NodeType if (a, b) not in ALLOWED[kind])
    nodes = tuple(Node(name, t, name, "", "s", "town") for name, t in (("a", start), ("b", end)))
    with pytest.raises(ValueError, match="does not relate"):
        check(Part(nodes, (Edge(kind, "a", "b"),)))


class World:
    """One database with documents and a graph, fed."""

    def __init__(self, where):
        self.embedder = HashingEmbedder()
        self.index = open_index(where, self.embedder)
        self.db = open_database(where)
        self.graphs = GraphDatabase(self.db, self.embedder.name)
        self.feeder = Feeder(self.graphs, self.embedder, self.db)
        self.graph = KnowledgeGraph(self.graphs, self.embedder, deadline_ms=PATIENT_MS)

    def run(self, work):
        """Run it to its end in a loop of its own, and close what it opened there."""

        async def closing():
            try:
                return await work
            finally:
                await self.index.aclose()
                await self.db.aclose()

        return asyncio.run(closing())

    async def put(self, document, pieces):
        vectors = await self.embedder.embed([piece.text for piece in pieces])
        await self.index.replace(document, pieces, vectors)


@pytest.fixture
def world(new_store):
    return World(new_store)


def test_documents_are_taken_in_once_anew_when_changed_and_out_when_gone(world):
    async def run():
        await world.put(DOGS, PIECES)
        first = await world.feeder.documents(TENANT)
        again = await world.feeder.documents(TENANT)
        await world.put(replace(DOGS, sha256="2"), PIECES[:1])
        changed = await world.feeder.documents(TENANT)
        left = await world.graphs.nodes(TENANT)
        await world.index.remove([DOGS.id])
        gone = await world.feeder.documents(TENANT)
        return first, again, changed, left, gone, await world.graphs.nodes(TENANT)

    first, again, changed, left, gone, none = world.run(run())
    assert (first.put, again.put, changed.put, gone.removed) == (1, 0, 1, 1)
    assert [node.name for node in left] == ["Dogs"]
    assert none == ()


async def test_searches_at_once_wait_for_no_other(tmp_path, monkeypatch):
    """Queries of one loop take turns: a lock held by one would stop the loop, and all calls."""
    read = rows.vectors

    def long_reading(conn, *given):
        for _ in range(20):
            conn.exec_driver_sql("SELECT 1")
        return read(conn, *given)

    monkeypatch.setattr(rows, "vectors", long_reading)
    db = open_database(tmp_path / "knowledge.db")
    graphs, vector = GraphDatabase(db, "model"), np.zeros(4, np.float32)
    await asyncio.gather(*(graphs.nodes(TENANT) for _ in range(4)))  # opens the connections
    scope = Scope(("town",))
    searches = (graphs.search(vector, (NodeType.CONCEPT,), scope, 3) for _ in range(8))
    assert await asyncio.gather(*searches) == [()] * 8
    await db.aclose()


def test_concepts_that_are_alike_are_related_and_others_are_not(world):
    async def run():
        await world.put(DOGS, PIECES)
        await world.feeder.documents(TENANT)
        nodes = await world.graphs.nodes(TENANT, [NodeType.CONCEPT])
        beside = await world.graphs.neighbours([n.id for n in nodes], TENANT, [EdgeType.SIMILAR_TO])
        return {(n.name, x.node.name) for n in nodes for x in beside.get(n.id, ())}

    alike = world.run(run())
    assert ("Register a dog", "Deregister a dog") in alike
    assert not any("Leash" in pair and "Register a dog" in pair for pair in alike)


def test_near_a_passage_is_its_section_what_is_like_it_and_less_near_its_document(world):
    async def run():
        await world.put(DOGS, PIECES)
        await world.feeder.documents(TENANT)
        return await world.graph.near(("town/dogs#1",), SCOPE)

    near = world.run(run())
    assert near["town/dogs#1"] == 1.0
    assert 0.4 < near["town/dogs#2"] < 1.0
    assert near["town/dogs"] == 0.4
    assert max(near.values()) <= 1.0


def test_an_objection_brings_the_strategy_that_handles_it_once_it_is_approved(world):
    async def run():
        unknown = await world.graph.objections(HEARD, SCOPE)
        await world.feeder.insights([APPROVED], TENANT)
        asked = [
            await world.graph.objections(said, scope)
            for said, scope in (
                (HEARD, SCOPE),
                ("i cannot afford that", SCOPE),
                ("the park is very nice", SCOPE),
                ("what is too expensive", SCOPE),
                (HEARD, Scope(("other",), "en")),
                (HEARD, Scope(("town",), "de")),
                (HEARD, Scope(("town",), "en", tenant="other")),
            )
        ]
        await world.feeder.insights([], TENANT)
        return unknown, asked, await world.graph.objections(HEARD, SCOPE)

    unknown, (heard, phrased, other, question, *elsewhere), withdrawn = world.run(run())
    assert unknown == withdrawn == question == ()
    assert elsewhere == [(), (), ()]
    assert heard[0].text == TOO_MUCH.strategy
    assert heard[0].score >= COVERED_SCORE
    assert phrased[0].score >= COVERED_SCORE
    assert all(passage.score < COVERED_SCORE for passage in other)


def test_the_graph_of_a_late_or_broken_database_is_done_without(world):
    class Broken(HashingEmbedder):
        async def embed(self, texts):
            await asyncio.sleep(60)

    late = KnowledgeGraph(world.graphs, Broken(), deadline_ms=20)
    assert world.run(late.objections("too expensive", SCOPE)) == ()


def test_insights_are_proposed_then_approved_and_may_be_withdrawn(world):
    with world.db.transaction() as conn:
        one = propose(conn, TOO_MUCH)
        assert insights(conn, state=InsightState.APPROVED) == ()
        decide(conn, one.id[:5], InsightState.APPROVED)
        (approved,) = insights(conn, state=InsightState.APPROVED)
        assert (approved.id, approved.strategy) == (one.id, TOO_MUCH.strategy)
        decide(conn, one.id, InsightState.WITHDRAWN)
        assert insights(conn, state=InsightState.APPROVED) == ()
        assert len(insights(conn)) == 1
        with pytest.raises(ConfigError, match="No insight"):
            decide(conn, "nothing", InsightState.APPROVED)


def test_the_keeper_brings_in_what_has_changed_and_nothing_else(world):
    async def run():
        keeper = GraphKeeper(world.feeder, world.db, world.db, ())
        with world.db.transaction() as conn:
            one = propose(conn, TOO_MUCH)
        await keeper.once()
        before = await world.graphs.nodes(TENANT)
        with world.db.transaction() as conn:
            decide(conn, one.id, InsightState.APPROVED)
        await world.put(DOGS, PIECES)
        await keeper.once()
        return before, await world.graphs.nodes(TENANT)

    before, after = world.run(run())
    assert before == ()
    of_insights = {NodeType.OBJECTION, NodeType.STRATEGY, NodeType.PERSONA}
    assert {node.type for node in after} == {NodeType.DOCUMENT, NodeType.CONCEPT, *of_insights}


def test_entries_are_concepts_that_belong_to_their_topics():
    fee = Entry("fee", "What is the fee?", ("how much",), ("12 euros.",), "fees", "en", "town", "s")
    part = of_entries("town", "en", [fee], TENANT)
    assert {node.type for node in part.nodes} == {NodeType.TOPIC, NodeType.CONCEPT}
    assert [node.passages for node in part.nodes if node.type is NodeType.CONCEPT] == [("fee",)]


def test_a_graph_without_nodes_finds_nothing(world):
    vector = np.ones(384, dtype=np.float32)
    assert world.run(world.graphs.search(vector, list(NodeType), SCOPE, 5)) == ()


def test_a_defect_does_not_end_the_keeper(world):
    class Defective(GraphKeeper):
        looks = 0

        async def once(self) -> None:
            self.looks += 1
            if self.looks == 1:
                raise ValueError("a defect")
            raise asyncio.CancelledError

    async def kept() -> int:
        keeper = Defective(world.feeder, world.db, world.db, (), period_s=0.0)
        with pytest.raises(asyncio.CancelledError):
            await keeper.run()
        return keeper.looks

    assert asyncio.run(kept()) == 2
