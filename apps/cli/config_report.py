"""Every setting with its value and where it came from, and everything that is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from apps.cli.config_checks import Finding, check_settings
from apps.cli.setting_info import SettingInfo, describe
from apps.core.errors import ConfigError
from apps.settings import Settings

PREFIXES = ("TOM_", "RL_", "PROMETHEUS_")

# Of the Prometheus client library itself.
_OTHER_PROGRAMS = frozenset({"PROMETHEUS_DISABLE_CREATED_SERIES", "PROMETHEUS_MULTIPROC_DIR"})

_URL_USER = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it stands: its variable, its value for the eye, and its source."""

    env: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Report:
    """All settings, and what is wrong with them."""

    rows: list[Row]
    findings: list[Finding]

    @property
    def has_errors(self) -> bool:
        """Return whether TOM would not work as told."""
        return any(finding.severity == "error" for finding in self.findings)


def examine(env_file: Path = Path(".env")) -> Report:
    """Look at the settings that the environment and a ``.env`` file give now.

    Raises:
        ConfigError: The file cannot be read.
    """
    sources = {"environment": _relevant(os.environ), str(env_file): _relevant(_read(env_file))}
    findings = list(_unknown(sources))
    settings: Settings | None = None
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        findings += _invalid(error)
    else:
        findings += check_settings(settings)
    rows = [_row(info, sources, settings) for info in describe()]
    return Report(rows, sorted(findings, key=lambda finding: finding.severity))


def _read(env_file: Path) -> Mapping[str, str | None]:
    if not env_file.exists():
        return {}
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{env_file} cannot be read as text.",
            hint=f"Write it as UTF-8, or remove it. `tom config doc --env` shows one ({error}).",
        ) from error


def _relevant(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {
        name.upper(): value
        for name, value in variables.items()
        if value and name.upper().startswith(PREFIXES)
    }


def _row(
    info: SettingInfo, sources: Mapping[str, Mapping[str, str]], settings: Settings | None
) -> Row:
    source = next((name for name, given in sources.items() if info.env in given), "default")
    raw = sources[source][info.env] if source != "default" else info.default
    value = raw if settings is None else getattr(settings, info.field)
    return Row(info.env, shown(info, value), source)


def shown(info: SettingInfo, value: object) -> str:
    """Return a setting's value as it may be shown to anybody who looks over a shoulder."""
    if info.secret:
        return "(given, not shown)" if value else "(empty)"
    if value is None or value == "":
        return "(empty)"
    if isinstance(value, bool):
        return str(value).lower()
    if info.field == "llm_providers" and str(value).lstrip()[:1] in ("[", "{"):
        return "(a list, not shown)"  # somebody may have written a key into it
    return _URL_USER.sub("//***@", str(value))


def _unknown(sources: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    known = [info.env for info in describe()]
    for source, given in sources.items():
        for name in sorted(set(given) - set(known) - _OTHER_PROGRAMS):
            close = get_close_matches(name, known, n=1, cutoff=0.75)
            if close:
                hint = f"Did you mean {close[0]}?"
            else:
                hint = "Remove it; docs/settings.md lists what there is."
            # Other programs may have RL_ and PROMETHEUS_ variables of their own.
            ours = bool(close) or name.startswith("TOM_")
            yield Finding(
                "error" if ours else "warning",
                name,
                f"{name} ({source}) is no setting of TOM and has no effect.",
                hint,
            )


def _invalid(error: ValidationError) -> Iterator[Finding]:
    infos = {name: info for info in describe() for name in (info.env, info.field)}
    for problem in error.errors():
        info = infos[str(problem["loc"][0])]  # every setting is validated alone
        given = shown(info, problem["input"])
        yield Finding(
            "error",
            info.env,
            f"{info.env} cannot be {given}.",
            f"It takes: {info.accepts}.",
        )
