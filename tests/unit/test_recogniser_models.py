"""The recogniser's models are built once, whole or not at all, and kept by what they hold."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from apps.core.errors import EngineUnavailable
from apps.voice.stt.build import (
    DICTIONARY,
    RATING,
    Recipe,
    ensure_models,
    espeak_phonemes,
    language_model,
    place_recipe,
    read_dictionary,
)
from apps.voice.stt.domain import DomainText
from apps.voice.stt.general import LogProbs

RECIPE = Recipe(
    {"kfz": DomainText(("How do I deregister my car?",), terms=("plate", "unspeakable"))}, 5
)
CMU = """a AH
a(2) EY
car K AA R
cars K AA R Z
deregistering D IY R EH JH IH S T ER IH NG
do D UW
four F AO R
how HH AW
i AY
my M AY
plate P L EY T
we W IY
"""


def log_probs(words: Sequence[str], history: str | None) -> NDArray[np.float64]:
    return np.full(len(words), math.log(0.01 if history is None else 0.005))


class Building:
    """Counts how often models are built."""

    def __init__(self, tmp_path: Path) -> None:
        self.dictionary = tmp_path / "cmu.dict"
        self.dictionary.write_text(CMU)
        self.loads = 0
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def general(self) -> LogProbs:
        with self._lock:
            self.loads += 1
        return log_probs

    def pronounce(self, words: Sequence[str]) -> Mapping[str, str]:
        self.asked += words
        return {word: "diːɹˈɛdʒɪstɚ" for word in words if word == "deregister"}

    def ensure(self, folder: Path) -> list[str]:
        return ensure_models(
            folder,
            load_general=self.general,
            dictionary=self.dictionary,
            pronounce=self.pronounce,
        )


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path)


def test_the_folder_holds_a_dictionary_and_the_models(tmp_path: Path, building: Building) -> None:
    folder = place_recipe(RECIPE, tmp_path / "cache")
    assert building.ensure(folder) == ["kfz"]
    known = read_dictionary(folder / DICTIONARY)
    assert known["deregister"] == ["D IY R EH JH IH S T ER"]
    assert known["a"] == ["AH", "EY"]
    assert "a(2) EY" in (folder / DICTIONARY).read_text().splitlines()
    model = language_model(folder, "kfz").read_text()
    assert "i deregister my" in model
    assert "four" in language_model(folder, RATING).read_text()


def test_words_with_a_pronunciation_and_their_forms_are_in_the_vocabulary(
    tmp_path: Path, building: Building
) -> None:
    folder = place_recipe(RECIPE, tmp_path / "cache")
    building.ensure(folder)
    unigrams = language_model(folder, "kfz").read_text().split("\\2-grams:")[0].split()
    assert {"car", "cars", "plate", "we"} <= set(unigrams)
    assert "unspeakable" not in unigrams
    assert "car" not in building.asked
    assert "deregister" in building.asked


def test_what_is_there_is_not_built_again(tmp_path: Path, building: Building) -> None:
    folder = place_recipe(RECIPE, tmp_path / "cache")
    building.ensure(folder)
    assert place_recipe(RECIPE, tmp_path / "cache") == folder
    building.ensure(folder)
    assert building.loads == 1


def test_another_text_gets_models_of_its_own(tmp_path: Path) -> None:
    other = Recipe({"kfz": DomainText(("Where is my plate?",))}, 5)
    assert place_recipe(other, tmp_path) != place_recipe(RECIPE, tmp_path)


def test_workers_that_start_together_build_once(tmp_path: Path, building: Building) -> None:
    folder = place_recipe(RECIPE, tmp_path / "cache")
    workers = [threading.Thread(target=building.ensure, args=(folder,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert building.loads == 1
    assert language_model(folder, "kfz").exists()


def test_a_build_that_fails_leaves_nothing_and_may_be_tried_again(
    tmp_path: Path, building: Building
) -> None:
    folder = place_recipe(RECIPE, tmp_path / "cache")
    building.dictionary.unlink()
    with pytest.raises(FileNotFoundError):
        building.ensure(folder)
    assert not [path for path in folder.parent.iterdir() if path.is_dir()]
    building.dictionary.write_text(CMU)
    assert building.ensure(folder) == ["kfz"]


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineUnavailable, match="cannot be written"):
        place_recipe(RECIPE, tmp_path / "file" / "cache")


@pytest.mark.slow
def test_espeak_says_how_unknown_words_are_pronounced() -> None:
    spelled = espeak_phonemes(["windscreen", "deregister"])
    assert spelled["windscreen"].replace("ˈ", "") == "wɪndskɹiːn"
    assert set(spelled) == {"windscreen", "deregister"}
