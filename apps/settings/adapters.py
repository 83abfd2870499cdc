"""Adapters: their files, their roll-out, and the listener of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup


class AdapterSettings(SettingsGroup):
    """Adapters: their files, their roll-out, and the listener of their own."""

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
