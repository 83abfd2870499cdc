"""A profile: whom a caller calls. One YAML file each; docs/profiles.md describes the fields."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from apps.core.errors import ConfigError
from apps.core.person import Person, telephone_number
from apps.core.policy import Greeting

Language = Literal["de", "en"]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_DISCLOSURE = {
    "en": re.compile(r"\b(?:AI|artificial intelligence)\b", re.IGNORECASE),
    "de": re.compile(r"\b(?:KI|künstliche[nr]? Intelligenz)\b|\bKI-", re.IGNORECASE),
}

REPEAT, HANDOVER, GOODBYE = "repeat", "handover", "goodbye"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _span(text: str) -> str:
    start, _, end = text.partition("-")
    if time.fromisoformat(start) >= time.fromisoformat(end):
        raise ValueError(f"{text} ends before it begins")
    return text


Spans = tuple[Annotated[str, AfterValidator(_span)], ...]


class OpeningHours(_Model):
    """When a person can take a call over; a day that is not named is closed."""

    timezone: str = "Europe/Berlin"
    monday: Spans = ()
    tuesday: Spans = ()
    wednesday: Spans = ()
    thursday: Spans = ()
    friday: Spans = ()
    saturday: Spans = ()
    sunday: Spans = ()

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name} is no time zone") from None
        return name

    def open_at(self, moment: datetime) -> bool:
        """Tell whether somebody is there at an aware moment."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        spans: Spans = getattr(self, _DAYS[local.weekday()])
        return any(_within(local.time(), span) for span in spans)


def _within(moment: time, span: str) -> bool:
    start, _, end = span.partition("-")
    return time.fromisoformat(start) <= moment < time.fromisoformat(end)


class CallingHours(OpeningHours):
    """When callees may be called, in their own time zone."""

    monday: Spans = ("09:00-18:00",)
    tuesday: Spans = ("09:00-18:00",)
    wednesday: Spans = ("09:00-18:00",)
    thursday: Spans = ("09:00-18:00",)
    friday: Spans = ("09:00-18:00",)


TIMES_OF_DAY = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight on; learning knows a call's time by nothing finer."""

SpaceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
PurposeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class HandoverTarget(_Model):
    """Where a caller who asks for a person is transferred to."""

    target: str


class Profile(_Model):
    """One profile."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    languages: tuple[Language, ...] = Field(min_length=1)
    default_policy: str = "v1a"
    office: Mapping[Language, str]
    greeting: Mapping[Language, Mapping[Greeting, str]] = {}
    knowledge: str = Field("", pattern=r"^[a-z0-9-]{0,40}$")
    documents: tuple[SpaceName, ...] = ()
    name_sources: Literal["never", "documents", "always"] = "never"
    voice: Mapping[Language, str] = {}
    handover: HandoverTarget | None = None
    opening_hours: OpeningHours = OpeningHours()
    purposes: Mapping[PurposeName, Mapping[Language, str]] = {}
    calling_hours: CallingHours = CallingHours()
    keys: Mapping[str, str] = {}

    @field_validator("keys")
    @classmethod
    def _keys_exist(cls, keys: Mapping[str, str]) -> Mapping[str, str]:
        for key in keys:
            if len(key) != 1 or key not in "0123456789*#":
                raise ValueError(f"{key!r} is no key of a telephone")
        return keys

    @field_validator("greeting")
    @classmethod
    def _greetings_disclose(
        cls, greeting: Mapping[Language, Mapping[Greeting, str]]
    ) -> Mapping[Language, Mapping[Greeting, str]]:
        for language, texts in greeting.items():
            for slot, text in texts.items():
                if not _DISCLOSURE[language].search(text):
                    raise ValueError(f"{language}.{slot} does not say that an AI speaks")
        return greeting

    @model_validator(mode="after")
    def _every_language_has_an_office(self) -> Profile:
        for language in self.languages:
            if language not in self.office:
                raise ValueError(f"office has no name in {language}")
            for name, texts in self.purposes.items():
                if language not in texts:
                    raise ValueError(f"purposes.{name} has no sentence in {language}")
        return self

    @property
    def space(self) -> str:
        """The knowledge that it answers from: its own unless it names another profile's."""
        return self.knowledge or self.id

    @property
    def spaces(self) -> tuple[str, ...]:
        """The knowledge spaces whose documents it answers from: its own unless it names others."""
        return self.documents or (self.space,)

    def language(self, asked: str) -> Language | None:
        """Return the language of a call: the one asked for, the profile's own, or None."""
        if not asked:
            return self.languages[0]
        return next((known for known in self.languages if known == asked), None)

    def purpose(self, name: str, language: str) -> str | None:
        """Return the sentence that says why somebody is called; None for an unknown purpose."""
        texts = self.purposes.get(name, {})
        return next((text for known, text in texts.items() if known == language), None)

    def time_of_day(self, moment: datetime) -> str:
        """Return the part of the day at an aware moment, six hours each, in the office's zone."""
        local = moment.astimezone(ZoneInfo(self.opening_hours.timezone))
        return TIMES_OF_DAY[local.hour // 6]

    def person(self, moment: datetime, *, reachable: bool) -> Person:
        """Return who can take a call over at an aware moment.

        Args:
            moment: Within the opening hours, somebody is there.
            reachable: Whether the caller's door can hand a call over.
        """
        target = self.handover.target if self.handover else ""
        there = bool(target) and self.opening_hours.open_at(moment)
        return Person(there, reachable, telephone_number(target))


def load_profiles(folder: Path) -> dict[str, Profile]:
    """Load every profile of a folder, by id.

    Raises:
        ConfigError: There is none, or one is wrong; the error names the file and the field.
    """
    profiles: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            profile = Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(
                f"Profile {path.name} is not right: {where}: {first['msg']}.",
                hint="docs/profiles.md describes every field.",
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"Profile {path.name} is not YAML: {error}.") from None
        profiles[profile.id] = profile
    if not profiles:
        raise ConfigError(
            f"No profile lies in {folder}.", hint="Put one there, or leave TOM_PROFILE_DIR unset."
        )
    return profiles


def check_policies(profiles: Mapping[str, Profile], variants: Collection[str]) -> None:
    """Check that every profile's default policy exists.

    Raises:
        ConfigError: One does not.
    """
    for profile in profiles.values():
        if profile.default_policy not in variants:
            raise ConfigError(
                f"Profile {profile.id} names the policy {profile.default_policy!r}, which does "
                "not exist.",
                hint=f"Variants are {', '.join(variants)}.",
            )
