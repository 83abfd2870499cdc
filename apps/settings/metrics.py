"""Metrics."""

from __future__ import annotations

from pydantic import Field

from apps.settings.base import SettingsGroup


class MetricsSettings(SettingsGroup):
    """Metrics."""

    prometheus_enabled: bool = Field(True, description="Serve /metrics.")
    prometheus_port: int | None = Field(
        None, ge=0, le=65535, description="Serve metrics on a port of their own as well."
    )
