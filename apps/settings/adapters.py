"""Adapters: their files, their roll-out, and the listener of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup, Share


class AdapterSettings(SettingsGroup):
    """Adapters: their files, their roll-out, and the listener of their own."""

    adapter_dir: Path | None = Field(
        None,
        description="Where adapters lie, each in `DOMAIN/METHOD-rRANK-vVERSION`; `adapters` in"
        " TOM_MODELS_DIR when unset.",
    )
    adapter_base: Path | None = Field(
        None,
        description="Folder of the base model and tokenizer that the language server serves. An"
        " adapter that was made for another one is refused; without it, every one is.",
    )
    adapter_url: str = Field(
        "",
        description="Base URL of the vLLM server that loads adapters; nothing is rolled out when"
        " empty.",
    )
    adapter_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    adapter_served_dir: Path | None = Field(
        None, description="TOM_ADAPTER_DIR as that server sees it, where that is another path."
    )
    adapter_max_loaded: int = Field(
        4,
        ge=1,
        le=64,
        description="Adapters that the server has loaded at once (vLLM's `--max-cpu-loras`); the"
        " least recently used are unloaded.",
    )
    adapter_control_share: float = Field(
        0.05,
        ge=0.0,
        lt=0.5,
        description="Share of a route's calls that do not get the active adapter, by which it is"
        " judged for as long as it serves; at 0 nothing finds out that it has become worse.",
    )
    adapter_every_s: float = Field(
        5.0, gt=0.0, le=3600.0, description="Seconds between two looks at the roll-outs."
    )
    adapter_routes: Path | None = Field(
        None,
        description="Domains that prompts are routed to; docs/policies/adapter_routes.yaml when"
        " unset.",
    )
    adapter_admin_host: str = Field(
        "127.0.0.1", description="Address of the adapters' own listener."
    )
    adapter_admin_port: int | None = Field(
        None, ge=0, le=65535, description="Its port, such as 8090; it is off when unset."
    )
    adapter_audit_prompts: Literal["length", "hash", "redacted"] = Field(
        "hash", description="What the adapters' audit log keeps of a routed prompt."
    )
    adapter_audit_mb: int = Field(
        5, ge=1, le=1000, description="Its size at which a file is put aside."
    )
    adapter_audit_files: int = Field(
        10, ge=0, le=1000, description="So many files that were put aside are kept."
    )
    adapter_learning: bool = Field(
        False,
        description="Train adapters from rated calls beside this server; needs TOM_ADAPTER_BASE.",
    )
    adapter_learning_consent: Literal["recorded", "everybody"] = Field(
        "recorded",
        description="From whose calls is learned: `recorded`, of callers whose consent to"
        " `training` is recorded; `everybody`, where you have another ground for it.",
    )
    adapter_learning_objective: Literal["sft", "kto"] = Field(
        "kto", description="`kto` learns from good and bad ratings, `sft` repeats good answers."
    )
    adapter_learning_quality: float = Field(
        0.3,
        gt=0.0,
        le=1.0,
        description="Rewards from here on count as good, and from its opposite on as bad; what"
        " lies between teaches nothing.",
    )
    adapter_learning_samples: int = Field(
        50, ge=2, le=100_000, description="A training waits for so many turns of a profile..."
    )
    adapter_learning_hours: float = Field(
        24.0, ge=0.0, le=8760.0, description="...and for so long after the last one."
    )
    adapter_learning_review: Share = Field(
        0.05, description="Share of the turns that a person looks at first."
    )
    adapter_learning_negative: Path | None = Field(
        None, description="Words that keep a turn out, a word or word group a line."
    )
    adapter_train_python: Path | None = Field(
        None,
        description="Interpreter of an environment with the extra `train`; TOM's own when unset.",
    )
