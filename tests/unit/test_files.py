"""A file that is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.core.files import write_whole


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    for text in ("old", "ä new one"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


def test_where_writing_fails_the_older_one_stays_and_no_draft_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_whole(path, "old")

    def full(*names: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="full"):
        write_whole(path, "new")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("state.json", "old")]
