"""What tells one set of weights, base model or tokenizer from every other: SHA-256 of files.

A hash over several files is the SHA-256 of the lines ``<sha256>  <name>``, sorted by name, as
``sha256sum *`` prints them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from apps.core.errors import ConfigError

WEIGHTS = ("adapter_config.json", "adapter_model.safetensors")
"""What every adapter has."""

_ADAPTER = (*WEIGHTS, "added_tokens.json", "new_embeddings.safetensors")
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "chat_template.jinja"),
)
_BASE = ("config.json", "*.safetensors", "pytorch_model*.bin", "*.gguf")
_PIECE = 1 << 20


def file_hash(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits, read a megabyte at a time.

    Raises:
        OSError: It cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def adapter_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an adapter that a server reads, by name.

    Raises:
        ConfigError: The weights are not there, or one of the files is a link.
    """
    for name in WEIGHTS:
        if not (folder / name).is_file():
            raise ConfigError(
                f"{folder} holds no adapter: {name} is missing.",
                hint="An adapter is what PEFT's save_pretrained writes, with safetensors.",
            )
    return _hashes(folder, _ADAPTER)


def weights_hash(files: Mapping[str, str]) -> str:
    """Return one hash of files' hashes by name."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def base_model_hash(folder: Path) -> str:
    """Return the hash of a base model's configuration and weights.

    It reads all weights: some seconds for each ten gigabytes.

    Raises:
        ConfigError: There is no model in the folder.
    """
    return _required(folder, _BASE, "base model")


def tokenizer_hash(folder: Path) -> str:
    """Return the hash of a tokenizer's files, its chat template among them.

    Raises:
        ConfigError: There is no tokenizer in the folder.
    """
    return _required(folder, _TOKENIZER, "tokenizer")


def _required(folder: Path, names: Iterable[str], what: str) -> str:
    found = _hashes(folder, names, links=True)
    if not found:
        raise ConfigError(
            f"{folder} holds no {what}.",
            hint="Give the folder of the model as transformers has it.",
        )
    return weights_hash(found)


def _hashes(folder: Path, names: Iterable[str], *, links: bool = False) -> dict[str, str]:
    """Return the hashes of the files in a folder that match; a model hub's cache is all links."""
    wanted = tuple(names)
    try:
        found = sorted(p for p in folder.iterdir() if any(fnmatch(p.name, n) for n in wanted))
        for path in found:
            if path.is_symlink() and not links:
                raise ConfigError(
                    f"{path} is a link: what it leads to could change.",
                    hint="Put the file itself there.",
                )
        return {path.name: file_hash(path) for path in found if path.is_file()}
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}.") from error
