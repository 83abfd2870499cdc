"""`tom kb`: documents in, what is indexed of them, and out again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app, kb_folder
from apps.knowledge.documents.parsing import LocalParser
from apps.settings import load_settings

TEXT = "The {} is kept at the office on the first floor and it is free of charge for all.\n"


class QuickParser(LocalParser):
    """Reads in this process, as if it were another."""

    async def start(self) -> None:
        """Nothing is started."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A data folder of the test's own; documents are parsed in the test's process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(kb_folder, "ProcessParser", QuickParser)
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def tom(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["kb", *arguments])
    return done.exit_code, " ".join(done.output.split())


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ids() -> list[str]:
    return [
        json.loads(line)["id"]
        for line in CliRunner().invoke(app, ["kb", "list", "--json"]).output.splitlines()
    ]


def test_a_file_is_copied_in_indexed_listed_and_removed(home: Path):
    given = put(home / "fees.md", "# Fees\n\n" + TEXT.format("fee"))
    code, out = tom("add", str(given), "--space", "cars", "--language", "en")
    assert (code, out) == (0, "1 new; 1 passage.")
    copy = home / "data/documents/cars/en/fees.md"
    assert copy.read_text() == given.read_text()
    assert "Fees" in tom("list")[1]
    told = json.loads(tom("stats", "--json")[1])
    assert (told["documents"], told["passages"]) == (1, 1)
    assert told["spaces"]["cars"]["languages"] == {"en": 1}
    assert "1 document with 1 passage." in tom("stats")[1]
    assert tom("remove", "cars/en", "--yes") == (0, "Removed 1 document and its file.")
    assert not copy.exists()
    assert given.exists()
    assert tom("list")[1].startswith("Nothing is indexed.")


def test_adding_again_does_nothing_and_what_lies_in_the_folder_counts(home: Path):
    path = put(home / "data/documents/kfz/a.md", TEXT.format("fee"))
    os.utime(path, (1, 1))  # one just written is looked at twice
    assert tom("add") == (0, "1 new; 1 passage.")
    assert tom("add") == (0, "Nothing has changed.")
    put(home / "data/documents/kfz/b.md", TEXT.format("plate"))
    (home / "data/documents/kfz/a.md").unlink()
    assert tom("add", "--space", "kfz") == (0, "1 new, 1 gone; 1 passage.")
    assert ids() == ["kfz/b.md"]


def test_a_folder_is_copied_with_what_can_be_read_in_it(home: Path):
    put(home / "mine/a.md", TEXT.format("fee"))
    put(home / "mine/deep/b.txt", TEXT.format("plate"))
    put(home / "mine/.hidden/c.md", TEXT.format("secret"))
    put(home / "mine/picture.png", "x")
    assert tom("add", str(home / "mine"))[0] == 0
    assert ids() == ["kfz/mine/a.md", "kfz/mine/deep/b.txt"]


def test_what_cannot_be_read_is_told_with_its_code_and_leaves_nothing_behind(home: Path):
    good = put(home / "good.md", TEXT.format("fee"))
    wrong = put(home / "wrong.pdf", "no PDF")
    broken = put(home / "broken.jsonl", "{")
    code, out = tom("add", str(good), str(wrong), str(broken))
    assert code == 1
    assert "[wrong_extension]" in out
    assert "[broken]" in out
    assert ids() == ["kfz/good.md"]
    lying = home / "data/documents/kfz"
    assert [path.name for path in lying.iterdir()] == ["good.md"]


def test_a_picture_among_documents_is_told_and_no_failure(home: Path):
    put(home / "data/documents/kfz/a.md", TEXT.format("fee"))
    put(home / "data/documents/kfz/logo.png", "x")
    code, out = tom("add")
    assert code == 0
    assert "[unsupported]" in out


def test_programs_get_json_a_line_a_document(home: Path):
    put(
        home / "data/documents/kfz/a.md",
        "Frau M. ist unter 0171 1234567 für Sie da, und zwar immer.",
    )
    put(home / "data/documents/kfz/b.pdf", "no PDF")
    done = CliRunner().invoke(app, ["kb", "add", "--json"])
    told = {line["id"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 1
    assert told["kfz/a.md"]["redacted"] == {"phone": 1}
    assert told["kfz/b.pdf"]["error"]["code"] == "wrong_extension"


def test_people_are_told_how_much_personal_data_was_taken_out(home: Path):
    put(
        home / "data/documents/kfz/a.md",
        "Frau M. ist unter 0171 1234567 für Sie da, und zwar immer.",
    )
    assert "Taken out as personal data: 1 phone." in tom("add")[1]


def test_all_is_read_anew_by_rebuild(home: Path):
    put(home / "data/documents/kfz/a.md", TEXT.format("fee"))
    tom("add")
    assert tom("rebuild") == (0, "1 changed; 1 passage.")


def test_the_index_can_be_emptied_while_files_stay(home: Path):
    put(home / "data/documents/kfz/a.md", TEXT.format("fee"))
    tom("add")
    assert tom("remove", "--all", "--yes")[0] == 0
    assert ids() == []
    assert tom("add") == (0, "1 new; 1 passage.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["remove", "kfz/none.md", "--yes"],
        ["remove"],
        ["remove", "x", "--all"],
        ["add", "--space", "../etc"],
        ["watch", "nowhere"],
        ["rebuild"],
    ],
)
def test_what_cannot_be_done_ends_with_two_and_a_sentence(home: Path, arguments):
    code, out = tom(*arguments)
    assert code == 2
    assert out.startswith("error: ")


def test_the_words_of_the_office_s_own_questions_are_its_domain(home: Path, monkeypatch):
    knowledge = Path(__file__).parents[2] / "docs"
    monkeypatch.setenv("TOM_PROFILE_DIR", str(knowledge))
    load_settings.cache_clear()
    words = kb_folder._domain_of(load_settings())
    assert {"zulassung", "registration"} & words("kfz")
    assert words("other") == frozenset()
