"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from apps.core.files import FORGOTTEN_S, write_whole


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


def test_a_draft_that_a_killed_process_left_is_removed_and_one_at_work_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.json"
    forgotten, at_work, lock = (
        tmp_path / name
        for name in (".state.json.a1b2c3d4", ".state.json.e5f6g7h8", ".state.json.lock")
    )
    for file in (forgotten, at_work, lock):
        file.touch()
    long_ago = time.time() - FORGOTTEN_S - 60
    for file in (forgotten, lock):
        os.utime(file, (long_ago, long_ago))
    write_whole(path, "new")
    assert set(tmp_path.iterdir()) == {path, at_work, lock}
