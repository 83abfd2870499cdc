"""What was learned from the knowledge is kept between starts, and learned anew when it changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.core.resources import resource
from apps.knowledge import kept
from apps.knowledge.entries import Entry, load_elsewhere, load_entries
from apps.knowledge.learning import Learned, learn
from apps.knowledge.ranking import EntryRanker

SAMPLE = resource("knowledge")
ENTRIES = [
    Entry(
        f"e-{i}", f"Where is the {thing}?", (f"the {thing} please",), (f"The {thing} is here.",),
        "x", "en", "demo", f"demo/en/x.md#e-{i}",
    )
    for i, thing in enumerate(("lake", "tower", "bakery"))
]  # fmt: skip


class Teacher:
    """Learns, and counts how often it had to."""

    def __init__(self) -> None:
        self.taught: Learned | None = None
        self.lessons = 0

    def __call__(
        self,
        entries: list[Entry],
        language: str,
        chance: float | None = None,
        not_answered: Sequence[str] = (),
    ) -> Learned:
        self.lessons += 1
        self.taught = self.taught or learn(entries[:3], language, 0.3)
        return self.taught


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    counting = Teacher()
    monkeypatch.setattr(kept, "learn", counting)
    return counting


@pytest.fixture(scope="module")
def known() -> Learned:
    return learn(ENTRIES, "en", 0.3)


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_ranks_as_what_was_learned(known: Learned) -> None:
    again = Learned.from_arrays(known.to_arrays())
    bm25 = np.zeros(len(ENTRIES))
    for query in ("where is the lake", "towers", "the bakeries of the town", "", "quite unknown"):
        first, second = (
            EntryRanker(ENTRIES, "en", one).rank(query, bm25) for one in (known, again)
        )
        assert first == second


def test_a_second_start_learns_nothing(tmp_path: Path, teacher: Teacher) -> None:
    first = kept.learned(ENTRIES, "en", tmp_path / "new")
    second = kept.learned(ENTRIES, "en", tmp_path / "new")
    assert teacher.lessons == 1
    assert second.even_chance == first.even_chance
    assert np.array_equal(second.classifier.dual, first.classifier.dual)
    assert only(tmp_path / "new").suffix == ".npz"


def test_another_border_of_the_knowledge_is_learned_anew(tmp_path: Path, teacher: Teacher) -> None:
    kept.learned(ENTRIES, "en", tmp_path, ("do you mend shoes",))
    kept.learned(ENTRIES, "en", tmp_path, ("do you mend clocks",))
    assert teacher.lessons == 2


def test_changed_knowledge_is_learned_anew(tmp_path: Path, teacher: Teacher) -> None:
    kept.learned(ENTRIES, "en", tmp_path)
    kept.learned([replace(ENTRIES[0], variants=("a pond",)), *ENTRIES[1:]], "en", tmp_path)
    assert teacher.lessons == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_file_is_learned_anew(tmp_path: Path, teacher: Teacher, damage: str) -> None:
    kept.learned(ENTRIES, "en", tmp_path)
    path = only(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 64])
            + whole[middle + 64 :],
            "text": b"no archive at all",
        }[damage]
    )  # fmt: skip
    kept.learned(ENTRIES, "en", tmp_path)
    kept.learned(ENTRIES, "en", tmp_path)
    assert teacher.lessons == 2
    assert only(tmp_path).read_bytes()[:2] == b"PK"


def test_what_was_learned_from_other_content_is_not_used(tmp_path: Path, teacher: Teacher) -> None:
    kept.learned(ENTRIES, "en", tmp_path)
    other = [replace(ENTRIES[0], sentences=("Gone.",)), *ENTRIES[1:]]
    only(tmp_path).rename(tmp_path / f"learned-{kept.content_key(other, 'en')}.npz")
    kept.learned(other, "en", tmp_path)
    assert teacher.lessons == 2


def test_files_that_were_not_used_lately_are_let_go(tmp_path: Path, teacher: Teacher) -> None:
    def learn_another(number: int) -> list[Path]:
        kept.learned([replace(ENTRIES[0], topic=f"t{number}"), *ENTRIES[1:]], "en", tmp_path)
        return list(tmp_path.iterdir())

    files = [learn_another(number) for number in range(12)][-1]
    assert len(files) == 12  # a base of many profiles uses them all
    for file in files[:6]:
        os.utime(file, (0, 0))
    assert len(learn_another(12)) == 8


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, teacher: Teacher) -> None:
    (tmp_path / "file").write_text("in the way")
    kept.learned(ENTRIES, "en", tmp_path / "file")
    kept.learned(ENTRIES, "en", tmp_path / "file")
    assert teacher.lessons == 2


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_samples_even_chance_is_what_it_would_find_for_itself(language: str) -> None:
    every, not_answered = load_entries(SAMPLE), load_elsewhere(SAMPLE)
    entries, others = [e for e in every if e.language == language], not_answered["kfz", language]
    written = kept.SAMPLE_CHANCES.read_text(encoding="utf-8")
    assert kept.sample_chances(every, not_answered, written) == written, "make docs"
    chance = kept.known_chances(written)[kept.content_key(entries, language, others)]
    found = learn(entries, language, not_answered=others).even_chance
    assert found == pytest.approx(chance, abs=0.003), "raise _FORMAT in kept.py, then make docs"
