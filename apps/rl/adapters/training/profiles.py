"""Training configurations from YAML: a file, or the name of one of ``configs/``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from apps.core.errors import ConfigError
from apps.core.resources import training_profiles
from apps.rl.adapters.training.config import TrainingConfig
from apps.rl.yaml_file import mistake, read_yaml

_HINT = "docs/adapters-training.md describes every key; configs/lora.yaml is an example."
_MISSING = {
    ("base",): "Say which model: --base FOLDER.",
    ("base", "model"): "Say which model: --base FOLDER.",
    ("data",): "Say what to learn from: --data FILE.jsonl.",
}


def profile_path(name: str) -> Path:
    """Return the file of a profile such as ``lora``, or of a path.

    Raises:
        ConfigError: There is none; the error names those that are.
    """
    given = Path(name)
    if given.suffix in {".yaml", ".yml"}:
        return given
    path = training_profiles() / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in training_profiles().glob("*.yaml")))
        raise ConfigError(
            f"There is no training profile called {name}.", hint=f"There are {known}; or a file."
        )
    return path


def read_config(name: str, overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Return a checked configuration.

    Args:
        name: A profile's name, or a YAML file.
        overrides: Values by dotted key, such as ``{"base.model": "/models/llama"}``; they go
            before the file's.

    Raises:
        ConfigError: It cannot be; with the file, the line and the key.
    """
    path = profile_path(name)
    found, lines = read_yaml(path, what="training configuration", hint=_HINT)
    if not isinstance(found, dict):
        raise ConfigError(f"{path.name} holds no keys.", hint=_HINT)
    for key, value in (overrides or {}).items():
        _put(found, key, value)
    try:
        return TrainingConfig.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        hint = _MISSING.get(tuple(map(str, first["loc"])), "")
        raise mistake(path, lines, first["loc"], f"{message}.", hint or _HINT) from None


def parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of ``training.learning_rate=1e-5``; the value is read as YAML.

    Raises:
        ConfigError: There is no ``=``, or the value is no YAML.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(
            f"'{text}' sets nothing.", hint="Write it as training.learning_rate=1e-5."
        )
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"The value of {key.strip()} cannot be read.", hint=_HINT) from None


def _put(fields: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        fields = fields.setdefault(part, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"{key} cannot be set: {part} holds no keys.", hint=_HINT)
    fields[last] = value
