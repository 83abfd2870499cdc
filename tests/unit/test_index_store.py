"""Both indexes of passages by the same tests: SQLite's, and PostgreSQL's where it is installed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from apps.core.errors import StoreError
from apps.knowledge.index.base import Chunk, Document, PassageIndex, Scope
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from apps.knowledge.index.pgvector import EXACT_UP_TO, PgVectorIndex
from apps.store.database import Database, open_database
from apps.store.migrate import migrate, revision
from tests.databases import BACKENDS

EMBEDDER = HashingEmbedder()
KFZ = Scope(("kfz",), "de")


def document(identity: str = "kfz/fees.md", **changes: object) -> Document:
    values: dict[str, object] = {
        "id": identity,
        "space": identity.partition("/")[0],
        "title": "Gebühren",
        "source": identity,
        "media_type": "text/markdown",
        "language": "de",
        "sha256": "0" * 64,
        "size": 100,
        "mtime_ns": 1,
        "quality": 0.9,
        "recipe": "r1",
    }
    return Document(**(values | changes))  # type: ignore[arg-type]


def pieces(*texts: str, language: str = "de") -> list[Chunk]:
    return [Chunk(n, text, ("Übersicht",), n + 1, language) for n, text in enumerate(texts)]


async def put(index: PassageIndex, given: Document, chunks: list[Chunk]) -> None:
    await index.replace(given, chunks, await EMBEDDER.embed([chunk.text for chunk in chunks]))


async def words_found(index: PassageIndex, query: str, scope: Scope = KFZ) -> list[str]:
    hits = await index.by_words(query, scope, 10)
    return [found.chunk.text for found in await index.chunks([hit.key for hit in hits])]


async def nearest(index: PassageIndex, query: str, scope: Scope = KFZ, k: int = 10) -> list[str]:
    hits = await index.by_vector((await EMBEDDER.embed([query]))[0], scope, k)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    return [found.chunk.text for found in await index.chunks([hit.key for hit in hits])]


@pytest.fixture
async def index(new_store: Path | str) -> AsyncIterator[DatabaseIndex]:
    opened = open_index(new_store, EMBEDDER)
    yield opened
    await opened.aclose()


@pytest.fixture(params=[*BACKENDS, "hnsw"] if "postgresql" in BACKENDS else BACKENDS)
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DatabaseIndex]:
    """The index; on PostgreSQL once with its vectors in memory and once by HNSW alone."""
    if request.param == "sqlite":
        opened = open_index(tmp_path / "kb.db", EMBEDDER)
    else:
        url = request.getfixturevalue("new_postgres")()
        exact_up_to = -1 if request.param == "hnsw" else EXACT_UP_TO
        opened = PgVectorIndex(open_database(url), EMBEDDER, exact_up_to=exact_up_to)
    yield opened
    await opened.aclose()


async def test_a_passage_is_found_by_its_words_and_by_its_vector(either: DatabaseIndex) -> None:
    fee = "Die Zulassungsbescheinigung kostet zwölf Euro."
    plate = "Wunschkennzeichen werden online reserviert."
    await put(either, document(), pieces(fee, plate))
    assert await words_found(either, "Was kostet die Zulassungsbescheinigung?") == [fee]
    assert await nearest(either, "Zulassung", k=1) == [fee]
    assert await nearest(either, "Kennzeichen", k=1) == [plate]


async def test_title_and_headings_are_searched_too(index: DatabaseIndex) -> None:
    await put(index, document(title="Anhänger"), pieces("Sie zahlen zehn Euro."))
    assert await words_found(index, "anhaenger") == ["Sie zahlen zehn Euro."]
    assert await words_found(index, "Übersicht") == ["Sie zahlen zehn Euro."]


async def test_what_is_stored_comes_back_as_it_was(index: DatabaseIndex) -> None:
    given, chunks = document(mtime_ns=2**62), pieces("Eins.", "Zwei.")
    await put(index, given, chunks)
    hits = await index.by_vector((await EMBEDDER.embed(["Zwei"]))[0], KFZ, 2)
    found = await index.chunks([hit.key for hit in hits])
    assert [one.chunk for one in found] == [chunks[1], chunks[0]]
    assert {one.document for one in found} == {given}
    assert [one.key for one in found] == [hit.key for hit in hits]


async def test_a_replaced_document_leaves_nothing_of_what_it_was(index: DatabaseIndex) -> None:
    await put(index, document(), pieces("Alte Gebühr: zehn Euro.", "Vignette."))
    await put(index, document(sha256="1" * 64), pieces("Neue Gebühr: elf Euro."))
    assert await words_found(index, "alte Gebühr Vignette") == ["Neue Gebühr: elf Euro."]
    assert await nearest(index, "alte Gebühr Vignette") == ["Neue Gebühr: elf Euro."]
    assert [one.sha256 for one in await index.documents()] == ["1" * 64]


async def test_a_removed_document_leaves_every_part(either: DatabaseIndex) -> None:
    await put(either, document("kfz/a.md"), pieces("Plakette."))
    await put(either, document("kfz/b.md"), pieces("Plakette und Stempel."))
    key = (await either.by_words("Stempel", KFZ, 1))[0].key
    assert await either.remove(["kfz/b.md", "kfz/none.md"]) == 1
    assert await words_found(either, "Stempel Plakette") == ["Plakette."]
    assert await nearest(either, "Stempel Plakette") == ["Plakette."]
    assert await either.chunks([key]) == ()
    assert [one.id for one in await either.documents()] == ["kfz/a.md"]


async def test_a_search_sees_its_tenant_its_spaces_and_its_language(either: DatabaseIndex) -> None:
    await put(either, document("kfz/a.md"), pieces("Hund kfz."))
    await put(either, document("tax/a.md"), pieces("Hund tax."))
    await put(either, document("kfz/a.md", tenant="other"), pieces("Hund fremd."))
    await put(either, document("kfz/e.md"), pieces("Hund english.", language="en"))
    for search in (words_found, nearest):
        assert await search(either, "Hund", Scope(("kfz",), "de")) == ["Hund kfz."]
        assert sorted(await search(either, "Hund", Scope(("kfz", "tax"), "de"))) == [
            "Hund kfz.",
            "Hund tax.",
        ]
        assert sorted(await search(either, "Hund", Scope(("kfz",)))) == [
            "Hund english.",
            "Hund kfz.",
        ]
        assert await search(either, "Hund", Scope(("kfz",), "de", "other")) == ["Hund fremd."]
        assert await search(either, "Hund", Scope((), "de")) == []
    assert await either.remove(["kfz/a.md"], tenant="nobody") == 0
    assert {one.id for one in await either.documents(space="kfz")} == {"kfz/a.md", "kfz/e.md"}


async def test_a_filter_that_few_pass_costs_no_recall(either: DatabaseIndex) -> None:
    """HNSW alone would look at the nearest, find none in the scope, and stop."""
    crowd = [f"Die Hundesteuer Nummer {n} kostet Geld." for n in range(300)]
    await put(either, document("tax/crowd.md"), pieces(*crowd))
    await put(either, document("kfz/few.md"), pieces("Steuer.", "Garage.", "Wald."))
    assert len(await nearest(either, "Was kostet die Hundesteuer?")) == 3


async def test_touch_notes_new_facts_and_keeps_the_passages(index: DatabaseIndex) -> None:
    await put(index, document(), pieces("Vignette."))
    await index.touch(document(mtime_ns=99, recipe="r2"))
    await index.touch(document("kfz/unknown.md"))
    assert await index.documents() == (document(mtime_ns=99, recipe="r2"),)
    assert await words_found(index, "Vignette") == ["Vignette."]


async def test_a_document_without_passages_is_known(index: DatabaseIndex) -> None:
    await put(index, document(), [])
    assert await index.documents() == (document(),)
    assert await nearest(index, "Gebühren") == []


async def test_vectors_that_do_not_fit_change_nothing(index: DatabaseIndex) -> None:
    await put(index, document(), pieces("Vignette."))
    with pytest.raises(StoreError, match="384 dimensions"):
        await index.replace(document(), pieces("Neu."), np.ones((1, 3), np.float32))
    assert await words_found(index, "Vignette neu") == ["Vignette."]


async def test_a_failure_in_the_middle_leaves_what_was_there(index: DatabaseIndex) -> None:
    await put(index, document(), pieces("Vignette."))
    broken = replace(pieces("Zweites.")[0], position=2**80)
    with pytest.raises((StoreError, OverflowError)):
        await put(index, document(), [*pieces("Erstes."), broken])
    assert await words_found(index, "Vignette erstes") == ["Vignette."]


@pytest.mark.parametrize("query", ["", "der die das", '"; DROP TABLE kb_chunks; --', "' & | ! *"])
async def test_any_text_may_be_asked(index: DatabaseIndex, query: str) -> None:
    await put(index, document(), pieces("Vignette."))
    assert await words_found(index, query) == []
    vector = (await EMBEDDER.embed([query]))[0]
    assert len(await index.by_vector(vector, KFZ, 3)) <= 1


async def test_hostile_names_are_kept_as_they_are(index: DatabaseIndex) -> None:
    name = 'kfz/o\'brien "x" %s :y ü.md'
    await put(index, document(name, tenant="t'"), pieces("Vignette."))
    found = await index.documents(tenant="t'")
    assert [one.id for one in found] == [name]
    assert await words_found(index, "Vignette", Scope(("kfz",), "de", "t'")) == ["Vignette."]


async def test_another_process_change_is_seen_at_the_next_search(
    index: DatabaseIndex, new_store: Path | str
) -> None:
    await put(index, document("kfz/a.md"), pieces("Vignette."))
    assert await nearest(index, "Vignette Plakette") == ["Vignette."]
    code = f"""
import asyncio
from tests.unit.test_index_store import *

async def main():
    index = open_index({str(new_store)!r}, EMBEDDER)
    await put(index, document("kfz/b.md"), pieces("Plakette."))
    await index.remove(["kfz/a.md"])
    await index.aclose()

asyncio.run(main())
"""
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True)
    assert await nearest(index, "Vignette Plakette") == ["Plakette."]
    assert await words_found(index, "Vignette Plakette") == ["Plakette."]


async def test_reopening_finds_the_same(index: DatabaseIndex, new_store: Path | str) -> None:
    await put(index, document(), pieces("Vignette.", "Stempel."))
    again = open_index(new_store, EMBEDDER)
    assert await again.load() == 2
    assert await nearest(again, "Stempel", k=1) == ["Stempel."]
    await again.aclose()


async def test_documents_of_another_embedder_are_named_and_searched_by_words_alone(
    index: DatabaseIndex, new_store: Path | str
) -> None:
    await put(index, document(), pieces("Vignette."))
    assert await index.outdated() == ()
    other = open_index(new_store, HashingEmbedder(128))
    assert await other.outdated() == ("kfz/fees.md",)
    assert await words_found(other, "Vignette") == ["Vignette."]
    vector = (await HashingEmbedder(128).embed(["Vignette"]))[0]
    assert await other.by_vector(vector, KFZ, 3) == ()
    chunks = pieces("Vignette.")
    await other.replace(document(), chunks, await HashingEmbedder(128).embed(["Vignette."]))
    assert await other.outdated() == ()
    assert len(await other.by_vector(vector, KFZ, 3)) == 1
    await other.aclose()


async def test_searches_and_changes_at_the_same_time_agree(index: DatabaseIndex) -> None:
    async def change(n: int) -> None:
        for turn in range(3):
            await put(index, document(f"kfz/{n}.md"), pieces(f"Vignette {n} Stand {turn}."))

    async def search() -> None:
        for _ in range(5):
            await nearest(index, "Vignette")
            await words_found(index, "Vignette")

    await asyncio.gather(*(change(n) for n in range(8)), *(search() for _ in range(3)))
    expected = sorted(f"Vignette {n} Stand 2." for n in range(8))
    assert sorted(await nearest(index, "Vignette")) == expected
    assert sorted(await words_found(index, "Vignette")) == expected


def test_a_database_of_before_keeps_what_it_has(new_store: Path | str) -> None:
    database = Database(new_store)
    if database.is_sqlite:
        Path(str(new_store)).parent.mkdir(parents=True)
    migrate(database, "0004")
    with database.transaction() as conn:
        conn.execute(text("INSERT INTO meta (key, value) VALUES ('kept', 'yes')"))
    database.close()
    opened = open_database(new_store)
    with opened.reading() as conn:
        assert conn.execute(text("SELECT value FROM meta WHERE key = 'kept'")).scalar() == "yes"
        assert conn.execute(text("SELECT count(*) FROM kb_chunks")).scalar() == 0
    assert revision(opened) != "0004"
    opened.close()


@pytest.mark.slow
async def test_a_writer_that_is_killed_leaves_whole_documents_in_every_part(tmp_path: Path) -> None:
    """Each document has passages of one turn alone; words, vectors and rows tell the same."""
    where = tmp_path / "kb.db"
    open_database(where).close()
    code = f"""
import asyncio
from tests.unit.test_index_store import *

async def main():
    index = open_index({str(where)!r}, EMBEDDER)
    print("ready", flush=True)
    for turn in range(10_000):
        told = pieces(*[f"Vignette Stand{{turn}} Teil{{n}}" for n in range(5)])
        await put(index, document(f"kfz/{{turn % 3}}.md"), told)
        if turn % 7 == 6:
            await index.remove([f"kfz/{{turn % 3}}.md"])

asyncio.run(main())
"""
    index = open_index(where, EMBEDDER)
    for delay_s in (0.02, 0.17):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        await writer.stdout.readline()
        await asyncio.sleep(delay_s)
        writer.kill()
        await writer.communicate()
        for opened in (index, open_index(where, EMBEDDER)):
            by_words = await words_found(opened, "Vignette", Scope(("kfz",), "de"))
            by_vector = await nearest(opened, "Vignette", k=100)
            documents = await opened.documents()
            assert len(by_vector) == 5 * len(documents)
            assert set(by_words) <= set(by_vector)
            assert len({one.split()[1] for one in by_vector}) == len(documents)
            if opened is not index:
                await opened.aclose()
        database = Database(where)
        with database.transaction() as conn:
            conn.exec_driver_sql("INSERT INTO kb_words (kb_words) VALUES ('integrity-check')")
        database.close()
    await index.aclose()


async def test_a_process_that_missed_too_much_reads_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.knowledge.index.rows._KEPT_REMOVALS", 2)
    ahead, behind = (open_index(tmp_path / "kb.db", EMBEDDER) for _ in range(2))
    for n in range(6):
        await put(ahead, document(f"kfz/{n}.md"), pieces(f"Vignette {n}."))
    assert len(await nearest(behind, "Vignette")) == 6
    for n in range(5):
        await ahead.remove([f"kfz/{n}.md"])
    assert await nearest(behind, "Vignette") == ["Vignette 5."]
    await ahead.aclose()
    await behind.aclose()


async def test_a_file_that_is_deleted_and_built_anew_is_another_index(tmp_path: Path) -> None:
    first = open_index(tmp_path / "kb.db", EMBEDDER)
    await put(first, document(), pieces("Vignette."))
    await first.aclose()
    for file in tmp_path.glob("kb.db*"):
        file.unlink()
    again = open_index(tmp_path / "kb.db", EMBEDDER)
    assert await again.load() == 0
    assert await again.documents() == ()
    await again.aclose()
