"""The index becomes what lies in the folder, document by document, and nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from apps.core.errors import DocumentError
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.outcome import Outcome, Result
from apps.knowledge.documents.parsing import LocalParser, Parsed
from apps.knowledge.documents.reading import Task
from apps.knowledge.index.base import Scope
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex

TEXT = "The {} is kept at the office on the first floor and it is free of charge for all.\n"


class CountingParser(LocalParser):
    """Counts what is parsed, and can be made to fail.

    Attributes:
        parsed: The names of the files that were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parsed: list[str] = []
        self.fail: dict[str, BaseException] = {}

    async def parse(self, task: Task) -> Parsed:
        name = Path(task.path).name
        self.parsed.append(name)
        if name in self.fail:
            raise self.fail[name]
        return await super().parse(task)


class Office:
    """A folder of documents with an index of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index, self.parser = FakeIndex(), CountingParser()
        self.ingester = self.made()
        self.clock = 1_000_000

    def made(self, **options) -> Ingester:
        return Ingester(
            self.index, FakeEmbedder(), self.parser, root=self.root, limits=Limits(), **options
        )

    def put(self, name: str, text: str = "") -> Path:
        """Write a document at a time of its own."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or TEXT.format(path.stem))
        self.clock += 1
        os.utime(path, (self.clock, self.clock))
        return path

    async def sync(self, under: str = "", *, again: bool = False) -> dict[str, str]:
        """Bring the index to the folder; returns each document's result, or its error's code."""
        work = await self.ingester.look(under, again=again)
        outcomes = [outcome async for outcome in self.ingester.run(work)]
        return {one.id: one.error.code if one.error else one.result.value for one in outcomes}

    async def ids(self) -> list[str]:
        return [document.id for document in await self.index.documents()]

    async def found(self, word: str) -> list[str]:
        scope = Scope(("kfz", "post"))
        hits = await self.index.by_words(word, scope, 10)
        return [s.document.id for s in await self.index.chunks([hit.key for hit in hits])]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


async def test_documents_are_found_by_their_words_in_their_space(office: Office):
    office.put("kfz/fees.md", "# Fees\n\nThe registration of the car is 30 euros at the desk.\n")
    office.put("post/en/parcel.txt")
    assert await office.sync() == {"kfz/fees.md": "new", "post/en/parcel.txt": "new"}
    assert await office.found("registration") == ["kfz/fees.md"]
    document, parcel = await office.index.documents()
    assert (document.title, document.space, document.language) == ("Fees", "kfz", "en")
    assert (document.media_type, document.size) == ("text/markdown", 61)
    assert parcel.title == "parcel"


async def test_what_did_not_change_is_not_even_opened(office: Office, monkeypatch):
    office.put("kfz/a.md")
    await office.sync()
    monkeypatch.setattr(os, "open", None)
    assert await office.sync() == {}


async def test_what_changed_is_read_once_and_replaced(office: Office):
    office.put("kfz/a.md", TEXT.format("passport"))
    office.put("kfz/b.md")
    await office.sync()
    office.put("kfz/a.md", TEXT.format("licence"))
    assert await office.sync() == {"kfz/a.md": "changed"}
    assert await office.found("passport") == []
    assert await office.found("licence") == ["kfz/a.md"]
    assert office.parser.parsed == ["a.md", "b.md", "a.md"]


async def test_another_date_alone_is_noted_and_nothing_is_parsed(office: Office):
    office.put("kfz/a.md")
    await office.sync()
    office.put("kfz/a.md")
    assert await office.sync() == {"kfz/a.md": "touched"}
    assert await office.sync() == {}
    assert office.parser.parsed == ["a.md"]


async def test_a_file_that_was_just_written_is_compared_by_its_bytes_once_more(office: Office):
    path = office.put("kfz/a.md", TEXT.format("passport"))
    os.utime(path)
    await office.sync()
    facts = path.stat()
    path.write_text(TEXT.format("licences"))  # as long, and in the same tick of the clock
    os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    await office.sync()
    assert await office.found("licences") == ["kfz/a.md"]


async def test_a_file_that_was_just_written_has_its_date(office: Office):
    now = int(time.time())
    path = office.put("kfz/a.md")
    os.utime(path, (now + 60, now + 60))  # as young as can be, however slow the machine is
    await office.sync()
    (document,) = await office.index.documents()
    assert abs(document.mtime_ns - path.stat().st_mtime_ns) <= 1
    assert await office.sync() == {"kfz/a.md": "touched"}
    assert office.parser.parsed == ["a.md"]


async def test_what_is_removed_leaves_the_index(office: Office):
    office.put("kfz/a.md", TEXT.format("passport"))
    office.put("kfz/b.md").unlink()
    await office.sync()
    office.put("kfz/b.md")
    (office.root / "kfz/a.md").unlink()
    assert await office.sync() == {"kfz/b.md": "new", "kfz/a.md": "gone"}
    assert await office.found("passport") == []


async def test_a_file_that_moved_is_the_same_under_its_new_name(office: Office):
    office.put("kfz/a.md", TEXT.format("passport"))
    await office.sync()
    (office.root / "kfz/a.md").rename(office.root / "kfz/b.md")
    assert await office.sync() == {"kfz/b.md": "new", "kfz/a.md": "gone"}
    assert await office.found("passport") == ["kfz/b.md"]


async def test_the_same_bytes_are_indexed_once_a_space(office: Office):
    for name in ("kfz/a.md", "kfz/b.md", "post/c.md"):
        office.put(name, TEXT.format("passport"))
    assert await office.sync() == {
        "kfz/a.md": "new",
        "kfz/b.md": "duplicate",
        "post/c.md": "new",
    }
    assert office.parser.parsed == ["a.md", "c.md"]
    (office.root / "kfz/a.md").unlink()
    assert await office.sync() == {"kfz/b.md": "new", "kfz/a.md": "gone"}


async def test_a_document_that_became_another_s_duplicate_leaves_the_index(office: Office):
    office.put("kfz/a.md", TEXT.format("passport"))
    office.put("kfz/b.md", TEXT.format("licence"))
    await office.sync()
    office.put("kfz/b.md", TEXT.format("passport"))
    assert await office.sync() == {"kfz/b.md": "duplicate"}
    assert await office.ids() == ["kfz/a.md"]


async def test_a_space_s_rules_reach_what_is_indexed_already(office: Office):
    text = "You reach the office of the town at 06172 999-0 on all of the days.\n"
    office.put("kfz/a.md", text)
    await office.sync()
    assert await office.found("999") == []
    office.put("kfz/space.yaml", "public: ['06172 999-0']")
    assert await office.sync() == {"kfz/a.md": "changed"}
    assert await office.found("999") == ["kfz/a.md"]


async def test_broken_rules_stop_their_space_alone_and_nothing_is_lost(office: Office):
    office.put("kfz/a.md")
    office.put("post/b.md")
    await office.sync()
    office.put("kfz/space.yaml", "publik: []")
    office.put("post/c.md")
    assert await office.sync() == {"kfz": "rules", "post/c.md": "new"}
    assert await office.ids() == ["kfz/a.md", "post/b.md", "post/c.md"]


async def test_a_document_that_cannot_be_read_stops_nothing_else(office: Office):
    for name in ("kfz/a.md", "kfz/bad.pdf", "kfz/c.md"):
        office.put(name)
    office.put("kfz/cut.csv", 'a;b\n"1')
    assert await office.sync() == {
        "kfz/a.md": "new",
        "kfz/bad.pdf": "wrong_extension",
        "kfz/c.md": "new",
        "kfz/cut.csv": "new",
    }


async def test_the_last_version_that_could_be_read_goes_on_serving(office: Office):
    office.put("kfz/a.md", TEXT.format("passport"))
    await office.sync()
    office.put("kfz/a.md", "a\0b")
    assert await office.sync() == {"kfz/a.md": "wrong_extension"}
    assert await office.found("passport") == ["kfz/a.md"]


async def test_poor_documents_are_left_out_and_what_became_poor_leaves(office: Office):
    office.ingester = office.made(quality_floor=0.3)
    office.put("kfz/a.md", "%% 17 $$ 01|22 ;;\n" * 30)
    office.put("kfz/b.md")
    assert await office.sync() == {"kfz/a.md": "poor", "kfz/b.md": "new"}
    office.put("kfz/b.md", "%% 18 $$ 01|22 ;;\n" * 30)
    await office.sync()
    assert await office.ids() == []


async def test_a_part_of_the_folder_can_be_looked_at_alone(office: Office):
    for name in ("kfz/de/a.md", "kfz/b.md", "post/c.md"):
        office.put(name)
    assert await office.sync("kfz/de") == {"kfz/de/a.md": "new"}
    assert await office.sync("kfz") == {"kfz/b.md": "new"}
    await office.sync()
    (office.root / "kfz/b.md").unlink()
    (office.root / "post/c.md").unlink()
    assert await office.sync("kfz/b.md") == {"kfz/b.md": "gone"}
    assert await office.ids() == ["kfz/de/a.md", "post/c.md"]


async def test_all_is_read_again_where_that_is_asked(office: Office):
    office.put("kfz/a.md")
    await office.sync()
    assert await office.sync(again=True) == {"kfz/a.md": "changed"}


async def test_another_embedder_s_documents_are_read_again(office: Office):
    office.put("kfz/a.md")
    office.put("kfz/b.md")
    await office.sync()

    async def outdated() -> Sequence[str]:
        return ("kfz/b.md",)

    office.ingester = office.made(outdated=outdated)
    assert await office.sync() == {"kfz/b.md": "changed"}


@pytest.mark.parametrize("code", ["no_folder", "folder_empty"])
async def test_a_folder_that_is_not_there_or_not_mounted_empties_no_index(office: Office, code):
    office.put("kfz/a.md")
    await office.sync()
    (office.root / "kfz/a.md").unlink()
    (office.root / "kfz").rmdir()
    if code == "no_folder":
        office.root.rmdir()
    with pytest.raises(DocumentError) as error:
        await office.sync()
    assert error.value.code == code
    assert await office.ids() == ["kfz/a.md"]


async def test_a_name_that_a_terminal_would_obey_is_refused_and_shown_without_that(office: Office):
    office.put("kfz/a\x1b[31mb.md")
    assert await office.sync() == {"kfz/a?[31mb.md": "name"}


async def test_several_paths_are_seen_in_one_look_and_nothing_else_is(office: Office):
    for name in ("kfz/a.md", "kfz/in/b.md", "kfz/in/c.md", "kfz/inner.md", "town/d.md"):
        office.put(name)
    work = await office.ingester.look("kfz/a.md", "kfz/in", "kfz/in/b.md", "town/d.md")
    done = [one.id async for one in office.ingester.run(work)]
    assert sorted(done) == ["kfz/a.md", "kfz/in/b.md", "kfz/in/c.md", "town/d.md"]
    (office.root / "kfz/in/c.md").unlink()
    assert await office.sync("kfz/a.md") == {}
    assert await office.sync("kfz/in") == {"kfz/in/c.md": "gone"}


async def test_rules_that_cannot_be_used_are_told_once_of_however_many_paths(office: Office):
    for name in ("kfz/a.md", "kfz/b.md"):
        office.put(name)
    office.put("kfz/space.yaml", "publik: []")
    work = await office.ingester.look("kfz/a.md", "kfz/b.md")
    assert [one.id async for one in office.ingester.run(work)] == ["kfz"]


async def test_whoever_is_stopped_goes_on_where_it_was(office: Office):
    for n in range(6):
        office.put(f"kfz/{n}.md")
    work = await office.ingester.look()
    run = office.ingester.run(work)
    async for outcome in run:
        if outcome.id == "kfz/2.md":
            break
    await run.aclose()
    assert await office.ids() == ["kfz/0.md", "kfz/1.md", "kfz/2.md"]
    assert list(await office.sync()) == ["kfz/3.md", "kfz/4.md", "kfz/5.md"]


async def test_a_bug_in_the_parser_is_not_taken_for_the_end(office: Office):
    office.put("kfz/a.md")
    office.put("kfz/b.md")
    office.parser.fail["b.md"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        await office.sync()


async def test_chunks_know_their_heading_page_and_language(office: Office):
    office.put("kfz/a.md", "# Top\n\n## Sub\n\nDas Amt ist mit der Post und auf dem Weg da.\n")
    await office.sync()
    hits = await office.index.by_vector(
        (await FakeEmbedder().embed(["Top Sub Amt"]))[0], Scope(("kfz",), "de"), 5
    )
    (stored,) = await office.index.chunks([hit.key for hit in hits])
    assert stored.chunk.headings == ("Top", "Sub")
    assert (stored.chunk.position, stored.chunk.page, stored.chunk.language) == (0, None, "de")


async def test_one_document_is_read_while_another_is_written(office: Office):
    order: list[str] = []
    replaced = office.index.replace

    async def slow(document, chunks, vectors):
        order.append(f"write {document.id}")
        await asyncio.sleep(0.05)
        await replaced(document, chunks, vectors)
        order.append(f"wrote {document.id}")

    office.index.replace = slow
    parse = office.parser.parse

    async def noted(task):
        order.append(f"read {Path(task.path).name}")
        return await parse(task)

    office.parser.parse = noted
    office.put("kfz/a.md")
    office.put("kfz/b.md")
    await office.sync()
    assert order.index("read b.md") < order.index("wrote kfz/a.md")


def test_every_result_is_told_apart():
    assert len({str(result) for result in Result}) == len(Result)
    assert Outcome("a", Result.NEW).redacted == {}
