"""The full-text index is kept between starts and rebuilt when the knowledge changes."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.knowledge.entries import Entry
from apps.knowledge.lexical import LexicalIndex, content_hash
from apps.knowledge.retriever import Retriever
from apps.knowledge.ridge import RidgeLesson, closeness
from apps.knowledge.terms import content_words, meanings, sound_key, stem
from apps.knowledge.vectors import TfidfMatrix


def entry(number: int, question: str, answer: str, language: str = "en") -> Entry:
    source = f"demo/{language}/x.md#e-{number}"
    return Entry(f"e-{number}", question, (), (answer,), "x", language, "demo", source)


ENTRIES = (
    entry(1, "Where is the lake?", "Behind the wood."),
    entry(2, "How deep is the sea?", "Very deep."),
    entry(3, "Wo ist die Gebühr?", "Im Wald.", "de"),
)


def test_bm25_finds_other_forms_of_a_word_and_only_its_profile() -> None:
    index = LexicalIndex(ENTRIES)
    assert set(index.search("lakes", language="en", profile="demo")) == {0}
    assert set(index.search("die Gebuehren", language="de", profile="demo")) == {2}
    assert index.search("lakes", language="en", profile="other") == {}
    assert index.search("", language="en", profile="demo") == {}
    index.close()


def test_the_index_is_kept_and_used_again(tmp_path: Path) -> None:
    LexicalIndex(ENTRIES, tmp_path).close()
    (path,) = tmp_path.iterdir()
    assert path.name == f"knowledge-{content_hash(ENTRIES)}.db"
    before = path.stat().st_mtime_ns
    index = LexicalIndex(ENTRIES, tmp_path)
    assert set(index.search("sea", language="en", profile="demo")) == {1}
    index.close()
    assert path.stat().st_mtime_ns == before


def test_changed_knowledge_is_indexed_anew_and_the_old_index_removed(tmp_path: Path) -> None:
    LexicalIndex(ENTRIES, tmp_path).close()
    changed = (dataclasses.replace(ENTRIES[0], sentences=("Under the moon.",)), *ENTRIES[1:])
    index = LexicalIndex(changed, tmp_path)
    assert set(index.search("moon", language="en", profile="demo")) == {0}
    index.close()
    assert [path.name for path in tmp_path.iterdir()] == [f"knowledge-{content_hash(changed)}.db"]


def test_an_index_that_cannot_be_read_is_built_anew(tmp_path: Path) -> None:
    (tmp_path / f"knowledge-{content_hash(ENTRIES)}.db").write_bytes(b"no database at all")
    index = LexicalIndex(ENTRIES, tmp_path)
    assert set(index.search("sea", language="en", profile="demo")) == {1}
    index.close()


async def test_a_knowledge_base_of_one_entry_works() -> None:
    retriever = Retriever([ENTRIES[0]])
    (found,) = await retriever.search("where is the lake", language="en", profile="demo")
    assert found.entry_id == "e-1"
    retriever.close()
    with pytest.raises(sqlite3.ProgrammingError):
        await retriever.search("where is the lake", language="en", profile="demo")


def test_words_are_reduced_to_what_they_share() -> None:
    assert stem("registering", "en") == stem("registers", "en")
    assert stem("gebuehren", "de") == stem("gebuehr", "de")
    assert sound_key("plate", "en") == sound_key("plaid", "en")
    assert sound_key("fahrt", "de") == sound_key("fahrd", "de")
    assert "abmelde" in content_words("Ich melde mein Auto ab", "de")
    assert meanings("the motorbike", "en") == meanings("a motorcycle", "en")


def test_similarity_is_a_cosine() -> None:
    matrix = TfidfMatrix.of([["a", "b"], ["c"], ["a", "a", "c"]])
    assert matrix.similarity(["a", "b"])[0] == pytest.approx(1.0)
    assert matrix.similarity(["a", "b"])[1] == 0.0
    assert 0 < matrix.similarity(["a", "unknown"])[0] < matrix.similarity(["a"])[0]
    assert not matrix.similarity(["unknown"]).any()
    assert not matrix.similarity([]).any()


def test_the_classifier_learns_which_feature_tells_classes_apart() -> None:
    phrases = [["car", "on"], ["car", "off"], ["car", "on"], ["car", "off"]]
    matrix = TfidfMatrix.of(phrases)
    classifier = RidgeLesson(matrix.products(), [0, 1, 0, 1], classes=3, ridge=4.0).learn()
    assert np.argmax(classifier.scores(matrix.similarity(["on"]))) == 0
    assert np.argmax(classifier.scores(matrix.similarity(["off"]))) == 1
    tie = classifier.scores(matrix.similarity(["car"]))
    assert tie[0] == pytest.approx(tie[1])
    assert not classifier.scores(matrix.similarity(["unknown"])).any()


def test_what_was_learned_is_the_ridges_solution() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(60, 20)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = rng.integers(0, 3, 60)
    lesson = RidgeLesson(rows @ rows.T, labels.tolist(), classes=3, ridge=0.5)
    kernel = closeness((rows @ rows.T).astype(np.float64))
    exact = np.linalg.solve(kernel + 0.5 * np.eye(60), np.eye(3)[labels])
    assert np.abs(kernel @ (lesson.learn().dual - exact)).max() < 0.002
    kept, out = np.arange(50), np.arange(50, 60)
    others = np.linalg.solve(kernel[:50, :50] + 0.5 * np.eye(50), np.eye(3)[labels[:50]])
    assert np.abs(lesson.left_out(out) - kernel[np.ix_(out, kept)] @ others).max() < 0.005


@given(st.floats(0, 1), st.floats(0, 1))
def test_closeness_grows_with_the_cosine_and_the_more_the_nearer(a: float, b: float) -> None:
    low, high, middle = closeness(np.array([min(a, b), max(a, b), (a + b) / 2], dtype=np.float32))
    assert 0 <= low <= high <= 1 + 1e-6
    assert middle <= (low + high) / 2 + 1e-6
