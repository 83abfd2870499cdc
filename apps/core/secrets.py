"""The installation's own secrets: given by the settings, or made once and kept privately."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.core.errors import ConfigError

FILE_NAME = "secrets.json"
MIN_LENGTH = 16

_FIRST = ("hash_key", "operator_token")
_LATER = ("recording_key",)
"""Made when it is first needed, which an older file does not have."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What only this installation knows; it has no readable ``repr``, so no log can show it.

    Attributes:
        hash_key: Key of the hashes under which ids are stored.
        operator_token: Opens operators' details from other machines.
    """

    hash_key: bytes
    operator_token: str


def load_or_create(data_dir: Path, hash_key: str = "", operator_token: str = "") -> Secrets:
    """Return the installation's secrets, making what is neither given nor kept yet.

    The file appears whole or not at all; of several processes that start at once, one makes it
    and all return the same. A key that is moved from the file into the settings stays the same
    key.

    Args:
        data_dir: Where ``secrets.json`` lies; created when missing.
        hash_key: Given by the settings; empty takes the file's.
        operator_token: The same.

    Raises:
        ConfigError: A given secret is too short; the file can be read by others, is damaged, or
            cannot be read or written.
    """
    _check_length("TOM_HASH_KEY", hash_key)
    _check_length("TOM_OPERATOR_TOKEN", operator_token)
    if not (hash_key and operator_token):
        kept = _read_or_create(data_dir / FILE_NAME)
        hash_key = hash_key or kept["hash_key"]
        operator_token = operator_token or kept["operator_token"]
    return Secrets(hash_key.encode(), operator_token)


def recording_key(data_dir: Path, given: str = "") -> str:
    """Return the secret text that recordings are sealed with, made when it is first needed.

    Args:
        data_dir: Where ``secrets.json`` lies; the key is added to it.
        given: By the settings; empty takes the file's.

    Raises:
        ConfigError: As `load_or_create`.
    """
    _check_length("TOM_RECORDING_KEY", given)
    if given:
        return given
    path = data_dir / FILE_NAME
    kept = _read_or_create(path)
    return kept.get("recording_key") or _add(path, "recording_key", secrets.token_hex(32))


def _check_length(name: str, value: str) -> None:
    if value and len(value) < MIN_LENGTH:
        raise ConfigError(
            f"{name} is too short: it needs {MIN_LENGTH} characters or more.",
            hint="Leave it empty to have one generated.",
        )


def _read_or_create(path: Path) -> dict[str, str]:
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path)
        return _read(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The secrets in {path} cannot be read or written: {error.strerror}.",
        hint="Give TOM's user write access to TOM_DATA_DIR.",
    )


def _create(path: Path) -> None:
    made = {"hash_key": secrets.token_hex(32), "operator_token": secrets.token_urlsafe(32)}
    draft = _draft(path)
    try:
        _write(draft, made)
        # A link never replaces: whoever comes second takes the first one's secrets.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _add(path: Path, name: str, value: str) -> str:
    """Add a secret to the file, unless another process was faster; returns the one that stands."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # given up with the descriptor
            kept = _read(path)
            if name not in kept:
                kept[name] = value
                draft = _draft(path)
                _write(draft, kept)
                draft.replace(path)
            return kept[name]
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable(path, error) from error


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def _write(draft: Path, made: Mapping[str, str]) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(made, file)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, str]:
    if os.name == "posix" and path.stat().st_mode & _OTHERS:
        raise ConfigError(
            f"Other users of this machine may read the secrets in {path}.",
            hint=f"Run `chmod 600 {path}`, if nobody can have read them; else replace them.",
        )
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        named = [*_FIRST, *(name for name in _LATER if name in kept)]
        return {name: _usable(kept[name]) for name in named}
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"The secrets in {path} are damaged.",
            hint="Restore the file from a backup. A new hash key cannot find what the old one"
            " stored: calls and feedback would lose their callers.",
        ) from error


def _usable(value: object) -> str:
    if not isinstance(value, str) or len(value) < MIN_LENGTH:
        raise ValueError("not a secret")
    return value
