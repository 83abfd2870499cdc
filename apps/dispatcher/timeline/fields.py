"""Fields of records, read so that a strange or old log cannot break the drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(data: Mapping[str, Any], name: str, default: float = 0.0) -> float:
    """Return a finite number, or the default where there is none."""
    return _finite(data.get(name), default)


def numbers(data: Mapping[str, Any], name: str) -> list[float]:
    """Return a list of finite numbers; what is none counts as 0."""
    values = data.get(name)
    return [_finite(value, 0.0) for value in values] if isinstance(values, list) else []


def text(data: Mapping[str, Any], name: str) -> str:
    """Return a text, or the empty one."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def shares(data: Mapping[str, Any], name: str) -> dict[str, float]:
    """Return numbers by their names."""
    values = data.get(name)
    if not isinstance(values, Mapping):
        return {}
    return {str(key): max(0.0, _finite(value, 0.0)) for key, value in values.items()}


def _finite(value: Any, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else default
