"""What every group of settings is made of."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _read_json(given: object) -> object:
    """Return what a text means as JSON; anything else stays as it is."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("this is no JSON") from None


# Read here and not by the source, so that a text that is no JSON is an error like others.
AS_JSON = (NoDecode, BeforeValidator(_read_json))
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def env_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    return field.upper() if field.startswith(("rl_", "prometheus_")) else f"TOM_{field.upper()}"


class SettingsGroup(BaseSettings):
    """Settings that belong together; ``Settings`` is all groups in one."""

    model_config = SettingsConfigDict(
        alias_generator=env_name,
        populate_by_name=True,
        env_file=".env",
        env_ignore_empty=True,  # FOO= in a compose file means: not set
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
    )
