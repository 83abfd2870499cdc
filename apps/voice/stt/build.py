"""Builds what PocketSphinx needs for one set of profiles, once, and keeps it by content hash.

A folder ``<cache>/<hash>/`` holds the dictionary, one language model a profile and one for the
rating; ``<hash>.json`` beside it is the text from which they were made. Workers that start
together wait for the one that builds; a folder appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.errors import EngineUnavailable
from apps.voice.stt.arpabet import arpabet
from apps.voice.stt.domain import (
    DomainText,
    Weighted,
    domain_sentences,
    inflections,
    rating_sentences,
)
from apps.voice.stt.general import LogProbs, cut_general, rank_words
from apps.voice.stt.ngram import TrigramModel

BUILD_VERSION = 3
"""Raised whenever the same corpus gives another model, so that old caches are not used."""

GENERAL_WORDS = 4000
GENERAL_HISTORIES = 1000
RATING_GENERAL_WORDS = 300
DICTIONARY = "words.dict"
RATING = "<rating>"
"""Stands for the model that listens for a rating, where a profile's name stands otherwise."""
_PRONUNCIATION_TIMEOUT_S = 30.0
_ORDINARY_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*'?")

Pronounce = Callable[[Sequence[str]], Mapping[str, str]]
"""Returns the IPA of words."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What models are built from.

    Attributes:
        corpora: The text of each profile.
        general_words: How many of the most frequent English words are known besides.
    """

    corpora: Mapping[str, DomainText]
    general_words: int = GENERAL_WORDS

    def to_json(self) -> bytes:
        """Return the recipe in a form that is the same for the same texts."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Recipe:
        """Return the recipe that `to_json` wrote."""
        plain = json.loads(raw)
        corpora = {
            profile: DomainText(**{name: tuple(lines) for name, lines in text.items()})
            for profile, text in plain["corpora"].items()
        }
        return cls(corpora, plain["general_words"])


def place_recipe(recipe: Recipe, cache_dir: Path) -> Path:
    """Write a recipe into the cache and return its model folder, which may be unbuilt.

    Raises:
        EngineUnavailable: The cache cannot be written.
    """
    raw = recipe.to_json()
    key = hashlib.sha256(f"{BUILD_VERSION} {version('pocketsphinx')} ".encode() + raw)
    folder = cache_dir / key.hexdigest()[:20]
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        target = folder.with_suffix(".json")
        if not target.exists():
            _write_whole(target, raw)
    except OSError as error:
        raise EngineUnavailable(
            f"The recogniser's cache {cache_dir} cannot be written: {error.strerror}.",
            hint="Set TOM_DATA_DIR to a folder that can be written.",
        ) from error
    return folder


def ensure_models(
    folder: Path,
    *,
    load_general: Callable[[], LogProbs],
    dictionary: Path,
    pronounce: Pronounce | None = None,
) -> list[str]:
    """Build the models of a folder from its recipe unless they are there.

    Args:
        folder: What `place_recipe` returned.
        load_general: Loads the general model; called only when something is to be built.
        dictionary: CMU's pronouncing dictionary as PocketSphinx carries it.
        pronounce: Says how unknown words are spoken; espeak-ng when None.

    Returns:
        The profiles, in order.
    """
    recipe = Recipe.from_json(folder.with_suffix(".json").read_bytes())
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                _build(draft, recipe, load_general(), dictionary, pronounce or espeak_phonemes)
                draft.rename(folder)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    return sorted(recipe.corpora)


def language_model(folder: Path, profile: str) -> Path:
    """Return the path of the language model of a profile, or of `RATING`."""
    return folder / ("rating.model" if profile == RATING else f"{profile}.lm")


def espeak_phonemes(words: Sequence[str]) -> Mapping[str, str]:
    """Return the IPA of words from espeak-ng, which runs as a program of its own.

    Raises:
        EngineUnavailable: The program failed.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "apps.voice.workers.espeak_phonemes", "en-us"],
            input="".join(f"{word}\n" for word in words).encode(),
            capture_output=True,
            timeout=_PRONUNCIATION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineUnavailable(
            "espeak-ng could not say how the knowledge base's words are pronounced.",
            hint="Reinstall espeakng-loader.",
        ) from error
    return dict(line.split("\t", 1) for line in answer.stdout.decode().splitlines())


def _build(
    folder: Path,
    recipe: Recipe,
    log_probs: LogProbs,
    dictionary: Path,
    pronounce: Pronounce,
) -> None:
    known = dict(read_dictionary(dictionary))
    ordinary = [word for word in known if _ORDINARY_WORD.fullmatch(word)]
    ranked = rank_words(log_probs, ordinary)[: recipe.general_words]
    sentences = {profile: domain_sentences(text) for profile, text in recipe.corpora.items()}
    sentences[RATING] = rating_sentences()
    unknown = sorted(
        {w for s in sentences.values() for words, _ in s for w in words} - known.keys()
    )
    spelled = _pronunciations(unknown, pronounce)
    lines = [f"{word} {phones}" for word, variants in known.items() for phones in variants]
    lines += [f"{word} {phones}" for word, phones in spelled.items()]
    (folder / DICTIONARY).write_text("\n".join(_numbered(lines)) + "\n", encoding="utf-8")
    speakable = known.keys() | spelled.keys()
    for profile, weighted in sentences.items():
        terms = recipe.corpora[profile].terms if profile != RATING else ()
        words = ranked[:RATING_GENERAL_WORDS] if profile == RATING else ranked
        model = _language_model(weighted, terms, words, speakable, log_probs)
        language_model(folder, profile).write_text("\n".join(model.arpa()) + "\n", encoding="utf-8")


def _language_model(
    weighted: Iterable[Weighted],
    terms: Iterable[str],
    ranked: Sequence[str],
    speakable: Iterable[str],
    log_probs: LogProbs,
) -> TrigramModel:
    speakable = frozenset(speakable)
    usable = [(words, weight) for words, weight in weighted if speakable.issuperset(words)]
    said = {word for words, _ in usable for word in words}
    said.update(term for term in terms if term in speakable)
    forms = {form for word in said for form in inflections(word) if form in speakable}
    vocabulary = sorted({*ranked, *said, *forms})
    general = cut_general(log_probs, vocabulary, ranked[:GENERAL_HISTORIES])
    return TrigramModel(usable, general)


def read_dictionary(path: Path) -> dict[str, list[str]]:
    """Return the pronunciations of each word of a dictionary file."""
    known: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        if phones:
            known.setdefault(word.split("(")[0], []).append(phones.strip())
    return known


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    """Yield dictionary lines with (2), (3)... behind a word's further pronunciations."""
    seen: dict[str, int] = {}
    for line in lines:
        word, phones = line.split(" ", 1)
        seen[word] = seen.get(word, 0) + 1
        yield line if seen[word] == 1 else f"{word}({seen[word]}) {phones}"


def _pronunciations(words: Sequence[str], pronounce: Pronounce) -> dict[str, str]:
    spelled = pronounce(words) if words else {}
    phones = {word: " ".join(arpabet(ipa)) for word, ipa in spelled.items()}
    return {word: spoken for word, spoken in phones.items() if spoken}


def _write_whole(path: Path, raw: bytes) -> None:
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
    os.replace(draft, path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for; it ends with the process, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def log_probs_of(model: Any, log_base: float) -> LogProbs:
    """Return a PocketSphinx model's probabilities as natural logarithms."""
    scale = math.log(log_base)
    prob = model.prob  # asked for millions of times

    def log_probs(words: Sequence[str], history: str | None) -> NDArray[np.float64]:
        behind = [] if history is None else [history]
        return np.array([prob([word, *behind]) for word in words]) * scale

    return log_probs
