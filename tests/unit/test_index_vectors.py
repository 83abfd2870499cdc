"""Vectors without weights, vectors from a server, and the memory that searches them."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import EngineError, EngineUnavailable
from apps.knowledge.index.endpoint import EndpointEmbedder, read_vectors
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.shard import BLOCK, Shard

EMBEDDER = HashingEmbedder()
FIRST_NUMBERS = [0.0262, -0.0722, 0.0096, -0.022, -0.0417, -0.0232]


def cosine(one: str, other: str) -> float:
    first, second = asyncio.run(EMBEDDER.embed([one, other]))
    return float(first @ second)


# -- without weights


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=8))
def test_every_text_has_a_vector_of_unit_length_or_none(texts: list[str]) -> None:
    vectors = asyncio.run(EMBEDDER.embed(texts))
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))


def test_a_vector_does_not_depend_on_its_neighbours_or_on_what_came_before() -> None:
    texts = [f"Gebühr {n} für die Zulassung" for n in range(40)]
    together = asyncio.run(HashingEmbedder().embed(texts))
    alone = [asyncio.run(EMBEDDER.embed([text]))[0] for text in texts]
    assert np.allclose(together, alone, atol=1e-6)


def test_vectors_are_the_same_in_every_process_and_version() -> None:
    """Raise VERSION where this changes: stored passages must be embedded anew then."""
    vector = asyncio.run(EMBEDDER.embed(["Die Zulassung kostet 30 Euro."]))[0]
    assert EMBEDDER.name == "hashed-words-384-v1"
    assert vector[:6].tolist() == pytest.approx(FIRST_NUMBERS, abs=1e-4)


def test_parts_of_compounds_and_misspellings_are_near() -> None:
    far = cosine("Zulassungsbescheinigung", "Hundesteuer")
    assert cosine("Zulassungsbescheinigung", "Zulassung") > far + 0.2
    assert cosine("Wunschkennzeichen", "Kennzeichen") > far + 0.2
    assert cosine("registration", "registraton") > far + 0.2
    assert abs(far) < 0.2


def test_words_that_say_nothing_weigh_little() -> None:
    assert cosine("wo kann ich das Auto abmelden", "Auto abmelden") > 0.9


def test_so_many_words_that_the_known_ones_are_forgotten_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.knowledge.index.hashing._KNOWN_WORDS", 10)
    texts = [f"wort{n} laut{n} bild{n}" for n in range(60)]
    assert np.allclose(
        asyncio.run(HashingEmbedder().embed(texts)), asyncio.run(EMBEDDER.embed(texts)), atol=1e-6
    )


# -- from a server


class Server:
    """Answers as an embeddings server, and can be told to misbehave."""

    def __init__(self, dimensions: int = 3, *, base64: bool = True) -> None:
        self.dimensions, self.base64 = dimensions, base64
        self.failures: list[httpx.Response | Exception] = []
        self.asked: list[dict[str, object]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/embeddings"
        body = json.loads(request.content)
        self.asked.append(body)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        if body["encoding_format"] == "base64" and not self.base64:
            return httpx.Response(400, json={"error": "unknown encoding_format"})
        data = [
            {"index": n, "embedding": self._encoded(len(text), body["encoding_format"])}
            for n, text in enumerate(body["input"])
        ]
        return httpx.Response(200, json={"data": data[::-1]})

    def _encoded(self, value: int, encoding: str) -> object:
        vector = np.array([value, 1, *[0] * (self.dimensions - 2)], dtype="<f4")
        if encoding == "base64":
            return base64.b64encode(vector.tobytes()).decode()
        return vector.tolist()

    def embedder(self, **changes: object) -> EndpointEmbedder:
        options = {"model": "m", "dimensions": 3, "transport": httpx.MockTransport(self)}
        return EndpointEmbedder("http://server", **(options | changes))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.knowledge.index.endpoint._FIRST_PAUSE_S", 0.0)


@pytest.mark.parametrize("speaks_base64", [True, False])
async def test_a_server_s_vectors_come_in_the_order_of_the_texts(speaks_base64: bool) -> None:
    server = Server(base64=speaks_base64)
    vectors = await server.embedder(batch=2).embed(["a", "bb", " ", "dddd"])
    expected = np.array([[1, 1, 0], [2, 1, 0], [0, 0, 0], [4, 1, 0]], np.float32)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(vectors, expected / np.where(lengths, lengths, 1))
    assert [len(body["input"]) for body in server.asked][-2:] == [2, 1]  # type: ignore[arg-type]


async def test_a_passing_failure_is_tried_again() -> None:
    server = Server()
    server.failures = [httpx.Response(503), httpx.ConnectError("refused")]
    assert (await server.embedder().embed(["a"])).shape == (1, 3)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([httpx.Response(401)], 1),
        ([httpx.Response(500)] * 3, 3),
        ([httpx.ReadTimeout("slow")] * 3, 3),
        ([httpx.Response(301, headers={"location": "http://elsewhere/"})], 1),
    ],
)
async def test_a_lasting_failure_is_said(failures: list[object], tries: int) -> None:
    server = Server()
    server.failures = list(failures)  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailable) as caught:
        await server.embedder().embed(["a"])
    assert "TOM_EMBEDDINGS_URL" in caught.value.hint
    assert len(server.asked) == tries


async def test_another_number_of_dimensions_is_refused_with_what_to_set() -> None:
    with pytest.raises(EngineError, match="5 dimensions, not 3") as caught:
        await Server(5).embedder().embed(["a"])
    assert "TOM_EMBEDDINGS_DIMENSIONS=5" in caught.value.hint


async def test_an_endless_answer_is_cut_off() -> None:
    server = Server()
    server.failures = [httpx.Response(200, content=b" " * 200_000)]
    with pytest.raises(EngineError, match="far more"):
        await server.embedder().embed(["a"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"data": []}',
        b'{"data": [{"index": 1, "embedding": [1, 2, 3]}]}',
        b'{"data": [{"index": 0, "embedding": ["x", 2, 3]}]}',
        b'{"data": [{"index": 0, "embedding": "%%%"}]}',
        b'{"data": [{"index": 0, "embedding": "AAA="}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 2, 3]}]}',
        b'{"data": [{"index": 0, "embedding": [0, 0, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [[1, 2, 3]]}]}',
        b'{"data": [{"index": 0}]}',
        b"<html>",
        b'{"data": ' + b"[" * 60_000,
    ],
)
def test_what_is_no_vector_is_refused(body: bytes) -> None:
    with pytest.raises(EngineError):
        read_vectors(body, 1, 3)


def test_names_of_models_can_stand_in_an_index() -> None:
    embedder = EndpointEmbedder("http://s", model="nomic-embed text:v1.5", dimensions=768)
    assert embedder.name == "nomic-embed-text-v1.5-768"
    long = EndpointEmbedder("http://s", model="m" * 300, dimensions=768)
    assert len(long.name) <= 120


# -- in memory


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 20)), max_size=12))
def test_a_shard_holds_what_was_added_and_not_removed(
    steps: list[tuple[bool, int, int]],
) -> None:
    shard, kept, next_key = Shard(4), dict[int, np.ndarray](), 1
    rng = np.random.default_rng(1)
    for adds, number, width in steps:
        if adds:
            keys = np.arange(next_key, next_key + number)
            vectors = rng.standard_normal((number, 4)).astype(np.float32)
            shard.add(keys, vectors)
            kept.update(zip(keys.tolist(), vectors, strict=True))
            next_key += number + 1
        else:
            shard.remove(number, number + width)
            kept = {k: v for k, v in kept.items() if not number <= k <= number + width}
    query = np.array([1, 0, 0, 0], np.float32)
    keys, scores = shard.search(query, 5)
    expected = sorted((float(v[0]) for v in kept.values()), reverse=True)[:5]
    assert len(shard) == len(kept)
    assert sorted(scores.tolist(), reverse=True) == pytest.approx(expected)
    assert all(float(kept[k][0]) == pytest.approx(s) for k, s in zip(keys, scores, strict=True))


def test_a_shard_of_many_blocks_is_searched_whole() -> None:
    shard, size = Shard(8), 2 * BLOCK + 100
    vectors = np.random.default_rng(2).standard_normal((size, 8)).astype(np.float32)
    shard.add(np.arange(size), vectors)
    shard.remove(BLOCK - 10, BLOCK + 10)
    shard.add(np.array([size + 5]), np.ones((1, 8), np.float32) * 9)
    keys, _ = shard.search(np.ones(8, np.float32), 3)
    scores = vectors.sum(axis=1)
    scores[BLOCK - 10 : BLOCK + 11] = -np.inf
    assert set(keys.tolist()) == {size + 5, *np.argsort(-scores)[:2].tolist()}
    assert len(shard) == size - 21 + 1
