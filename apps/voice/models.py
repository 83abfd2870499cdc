"""Weights and voices: which there are under ``models_dir``, and where each would lie.

    models/whisper/small/            a Whisper model in CTranslate2's format
    models/piper/de_DE-thorsten-medium.onnx, .onnx.json

Fetching them is `apps.voice.pull`'s matter; engines only ever read what is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps.core.errors import ConfigError

Kind = Literal["whisper", "piper"]

# The sizes that OpenAI released, as converted for CTranslate2.
WHISPER_REPOSITORIES = {
    **{
        size: f"Systran/faster-whisper-{size}"
        for size in (
            "tiny.en",
            "tiny",
            "base.en",
            "base",
            "small.en",
            "small",
            "medium.en",
            "medium",
            "large-v2",
            "large-v3",
        )
    },
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
_ENGLISH_ONLY = ".en"
WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json")
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_VOICE = re.compile(
    r"(?P<locale>(?P<language>[a-z]{2,3})_[A-Z]{2})-(?P<name>\w+)-(?P<quality>x_low|low|medium|high)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights or a voice that is ready to be loaded.

    Attributes:
        kind: The engine that loads it.
        name: Its name there.
        path: A Whisper model's folder, or a Piper voice's ONNX file.
        size_bytes: What its files take on disk.
    """

    kind: Kind
    name: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A Piper voice's name taken apart, e.g. ``de_DE-thorsten-medium``."""

    locale: str
    language: str
    name: str
    quality: str

    @classmethod
    def parse(cls, voice: str) -> PiperVoice:
        """Take a voice's name apart.

        Raises:
            ConfigError: It is no such name.
        """
        match = _VOICE.fullmatch(voice)
        if match is None:
            raise ConfigError(
                f"{voice!r} is no name of a Piper voice.",
                hint="Such a name reads like de_DE-thorsten-medium.",
            )
        return cls(**match.groupdict())

    @property
    def full_name(self) -> str:
        """The name as Piper writes it."""
        return f"{self.locale}-{self.name}-{self.quality}"

    @property
    def repository_folder(self) -> str:
        """Where its files lie in the repository of voices."""
        return f"{self.language}/{self.locale}/{self.name}/{self.quality}"

    @property
    def files(self) -> tuple[str, str]:
        """The network and its configuration."""
        return f"{self.full_name}.onnx", f"{self.full_name}.onnx.json"


def whisper_repository(model: str) -> str:
    """Return the hub's repository of a Whisper model.

    Args:
        model: A size such as ``small``, or a repository ``owner/name`` in CTranslate2's format.

    Raises:
        ConfigError: It is neither.
    """
    if model in WHISPER_REPOSITORIES:
        return WHISPER_REPOSITORIES[model]
    if _REPOSITORY.fullmatch(model):
        return model
    raise ConfigError(
        f"There is no Whisper model {model!r}.",
        hint=f"Choose {', '.join(WHISPER_REPOSITORIES)}, or a hub repository owner/name.",
    )


def english_only(model: str) -> bool:
    """Whether a Whisper model hears nothing but English, as its name says."""
    return Path(model).name.endswith(_ENGLISH_ONLY)


def multilingual(model: str) -> str:
    """Return the model of the same size that hears other languages too."""
    return model.removesuffix(_ENGLISH_ONLY)


def whisper_home(models_dir: Path, model: str) -> Path:
    """Return where a pulled Whisper model lies, whether it is there or not."""
    return models_dir / "whisper" / model.replace("/", "--")


def missing_whisper_files(folder: Path) -> list[str]:
    """Return what a folder lacks to be a Whisper model in CTranslate2's format."""
    missing = [name for name in WHISPER_FILES if not (folder / name).is_file()]
    if not any(folder.glob("vocabulary.*")):
        missing.append("vocabulary.json")
    return missing


def find_whisper(models_dir: Path, model: str) -> Path | None:
    """Return the folder of a Whisper model that is ready to be loaded, or None.

    Args:
        models_dir: Where pulled weights lie.
        model: A pulled model's name, or any folder with a model in CTranslate2's format.
    """
    for folder in (whisper_home(models_dir, model), Path(model)):
        if folder.is_dir() and not missing_whisper_files(folder):
            return folder
    return None


def find_piper(models_dir: Path, voice: str) -> Path | None:
    """Return the ONNX file of a Piper voice that is ready to be loaded, or None.

    Args:
        models_dir: Where pulled voices lie.
        voice: A pulled voice's name, or the path of any voice's ``.onnx`` file.
    """
    for path in (models_dir / "piper" / f"{voice}.onnx", Path(voice)):
        if path.suffix == ".onnx" and path.is_file() and _configuration(path).is_file():
            return path
    return None


def present(models_dir: Path) -> list[Weights]:
    """Return all weights and voices under a folder that are ready to be loaded."""
    found: list[Weights] = []
    for folder in sorted((models_dir / "whisper").glob("*")):
        if folder.is_dir() and not missing_whisper_files(folder):
            size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            found.append(Weights("whisper", folder.name.replace("--", "/"), folder, size))
    for path in sorted((models_dir / "piper").glob("*.onnx")):
        if _configuration(path).is_file():
            size = path.stat().st_size + _configuration(path).stat().st_size
            found.append(Weights("piper", path.stem, path, size))
    return found


def _configuration(onnx: Path) -> Path:
    return onnx.with_name(onnx.name + ".json")
