"""A folder that is followed: what is written is found within a second, when it is at rest."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import DocumentError
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.outcome import Outcome
from apps.knowledge.documents.parsing import LocalParser
from apps.knowledge.documents.watch import Settling, follow, meant
from apps.knowledge.index.base import Scope
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex

TEXT = "The {} is kept at the office on the first floor and it is free of charge for all.\n"


def test_a_path_is_taken_when_it_was_not_written_for_a_while():
    settling = Settling(0.2).written("a", 1.0).written("b", 1.1).written("a", 1.15)
    assert settling.next_s() == pytest.approx(1.3)
    assert settling.due(1.2) == ((), settling)
    due, rest = settling.due(1.31)
    assert due == ("b",)
    assert rest.due(1.36)[0] == ("a",)
    assert rest.due(1.36)[1].next_s() is None


def test_a_path_that_is_written_without_an_end_is_taken_all_the_same():
    settling = Settling(0.2)
    for step in range(21):
        settling = settling.written("log", step * 0.1)
    assert settling.due(1.99)[0] == ()
    assert settling.due(2.0)[0] == ("log",)


def test_what_lies_in_a_folder_that_is_looked_at_is_not_looked_at_twice():
    settling = Settling(0.1).written("kfz/de/a", 0).written("kfz/de", 0).written("kfz/d", 0)
    assert settling.due(1.0)[0] == ("kfz/d", "kfz/de")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.3)), max_size=30))
def test_no_path_is_forgotten_or_taken_twice(writes):
    settling, now, taken, open_paths = Settling(0.2), 0.0, [], set()
    for path, pause in writes:
        now += pause
        due, settling = settling.due(now)
        taken += due
        assert set(due) <= open_paths
        open_paths -= set(due)
        settling = settling.written(path, now)
        open_paths.add(path)
    due, settling = settling.due(now + 10)
    assert set(due) == open_paths
    assert settling.since == ()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/d/kfz/a.md", "kfz/a.md"),
        ("/d", ""),
        ("/d/kfz", "kfz"),
        ("/d/kfz/space.yaml", "kfz"),
        ("/d/kfz/de/space.yaml", "kfz/de/space.yaml"),
        ("/d/kfz/.a.md.swp", None),
        ("/d/.git/x", None),
        ("/d/kfz/~$a.docx", None),
        ("/else", None),
    ],
)
def test_a_write_means_a_document_or_a_space(path, found):
    assert meant("/d", path) == found


class Followed:
    """A folder that is followed while a test goes on.

    Attributes:
        outcomes: What became of documents.
    """

    def __init__(self, root: Path, **options) -> None:
        self.root, self.index = root, FakeIndex()
        self.outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self._stop, self._ready = asyncio.Event(), asyncio.Event()
        self._options = options

    async def __aenter__(self) -> Followed:
        self._task = asyncio.create_task(self._follow())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        await self._task

    async def _follow(self) -> None:
        async def ready() -> None:
            self._ready.set()

        ingester = Ingester(
            self.index, FakeEmbedder(), LocalParser(), root=self.root, limits=Limits()
        )
        async for outcome in follow(
            ingester, self.root, self._stop, quiet_s=0.1, ready=ready, **self._options
        ):
            self.outcomes.put_nowait(outcome)

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(5):
            outcome = await self.outcomes.get()
        return outcome.id, outcome.error.code if outcome.error else outcome.result.value

    async def found(self, word: str) -> bool:
        return bool(await self.index.by_words(word, Scope(("kfz",)), 5))


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_what_is_written_is_found_within_a_second(tmp_path: Path):
    put(tmp_path / "kfz/a.md", TEXT.format("passport"))
    async with Followed(tmp_path) as folder:
        assert await folder.next() == ("kfz/a.md", "new")
        written_s = time.monotonic()
        put(tmp_path / "kfz/a.md", TEXT.format("licence"))
        assert await folder.next() == ("kfz/a.md", "changed")
        assert time.monotonic() - written_s < 1.0
        assert await folder.found("licence")
        assert not await folder.found("passport")


async def test_new_folders_moves_rules_and_deletions_are_followed(tmp_path: Path):
    put(
        tmp_path / "kfz/a.md", "The desk is at 06172 999-0 for all of the callers and it is free.\n"
    )
    async with Followed(tmp_path) as folder:
        await folder.next()
        put(tmp_path / "kfz/space.yaml", "public: ['06172 999-0']")
        assert await folder.next() == ("kfz/a.md", "changed")
        put(tmp_path / "kfz/en/deep/b.md", TEXT.format("passport"))
        assert await folder.next() == ("kfz/en/deep/b.md", "new")
        os.rename(tmp_path / "kfz/en", tmp_path / "kfz/de")
        moved = {await folder.next(), await folder.next()}
        assert moved == {("kfz/de/deep/b.md", "new"), ("kfz/en/deep/b.md", "gone")}
        (tmp_path / "kfz/a.md").unlink()
        assert await folder.next() == ("kfz/a.md", "gone")


async def test_a_duplicate_takes_the_place_of_the_one_that_is_gone(tmp_path: Path):
    put(tmp_path / "kfz/a.md", TEXT.format("passport"))
    put(tmp_path / "kfz/b.md", TEXT.format("passport"))
    async with Followed(tmp_path) as folder:
        assert await folder.next() == ("kfz/a.md", "new")
        assert await folder.next() == ("kfz/b.md", "duplicate")
        (tmp_path / "kfz/a.md").unlink()
        assert {await folder.next(), await folder.next()} == {
            ("kfz/a.md", "gone"),
            ("kfz/b.md", "new"),
        }


async def test_a_broken_file_does_not_end_it(tmp_path: Path):
    (tmp_path / "kfz").mkdir()
    async with Followed(tmp_path) as folder:
        put(tmp_path / "kfz/a.pdf", "no PDF")
        assert await folder.next() == ("kfz/a.pdf", "wrong_extension")
        put(tmp_path / "kfz/b.md", TEXT.format("licence"))
        assert await folder.next() == ("kfz/b.md", "new")


async def test_a_folder_of_another_machine_is_polled(tmp_path: Path):
    (tmp_path / "kfz").mkdir()
    async with Followed(tmp_path, poll=True) as folder:
        put(tmp_path / "kfz/b.md", TEXT.format("licence"))
        assert await folder.next() == ("kfz/b.md", "new")


async def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path):
    folder = Followed(tmp_path / "gone")
    with pytest.raises(DocumentError) as error:
        async with folder:
            pass
    assert error.value.code == "no_folder"
