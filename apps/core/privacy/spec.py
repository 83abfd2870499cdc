"""How a detector is made: said in plain values, so that another process can be told it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from apps.core.errors import ConfigError

LANGUAGES = ("de", "en")
VERSION = 1
"""Raised when other things are found than before, so that documents are read again."""
_BLOCK = 1 << 20
_PACKAGE = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """What a detector is made of.

    Attributes:
        models: By language, an installed spaCy package or the folder of a spaCy pipeline; a
            language without one has patterns alone.
    """

    models: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it on one line."""
        return json.dumps(dict(self.models), sort_keys=True)

    @classmethod
    def from_json(cls, told: str) -> DetectorSpec:
        """Read what ``to_json`` returned."""
        return cls(json.loads(told))


def check(spec: DetectorSpec) -> None:
    """Look whether a detector could be made, without the seconds that making it takes.

    Raises:
        ConfigError: Presidio is not installed, or a model is not where the spec says.
    """
    if find_spec("presidio_analyzer") is None:
        raise ConfigError(
            "TOM_PRIVACY_DETECTOR is on, and presidio-analyzer is not installed.",
            hint="pip install 'tom-voice[privacy]', or set it to false.",
        )
    for language, model in spec.models.items():
        if language not in LANGUAGES:
            raise ConfigError(
                f"TOM_PRIVACY_MODELS names a model for {language!r}.",
                hint=f"It takes models for {' and '.join(LANGUAGES)}.",
            )
        folder_of(model)


def folder_of(model: str) -> Path:
    """Return where a model lies.

    Raises:
        ConfigError: It is neither an installed package nor the folder of a pipeline.
    """
    if _PACKAGE.fullmatch(model) and not Path(model).is_dir():
        found = find_spec(model)
        if found is not None and found.submodule_search_locations:
            return Path(found.submodule_search_locations[0])
    elif Path(model, "config.cfg").is_file():
        return Path(model)
    raise ConfigError(
        f"There is no spaCy model {model!r}.",
        hint="TOM downloads none. Install its package into this environment, or name in"
        " TOM_PRIVACY_MODELS the folder of a pipeline, which has a config.cfg.",
    )


def fingerprint(spec: DetectorSpec) -> str:
    """Return what changes when another detector, or another model, would find other things.

    Raises:
        ConfigError: As for ``check``.
    """
    check(spec)
    packages = [version(name) for name in ("presidio-analyzer", "spacy")]
    models = {language: _digest(folder_of(model)) for language, model in spec.models.items()}
    said = json.dumps([VERSION, packages, models], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _digest(folder: Path) -> str:
    """Hash what a folder holds; where and when it was put there does not matter."""
    digest = hashlib.sha256()
    for file in _files(folder):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a model, in an order of their names."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file
