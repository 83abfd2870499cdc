"""What is kept, and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from apps.settings.base import SettingsGroup


class DataSettings(SettingsGroup):
    """What is kept, and where."""

    data_dir: Path = Field(Path("data"), description="Where everything that is kept lies.")
    cache_dir: Path | None = Field(
        None,
        description="Language models and indexes, which can be built anew; "
        "`cache` in TOM_DATA_DIR when unset.",
    )
    hash_key: str = Field(
        "",
        description="Key of the hashes under which ids are stored; generated when empty.",
        json_schema_extra={"secret": True},
    )
    retention_days: int = Field(
        30, ge=1, description="Days that calls, transcripts and feedback details are kept."
    )
    record_calls: bool = Field(
        False, description="Record every call, encrypted; callers are told so in the greeting."
    )
    recording_key: str = Field(
        "",
        description="Seals recordings: a secret text; generated when empty.",
        json_schema_extra={"secret": True},
    )
