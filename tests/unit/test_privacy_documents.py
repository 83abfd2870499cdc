"""What a detector finds in a document never reaches the index."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from apps.cli.config_checks import check_settings
from apps.core.errors import ConfigError, DocumentError
from apps.core.privacy import DetectorSpec
from apps.core.privacy.fakes import FakeDetector
from apps.core.redaction import Finding
from apps.knowledge.documents import worker
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.parsing import LocalParser, Parsed, ProcessParser
from apps.knowledge.documents.reading import Passage, Summary, Task, read
from apps.knowledge.index.base import Scope
from apps.knowledge.index.fake import FakeEmbedder, FakeIndex
from apps.running_privacy import detector_spec, open_redactor
from apps.settings import Settings

TEXT = """\
# Petra Kern berät

Der Antrag liegt bei Frau Petra Kern, und das Formular ist im Amt.

## Opening

The form is with Max Stone, and it is at the office of the town.
"""


def found_in(
    path: Path, detector: FakeDetector | None, **task: object
) -> tuple[list[Passage], Summary]:
    *passages, summary = read(Task(str(path), **task), detector)
    assert isinstance(summary, Summary)
    return passages, summary


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "Petra_Kern.md"
    path.write_text(TEXT)
    return path


def test_names_go_from_texts_headings_and_titles(page: Path):
    passages, summary = found_in(page, FakeDetector("Petra Kern", "Max Stone"))
    said = " ".join(" ".join((p.text, *p.headings)) for p in passages) + summary.title
    assert "Kern" not in said
    assert "Stone" not in said
    assert "Frau [name]" in said
    assert summary.title == "[name] berät"
    assert summary.redacted["name"] >= 3


def test_a_title_that_is_made_of_the_files_name_has_none_either(tmp_path: Path):
    path = tmp_path / "Akte_Petra_Kern.txt"
    path.write_text("Der Antrag liegt im Amt, und das Formular ist dort.")
    assert found_in(path, FakeDetector("Petra Kern"))[1].title == "Akte [name]"


def test_who_is_public_stays(page: Path):
    _, summary = found_in(page, FakeDetector("Petra Kern"), public=("Petra Kern",))
    assert summary.title == "Petra Kern berät"
    assert summary.redacted == {}


def test_each_text_is_looked_at_in_its_own_language_and_headings_in_their_texts(page: Path):
    detector = FakeDetector()
    found_in(page, detector)
    # A heading and its text, another with its own; the file's name at the end.
    assert detector.languages[:-1] == ["de", "de", "en", "en"]


def test_a_name_that_is_found_once_goes_wherever_it_stands(tmp_path: Path):
    class FindsOne(FakeDetector):
        """Finds the name in one sentence, as a model does that misses it in others."""

        def find(self, text: str, language: str) -> Iterator[Finding]:
            return super().find(text, language) if "Zimmer" in text else iter(())

    path = tmp_path / "a.md"
    path.write_text(
        "# Petra Kern\n\nFragen Sie Petra Kern oder Frau Kern im Amt.\n\n"
        "Im Zimmer 12 ist Petra Kern, und der Kern ist gesund.\n\nPetra Kerns Büro ist dort.\n"
    )
    passages, summary = found_in(path, FindsOne("Petra Kern"))
    assert summary.title == "[name]"
    said = " ".join(passage.text for passage in passages)
    assert said == (
        "Fragen Sie [name] oder Frau [name] im Amt. Im Zimmer 12 ist [name], und der Kern ist"
        " gesund. [name] Büro ist dort."
    )


def test_a_language_that_is_certain_is_the_detectors_too(page: Path):
    detector = FakeDetector()
    found_in(page, detector, language="en")
    assert set(detector.languages) == {"en"}


def test_a_detector_that_fails_fails_the_document_without_a_word_of_it(page: Path):
    with pytest.raises(DocumentError) as failed:
        found_in(page, FakeDetector(fails_on="Stone"))
    assert failed.value.code == "redaction"
    assert "Stone" not in failed.value.message


class Office:
    """A folder of one document, with an index of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.index = root, FakeIndex()
        (root / "kfz").mkdir()
        (root / "kfz" / "a.md").write_text(TEXT)
        os.utime(root / "kfz" / "a.md", (1, 1))  # one just written is looked at twice

    async def sync(self, detector: FakeDetector | None, named: str) -> dict[str, str]:
        ingester = Ingester(
            self.index,
            FakeEmbedder(),
            LocalParser(detector),
            root=self.root,
            limits=Limits(),
            detector=named,
        )
        work = await ingester.look()
        outcomes = [outcome async for outcome in ingester.run(work)]
        return {one.id: one.error.code if one.error else one.result.value for one in outcomes}

    async def finds(self, word: str) -> bool:
        return bool(await self.index.by_words(word, Scope(("kfz",)), 10))


async def test_documents_are_read_again_when_the_detector_or_its_model_changes(tmp_path: Path):
    office = Office(tmp_path)
    assert await office.sync(None, "") == {"kfz/a.md": "new"}
    assert await office.finds("Kern")
    knows = FakeDetector("Petra Kern")
    assert await office.sync(knows, "model 1") == {"kfz/a.md": "changed"}
    assert not await office.finds("Kern")
    assert await office.finds("Stone")
    assert await office.sync(knows, "model 1") == {}
    knows_more = FakeDetector("Petra Kern", "Max Stone")
    assert await office.sync(knows_more, "model 2") == {"kfz/a.md": "changed"}
    assert not await office.finds("Stone")
    assert await office.finds("Formular")


async def test_what_was_indexed_before_leaves_where_the_detector_fails_on_it(tmp_path: Path):
    office = Office(tmp_path)
    await office.sync(None, "")
    failing = FakeDetector(fails_on="Stone")
    assert await office.sync(failing, "model 1") == {"kfz/a.md": "redaction"}
    assert await office.index.documents() == ()
    assert await office.sync(failing, "model 1") == {"kfz/a.md": "redaction"}


@pytest.mark.parametrize("code", ["timeout", "too_big", "crashed"])
async def test_what_another_recipe_indexed_leaves_where_it_cannot_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
):
    office = Office(tmp_path)
    await office.sync(None, "")
    monkeypatch.setattr(LocalParser, "parse", failing_with(code))
    assert await office.sync(FakeDetector(), "model 1") == {"kfz/a.md": code}
    assert await office.index.documents() == ()


@pytest.mark.parametrize(
    ("code", "before", "now"),
    [("no_detector", "", "model 1"), ("timeout", "model 1", "model 1"), ("timeout", "", "")],
)
async def test_what_may_be_served_stays_where_it_cannot_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, before: str, now: str
):
    office = Office(tmp_path)
    await office.sync(FakeDetector() if before else None, before)
    (tmp_path / "kfz" / "a.md").write_text(TEXT + "Mehr.")
    monkeypatch.setattr(LocalParser, "parse", failing_with(code))
    assert await office.sync(FakeDetector() if now else None, now) == {"kfz/a.md": code}
    assert len(await office.index.documents()) == 1


def failing_with(code: str) -> Callable[[LocalParser, Task], Awaitable[Parsed]]:
    async def parse(parser: LocalParser, task: Task) -> Parsed:
        raise DocumentError("It cannot be read.", code=code)

    return parse


async def test_a_parser_whose_detector_cannot_be_made_reads_nothing(page: Path):
    parser = ProcessParser(DetectorSpec({"de": "./nowhere"}))
    try:
        for _ in range(2):
            with pytest.raises(DocumentError) as failed:
                await parser.parse(Task(str(page)))
            assert failed.value.code == "no_detector"
    finally:
        await parser.close()


def test_what_a_detector_holds_is_not_of_the_documents_memory(monkeypatch: pytest.MonkeyPatch):
    limits: dict[int, int] = {}
    monkeypatch.setattr(
        worker.resource, "setrlimit", lambda what, told: limits.update({what: told[0]})
    )
    worker._bound(Limits(memory_bytes=512 * MIB), 300 * MIB)
    assert limits[worker.resource.RLIMIT_AS] == 812 * MIB
    assert worker._address_space() > MIB


class TestSettings:
    def test_off_is_the_default_and_wants_nothing(self):
        assert detector_spec(Settings(_env_file=None)) is None

    def test_a_model_that_is_not_there_is_told_before_a_document_is_read(self):
        settings = Settings(
            _env_file=None, privacy_detector=True, privacy_models={"de": "./nowhere"}
        )
        with pytest.raises(ConfigError):
            detector_spec(settings)
        found = [one for one in check_settings(settings) if "PRIVACY" in one.setting]
        assert [one.severity for one in found] == ["error"]

    def test_models_without_the_detector_are_worth_a_look(self):
        settings = Settings(_env_file=None, privacy_models={"de": "de_core_news_md"})
        (found,) = [one for one in check_settings(settings) if "PRIVACY" in one.setting]
        assert found.severity == "warning"

    async def test_what_waits_for_a_detector_has_one_thread_of_its_own_which_ends_with_it(self):
        async with AsyncExitStack() as stack:
            redactor = open_redactor(Settings(_env_file=None), stack)
            assert isinstance(redactor.threads, ThreadPoolExecutor)
            assert redactor.threads._max_workers == 1
            assert redactor.threads.submit(redactor, "0171 2345678", "de").result().findings
        with pytest.raises(RuntimeError):
            redactor.threads.submit(redactor, "", "de")
