"""What there is to know about every setting: for `tom config`, and for the documents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from apps.settings import Settings, env_name


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What there is to know about a setting without its value.

    Attributes:
        field: The field of ``Settings``.
        env: The environment variable that sets it.
        description: What it does.
        accepts: Which values it takes, for a person.
        default: Its value when nothing sets it.
        secret: Its value must never be shown.
    """

    field: str
    env: str
    description: str
    accepts: str
    default: Any
    secret: bool


@cache
def describe() -> tuple[SettingInfo, ...]:
    """Return what there is to know about every setting, in the order of the model."""
    schemas = Settings.model_json_schema()["properties"]
    return tuple(
        SettingInfo(
            field=name,
            env=env_name(name),
            description=field.description or "",
            accepts=_accepts(schemas[env_name(name)]),
            default=field.default,
            secret=bool(schemas[env_name(name)].get("secret")),
        )
        for name, field in Settings.model_fields.items()
    )


def _accepts(schema: dict[str, Any]) -> str:
    """Say in words which values a field's JSON schema allows."""
    if "anyOf" in schema:
        return _accepts(schema["anyOf"][0]) + ", or empty"
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    kind = schema.get("format", schema["type"])
    words = {"integer": "whole number", "boolean": "true or false", "string": "text"}
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    limits = [f"{word} {schema[key]}" for key, word in bounds.items() if key in schema]
    return " ".join([words.get(kind, kind), *limits])
