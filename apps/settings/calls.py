"""How a call goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from apps.settings.base import AS_JSON, SettingsGroup


class CallSettings(SettingsGroup):
    """How a call goes."""

    profile: str = Field("kfz", description="The profile of a call that names none.")
    profile_dir: Path | None = Field(
        None, description="Your own profiles and knowledge; the sample `kfz` when unset."
    )
    endpoint_complete_ms: int = Field(
        200, ge=200, le=2500, description="Silence that ends a turn whose words are complete."
    )
    endpoint_silence_ms: int = Field(
        600, ge=200, le=2500, description="The same when the words do not tell, or there are none."
    )
    endpoint_hanging_ms: int = Field(
        1500, ge=200, le=2500, description="The same when the words want something to follow."
    )
    turn_options: Annotated[dict[str, float], *AS_JSON] = Field(
        {}, description="Any other option of turn-taking by its name, as JSON: docs/turn-taking.md."
    )
    no_input_s: float = Field(8.0, gt=0, description="Silence before the caller is asked again.")
    speculate: bool = Field(
        True, description="Begin an answer when the caller may have finished, before it is certain."
    )
    filler_after_ms: int = Field(
        1500, ge=0, description="Say `One moment, please.` where an answer takes longer; 0 never."
    )
    max_call_s: float = Field(1800.0, gt=0, description="A call is ended politely after this.")

    origin: Literal["caller", "test", "demo"] = Field(
        "caller", description="What this server's calls are marked as in the database."
    )
