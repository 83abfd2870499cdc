"""Finds what the program reads at run time: from the checkout, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from apps.core.errors import ConfigError

_APPS = Path(__file__).resolve().parent.parent


def resource(*parts: str) -> Path:
    """Return the path of a packaged resource such as ``resource("policies")``.

    Args:
        *parts: The path below ``docs/`` in a checkout, below ``apps/_resources/`` in a wheel.

    Raises:
        ConfigError: The resource is in neither place.
    """
    for base in (_APPS.parent / "docs", _APPS / "_resources"):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise ConfigError(
        f"The packaged file {'/'.join(parts)} is missing.",
        hint="Reinstall TOM: pip install --force-reinstall tom-voice, or run from a checkout.",
    )


def notebook(name: str) -> Path:
    """Return the path of a packaged notebook.

    Args:
        name: The file's, in ``notebooks/`` of a checkout or ``apps/_resources/notebooks`` of a
            wheel.

    Raises:
        ConfigError: It is in neither place.
    """
    for base in (_APPS.parent / "notebooks", _APPS / "_resources" / "notebooks"):
        if (base / name).exists():
            return base / name
    raise ConfigError(
        f"The packaged notebook {name} is missing.",
        hint="Reinstall TOM: pip install --force-reinstall tom-voice, or run from a checkout.",
    )


def training_profiles() -> Path:
    """Return the folder of the adapters' training profiles, ``configs/`` in a checkout.

    Raises:
        ConfigError: It is missing.
    """
    for base in (_APPS.parent / "configs", _APPS / "_resources" / "configs"):
        if (base / "lora.yaml").exists():
            return base
    raise ConfigError(
        "The packaged training profiles are missing.",
        hint="Reinstall TOM: pip install --force-reinstall tom-voice, or run from a checkout.",
    )
