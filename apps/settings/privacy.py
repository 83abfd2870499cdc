"""What finds personal data that has no pattern."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from apps.settings.base import AS_JSON, SettingsGroup


class PrivacySettings(SettingsGroup):
    """What finds personal data that has no pattern."""

    privacy_detector: bool = Field(
        False,
        description="Look for names and further numbers, by Presidio, in documents, in what is"
        " learned from and in the adapters' audit log; needs the extra `privacy`:"
        " docs/ingestion.md.",
    )
    privacy_models: Annotated[dict[str, str], *AS_JSON] = Field(
        {},
        description="By language the spaCy model that finds names, an installed package or a"
        ' folder, as JSON: {"de": "de_core_news_md"}. A language without one has no names found.'
        " TOM downloads none.",
    )
