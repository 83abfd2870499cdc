"""What is to be done follows from what is indexed and what lies there, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError, DocumentError
from apps.knowledge.documents.folder import Problem, SeenFile, scan
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.plan import plan
from apps.knowledge.documents.rules import SpaceRules, load_rules
from apps.knowledge.index.base import Document


def document(document_id: str, *, size: int = 1, mtime_ns: int = 1, recipe: str = "r") -> Document:
    return Document(
        id=document_id,
        space=document_id.partition("/")[0],
        title="",
        source=document_id,
        media_type="text/plain",
        language="de",
        sha256="0",
        size=size,
        mtime_ns=mtime_ns,
        quality=1.0,
        recipe=recipe,
    )


def seen(document_id: str, *, size: int = 1, mtime_ns: int = 1) -> SeenFile:
    return SeenFile(document_id, f"/{document_id}", size, mtime_ns)


def trouble(problem_id: str) -> Problem:
    return Problem(problem_id, DocumentError("x", code="unreadable"))


def test_each_document_is_new_changed_gone_or_unchanged():
    known = [document("a/same"), document("a/size"), document("a/date"), document("a/gone")]
    looks = [seen("a/new"), seen("a/same"), seen("a/size", size=2), seen("a/date", mtime_ns=2)]
    done = plan(known, looks, lambda _: "r")
    assert [file.id for file in done.new] == ["a/new"]
    assert [file.id for file, _ in done.changed] == ["a/size", "a/date"]
    assert [d.id for d in done.unchanged] == ["a/same"]
    assert [d.id for d in done.gone] == ["a/gone"]
    assert done.size == 4


def test_other_rules_make_a_space_s_documents_be_read_again():
    done = plan(
        [document("a/x"), document("b/x")],
        [seen("a/x"), seen("b/x")],
        {"a": "r", "b": "s"}.__getitem__,
    )
    assert [file.id for file, _ in done.changed] == ["b/x"]


def test_all_are_read_again_where_that_is_asked():
    assert plan([document("a/x")], [seen("a/x")], lambda _: "r", again=True).changed


@pytest.mark.parametrize("hidden", ["a", "a/x", ""])
def test_what_cannot_be_looked_at_is_not_gone(hidden):
    done = plan([document("a/x")], [trouble(hidden)], lambda _: "r")
    assert (done.gone, len(done.problems)) == ((), 1)


def test_a_problem_elsewhere_hides_nothing():
    assert plan([document("a/x")], [trouble("a/xy")], lambda _: "r").gone


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3)),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3)),
)
def test_doing_a_plan_leaves_nothing_to_do(indexed, lying):
    known = {name: document(f"s/{name}", size=size) for name, size in indexed.items()}
    looks = [seen(f"s/{name}", size=size) for name, size in lying.items()]
    done = plan(known.values(), looks, lambda _: "r")
    touched = len(done.new) + len(done.changed) + len(done.unchanged)
    assert touched == len(lying)
    after = [document(file.id, size=file.size) for file in done.new]
    after += [replace(old, size=file.size) for file, old in done.changed]
    assert plan([*after, *done.unchanged], looks, lambda _: "r").size == 0


# --- the folder


def looks(root: Path, under: str = "", **limits) -> dict[str, str]:
    """Return what was seen: an id, and its problem's code or "ok"."""
    found = scan(root, Limits(**limits), under)
    return {one.id: one.error.code if isinstance(one, Problem) else "ok" for one in found}


def put(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_in_spaces_are_documents_and_hidden_ones_are_not(tmp_path: Path):
    for name in (
        "kfz/a.md",
        "kfz/de/b.txt",
        "kfz/space.yaml",
        "kfz/.c.md",
        ".git/d.md",
        "kfz/~$e.docx",
    ):
        put(tmp_path / name)
    assert looks(tmp_path) == {"kfz/a.md": "ok", "kfz/de/b.txt": "ok"}
    assert looks(tmp_path, "kfz/de") == {"kfz/de/b.txt": "ok"}
    assert looks(tmp_path, "kfz/gone.md") == {}
    assert looks(tmp_path, "kfz/.c.md") == {}


def test_what_is_no_document_is_a_problem_with_a_code(tmp_path: Path):
    put(tmp_path / "loose.md")
    put(tmp_path / "kfz/picture.png")
    put(tmp_path / "kfz/big.txt", "x" * 100)
    os.mkfifo(tmp_path / "kfz/pipe.txt")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/kfz/\xff.md"))).write_text("x")
    codes = looks(tmp_path, file_bytes=50)
    assert sorted(codes.values()) == ["name", "no_file", "no_space", "too_big", "unsupported"]
    for name in codes:
        name.encode()


def test_links_are_followed_only_to_files_in_the_folder(tmp_path: Path):
    root = tmp_path / "documents"
    put(root / "kfz/..data/a.md")
    put(tmp_path / "secret.md")
    (root / "kfz/a.md").symlink_to("..data/a.md")
    (root / "kfz/out.md").symlink_to("../../secret.md")
    (root / "kfz/passwd.txt").symlink_to("/etc/passwd")
    (root / "kfz/loop").symlink_to(".")
    (root / "kfz/dangling.md").symlink_to("nothing.md")
    assert looks(root) == {
        "kfz/a.md": "ok",
        "kfz/loop": "link",
        "kfz/out.md": "outside",
        "kfz/passwd.txt": "outside",
    }


def test_what_may_not_be_read_is_a_problem_and_hides_nothing_else(tmp_path: Path, monkeypatch):
    put(tmp_path / "kfz/closed/a.md")
    put(tmp_path / "kfz/open.md")
    opened = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return opened(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert looks(tmp_path) == {"kfz/closed": "unreadable", "kfz/open.md": "ok"}


def test_folders_without_end_are_a_problem(tmp_path: Path):
    put(tmp_path.joinpath("kfz", *["d"] * 40, "a.md"))
    assert list(looks(tmp_path).values()) == ["too_deep"]


# --- a space's rules


def test_a_folder_or_the_space_says_the_language():
    rules = SpaceRules(language="de")
    assert rules.language_of("kfz/en/a.md") == "en"
    assert rules.language_of("kfz/a.md") == "de"
    assert SpaceRules().language_of("de.md") is None


def test_rules_are_read_and_change_the_recipe(tmp_path: Path):
    assert load_rules(tmp_path) == SpaceRules()
    put(tmp_path / "space.yaml", "public: ['115']\nlanguage: en\ndomain: [car]\n")
    rules = load_rules(tmp_path)
    assert rules == SpaceRules(public=("115",), language="en", domain=("car",))
    assert rules.recipe() != SpaceRules().recipe() == SpaceRules().recipe()


@pytest.mark.parametrize(
    "text",
    [
        *("publik: []", "public: 5", "language: fr", "- x", "{", "a: [\x01]", "[" * 20_000),
        "domain: [" + "word, " * 200_000 + "]",
    ],
)
def test_rules_that_cannot_be_are_an_error(tmp_path: Path, text: str):
    put(tmp_path / "space.yaml", text)
    with pytest.raises(ConfigError):
        load_rules(tmp_path)


def test_rules_say_which_of_them_is_wrong(tmp_path: Path):
    put(tmp_path / "space.yaml", "publik: []\n")
    with pytest.raises(ConfigError, match="publik"):
        load_rules(tmp_path)


def test_rules_are_a_file_and_no_pipe_that_would_be_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "space.yaml")
    with pytest.raises(ConfigError, match="no file"):
        load_rules(tmp_path)
