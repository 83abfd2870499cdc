"""Who words the answers: the language servers, and what happens when one does not serve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup


class GenerationSettings(SettingsGroup):
    """Who words the answers."""

    llm_engine: Literal["auto", "embedded", "openai"] = Field(
        "auto",
        description="Generation; `auto` takes the servers of TOM_LLM_PROVIDERS or TOM_LLM_URL.",
    )
    llm_url: str = Field("", description="Base URL of vLLM or any OpenAI-compatible server.")
    llm_model: str = Field("", description="The model's name at that server.")
    llm_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    llm_first_token_s: float = Field(
        2.0, gt=0, description="Deadline of a server's first token; then the next one is asked."
    )
    llm_providers: str = Field(
        "",
        description="Several servers instead of TOM_LLM_URL, in the order in which they are asked:"
        " the path of a YAML or JSON file, or a JSON list; docs/gateway.md.",
    )
    llm_patience_s: float = Field(
        6.0,
        gt=0,
        description="All servers together have so long for the first sentence of an answer; then"
        " the embedded answerer speaks.",
    )
    llm_probe_s: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="How often each server is asked whether it is well; 0 never.",
    )
    llm_currency: str = Field(
        "EUR",
        min_length=1,
        max_length=8,
        description="The currency of the providers' prices.",
    )
