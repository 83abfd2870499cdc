"""Reads the list of providers that an operator writes: YAML or JSON, checked before it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.core.errors import ConfigError
from apps.llm.gateway.provider import EMBEDDED, EMBEDDED_PROVIDER, Kind, Price, Provider

MAX_PROVIDERS = 16
"""Each is a value of metric labels."""

_HINT = "See docs/gateway.md for an example."


class _Listed(BaseModel):
    """One entry as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: Literal["vllm", "ollama", "openai", "embedded"] = "openai"
    url: str = ""
    model: str = ""
    api_key_env: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    first_token_s: float | None = Field(None, gt=0, le=600)
    total_s: float = Field(30.0, gt=0, le=3600)
    price_prompt: float = Field(0.0, ge=0, le=1e6)
    price_completion: float = Field(0.0, ge=0, le=1e6)
    max_concurrent: int = Field(0, ge=0, le=100_000)

    @model_validator(mode="after")
    def _can_be_asked(self) -> _Listed:
        if self.kind == "embedded":
            if self.name != EMBEDDED or self.url or self.model:
                raise ValueError(f"the embedded answerer is called {EMBEDDED} and has no server")
            return self
        if self.name == EMBEDDED:
            raise ValueError(f"{EMBEDDED} is the embedded answerer's name")
        if not self.model:
            raise ValueError("a server wants to know the model")
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("url is not a URL of an HTTP server")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a key does not belong into url; name its variable in api_key_env")
        return self


def read_providers(
    written: str, key_of: Callable[[str], str | None], *, first_token_s: float
) -> tuple[Provider, ...]:
    """Return the providers of TOM_LLM_PROVIDERS in order, the embedded answerer last.

    Args:
        written: A JSON list, or the path of a YAML or JSON file that holds one (or ``providers:``).
        key_of: Returns what an environment variable says, or None.
        first_token_s: The deadline of the first token where an entry gives none.

    Raises:
        ConfigError: It cannot be read, an entry is wrong, or a key's variable is not set. The
            sentence names the entry and holds nothing of what is written but names.
    """
    entries = _entries(written)
    listed = [_entry(number, raw) for number, raw in enumerate(entries, start=1)]
    names = [entry.name for entry in listed]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"TOM_LLM_PROVIDERS lists {twice[0]!r} twice.", hint=_HINT)
    if EMBEDDED in names[:-1]:
        raise ConfigError(
            "TOM_LLM_PROVIDERS lists a server behind the embedded answerer, which always answers.",
            hint="Put it last, or leave it out: it is always there.",
        )
    servers = [entry for entry in listed if entry.kind != "embedded"]
    found = [_provider(entry, key_of, first_token_s) for entry in servers]
    return (*found, EMBEDDED_PROVIDER)


def one_server(url: str, model: str, api_key: str, first_token_s: float) -> tuple[Provider, ...]:
    """Return the list that TOM_LLM_URL alone stands for: that server, and the embedded answerer.

    It may be any OpenAI-compatible server, vLLM among them, so adapters are asked for; a server
    that knows none answers by its base model, and that is told.
    """
    server = Provider(
        "server", Kind.VLLM, url=url, model=model, api_key=api_key, first_token_s=first_token_s
    )
    return (server, EMBEDDED_PROVIDER)


def _entries(written: str) -> Sequence[Any]:
    text = written.strip()
    if not text.startswith(("[", "{")):
        text = _read(Path(text))
    try:
        data = yaml.safe_load(text)  # JSON is YAML
    except (yaml.YAMLError, RecursionError):
        raise ConfigError("TOM_LLM_PROVIDERS is neither YAML nor JSON.", hint=_HINT) from None
    if isinstance(data, dict) and set(data) == {"providers"}:
        data = data["providers"]
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_PROVIDERS:
        raise ConfigError(
            f"TOM_LLM_PROVIDERS is no list of 1 to {MAX_PROVIDERS} providers.", hint=_HINT
        )
    return data


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(
            f"TOM_LLM_PROVIDERS names a file that cannot be read: {why}.",
            hint="Correct the path, or write the list itself as JSON.",
        ) from None


def _entry(number: int, raw: object) -> _Listed:
    try:
        return _Listed.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # A field that is unknown here may be a key that somebody wrote down: it is not repeated.
        known = [str(part) for part in first["loc"] if part in _Listed.model_fields]
        where = f" ({known[0]})" if known else ""
        why = "there is an unknown field" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(
            f"Entry {number} of TOM_LLM_PROVIDERS is not right{where}: {why}.", hint=_HINT
        ) from None


def _provider(
    entry: _Listed, key_of: Callable[[str], str | None], first_token_s: float
) -> Provider:
    key = key_of(entry.api_key_env) if entry.api_key_env else ""
    if key is None:
        raise ConfigError(
            f"The key of {entry.name} is not set: {entry.api_key_env}.",
            hint="Set that variable, or empty api_key_env.",
        )
    return Provider(
        entry.name,
        Kind(entry.kind),
        url=entry.url,
        model=entry.model,
        api_key=key,
        first_token_s=entry.first_token_s or first_token_s,
        total_s=entry.total_s,
        price=Price(entry.price_prompt, entry.price_completion),
        max_concurrent=entry.max_concurrent,
    )
