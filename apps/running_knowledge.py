"""Opens what a server knows, from the settings: entries, documents and the graph between them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from apps.core.errors import ConfigError
from apps.knowledge.graph.feeding import Feeder
from apps.knowledge.graph.graph import KnowledgeGraph
from apps.knowledge.graph.keeping import GraphKeeper
from apps.knowledge.graph.store import GraphDatabase
from apps.knowledge.index.base import Embedder, PassageIndex
from apps.knowledge.index.endpoint import EndpointEmbedder
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from apps.knowledge.index.sharing import SharedEmbedder
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.found import Lookup, Retrieved
from apps.knowledge.retrieval.knowledge import KnowledgeBase, Observer
from apps.knowledge.retrieval.log import row_of
from apps.knowledge.retrieval.meaning import QuestionMeaning
from apps.knowledge.retrieval.second_stage import CoveredCosine
from apps.knowledge.retriever import Retriever
from apps.knowledge.sensing import Senses
from apps.monitor.metrics import Metrics
from apps.settings import Settings
from apps.store.database import Database, open_database
from apps.store.retrieval_log import RetrievalWriter


def open_entries(settings: Settings, stack: AsyncExitStack) -> Retriever:
    """Read and index the knowledge folder: the operator's own, or the sample's.

    Raises:
        ConfigError: The folder or a file in it cannot be used.
    """
    entries = Retriever.from_folder(settings.entries_folder, settings.cache_folder / "knowledge")
    stack.callback(entries.close)
    return entries


def embedder_of(settings: Settings, stack: AsyncExitStack) -> Embedder:
    """Return what makes vectors: the server of embeddings where one is set, or none's weights.

    Raises:
        ConfigError: A server is set without its model.
    """
    if not settings.embeddings_url:
        return HashingEmbedder()
    if not settings.embeddings_model:
        raise ConfigError(
            "TOM_EMBEDDINGS_URL is set without TOM_EMBEDDINGS_MODEL.",
            hint="Name the model as that server does, and set TOM_EMBEDDINGS_DIMENSIONS to it.",
        )
    endpoint = EndpointEmbedder(
        settings.embeddings_url,
        model=settings.embeddings_model,
        dimensions=settings.embeddings_dimensions,
        api_key=settings.embeddings_api_key,
    )
    stack.push_async_callback(endpoint.aclose)
    return SharedEmbedder(endpoint)


async def open_documents(
    settings: Settings, stack: AsyncExitStack, embedder: Embedder | None = None
) -> tuple[PassageIndex, Embedder]:
    """Open the index of documents, with the embedder that makes its vectors.

    Args:
        settings: Where that is.
        stack: Closes what is opened.
        embedder: From ``embedder_of``, where it is open already.

    Raises:
        ConfigError: The store's URL is none.
        StoreError: It cannot be opened.
    """
    embedder = embedder if embedder is not None else embedder_of(settings, stack)
    index = open_index(settings.knowledge_store, embedder)
    stack.push_async_callback(index.aclose)
    await index.load()
    return index, embedder


async def log_retrievals(
    db: Database, metrics: Metrics, key: bytes, stack: AsyncExitStack
) -> Observer:
    """Return what counts each retrieval, and puts it into the store's log without waiting."""
    writer = RetrievalWriter(db, on_lost=metrics.retrieval.not_logged)
    await stack.enter_async_context(writer)

    def observe(lookup: Lookup, found: Retrieved) -> None:
        metrics.retrieval.retrieved(found.documents.outcome, found.ms)
        writer.put(row_of(lookup, found, key))

    return observe


@dataclass(frozen=True, slots=True)
class OpenedGraph:
    """The graph: what a call searches, what feeds it, and what keeps it fed."""

    graph: KnowledgeGraph
    store: GraphDatabase
    main_store: Database
    embedder: Embedder
    feeder: Feeder
    keeper: GraphKeeper


def open_graph(
    settings: Settings,
    store: Database,
    entries: Retriever,
    embedder: Embedder,
    stack: AsyncExitStack,
) -> OpenedGraph:
    """Open the graph, which lies beside the documents.

    Args:
        settings: Where that is.
        store: The main store, which has the insights.
        entries: From ``open_entries``.
        embedder: The one of the documents.
        stack: Closes what is opened.

    Raises:
        StoreError: It cannot be opened.
    """
    db = open_database(settings.knowledge_store)
    stack.push_async_callback(db.aclose)
    nodes = GraphDatabase(db, embedder.name)
    feeder = Feeder(nodes, embedder, db)
    graph = KnowledgeGraph(nodes, embedder, covered_cosine=_covered_cosine(settings))
    keeper = GraphKeeper(feeder, db, store, entries.all)
    return OpenedGraph(graph, nodes, store, embedder, feeder, keeper)


def _covered_cosine(settings: Settings) -> CoveredCosine | None:
    cosine = settings.kb_covered_cosine
    return CoveredCosine(cosine) if cosine else None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Whether a model of meanings serves right now, and why not, in a sentence."""

    name: str
    up: bool
    why: str


@dataclass(frozen=True, slots=True)
class OpenedKnowledge:
    """Everything that answers.

    Attributes:
        base: Behind one search.
        graph: Where documents are searched.
        senses: What the model of meanings knows of the entries, where there is one.
        meaning: What it makes of questions.
    """

    base: KnowledgeBase
    graph: OpenedGraph | None = None
    senses: Senses | None = None
    meaning: QuestionMeaning | None = None

    def model_status(self) -> ModelStatus | None:
        """Return whether the model of meanings serves; None where there is none."""
        if self.senses is None or self.meaning is None:
            return None
        if self.meaning.resting:
            why = "the last questions' vectors came too late; words alone for a while"
            return ModelStatus(self.senses.model, False, why)
        return ModelStatus(self.senses.model, self.senses.learned, self.senses.status)


async def open_knowledge(
    settings: Settings,
    entries: Retriever,
    store: Database,
    stack: AsyncExitStack,
    observer: Observer | None = None,
) -> OpenedKnowledge:
    """Open everything that answers.

    Args:
        settings: Which documents, and how long a search may take.
        entries: From ``open_entries``.
        store: The main store.
        stack: Closes what is opened.
        observer: Told of each retrieval.

    Raises:
        ConfigError: The store's URL is none.
        StoreError: The documents' index cannot be opened.
    """
    embedder = embedder_of(settings, stack)
    senses = meaning = None
    if settings.embeddings_url:
        senses = Senses(entries, embedder, settings.cache_folder / "knowledge")
        meaning = QuestionMeaning(embedder, settings.kb_deadline_ms)
    base = partial(KnowledgeBase, entries, observer=observer, meaning=meaning)
    if not settings.kb_answers:
        return OpenedKnowledge(base(), None, senses, meaning)
    index, _ = await open_documents(settings, stack, embedder)
    graph = open_graph(settings, store, entries, embedder, stack)
    documents = DocumentSearch(
        index,
        embedder,
        deadline_ms=settings.kb_deadline_ms,
        covered_cosine=_covered_cosine(settings),
    )
    return OpenedKnowledge(base(documents, graph.graph), graph, senses, meaning)
