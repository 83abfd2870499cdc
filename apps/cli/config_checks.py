"""What is wrong with settings that are each valid, but cannot work together or on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from apps.cli.network import NO_TLS, NO_TLS_HINT, read_certificate, read_proxies
from apps.core.errors import ConfigError
from apps.core.privacy import DetectorSpec
from apps.core.privacy import check as check_detector
from apps.core.secrets import MIN_LENGTH
from apps.dispatcher.trust import is_local_name
from apps.doors import door_max_calls, read_origins
from apps.language_servers import settings_providers
from apps.settings import Settings, env_name
from apps.store.database import Database


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        severity: An ``error`` keeps TOM from working as told; a ``warning`` is worth a look.
        setting: The environment variable that it is about.
        sentence: What is wrong.
        hint: What to do about it.
    """

    severity: Literal["error", "warning"]
    setting: str
    sentence: str
    hint: str


def check_settings(settings: Settings) -> list[Finding]:
    """Return everything that is wrong with these settings, errors first."""
    found = [finding for check in _CHECKS for finding in check(settings)]
    return sorted(found, key=lambda finding: finding.severity)


def _engines_without_server(settings: Settings) -> Iterator[Finding]:
    for role in ("stt", "tts", "llm"):
        if role == "llm" and settings.llm_providers:
            continue
        engine, url = getattr(settings, f"{role}_engine"), getattr(settings, f"{role}_url")
        engine_name, url_name = env_name(f"{role}_engine"), env_name(f"{role}_url")
        if engine == "openai" and not url:
            yield Finding(
                "error",
                engine_name,
                f"{engine_name}=openai needs a server, but {url_name} is empty.",
                f"Set {url_name} to its base URL, for instance http://127.0.0.1:8000/v1.",
            )
        elif url and engine not in ("openai", "auto"):
            yield Finding(
                "warning",
                url_name,
                f"{url_name} is set, but {engine_name}={engine} does not use it.",
                f"Set {engine_name}=openai to use the server, or empty {url_name}.",
            )
    alone = settings.llm_url and not settings.llm_providers
    if alone and settings.llm_engine != "embedded" and not settings.llm_model:
        yield Finding(
            "error",
            "TOM_LLM_MODEL",
            "TOM_LLM_URL is set, but TOM_LLM_MODEL is empty: the server wants to know the model.",
            "Set it to a name that the server lists at /models.",
        )


def _providers(settings: Settings) -> Iterator[Finding]:
    if not settings.llm_providers:
        return
    try:
        settings_providers(settings)
    except ConfigError as error:
        yield Finding("error", "TOM_LLM_PROVIDERS", error.message, error.hint)
    if settings.llm_engine == "embedded":
        yield Finding(
            "warning",
            "TOM_LLM_PROVIDERS",
            "TOM_LLM_PROVIDERS is set, but TOM_LLM_ENGINE=embedded does not use it.",
            "Set TOM_LLM_ENGINE=auto to use the servers, or empty TOM_LLM_PROVIDERS.",
        )
    elif settings.llm_url:
        yield Finding(
            "warning",
            "TOM_LLM_URL",
            "TOM_LLM_URL is set, but TOM_LLM_PROVIDERS is what counts.",
            "Empty TOM_LLM_URL, or make that server an entry of the list.",
        )


def _urls(settings: Settings) -> Iterator[Finding]:
    for field in ("stt_url", "tts_url", "llm_url"):
        url = getattr(settings, field)
        if url and not _is_http_url(url):
            yield Finding(
                "error",
                env_name(field),
                f"{env_name(field)} is not a URL of an HTTP server.",
                "Write it with its scheme and host, for instance http://127.0.0.1:8000/v1.",
            )


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _ports(settings: Settings) -> Iterator[Finding]:
    if settings.prometheus_port is None:
        return
    if settings.prometheus_port and settings.prometheus_port == settings.http_port:
        yield Finding(
            "error",
            "PROMETHEUS_PORT",
            f"PROMETHEUS_PORT and TOM_HTTP_PORT are both {settings.http_port}.",
            "Leave PROMETHEUS_PORT empty: /metrics is served on TOM_HTTP_PORT anyway.",
        )
    if not settings.prometheus_enabled:
        yield Finding(
            "warning",
            "PROMETHEUS_PORT",
            "PROMETHEUS_PORT is set, but PROMETHEUS_ENABLED=false serves no metrics.",
            "Set PROMETHEUS_ENABLED=true, or empty PROMETHEUS_PORT.",
        )


def _network(settings: Settings) -> Iterator[Finding]:
    readers: dict[str, Callable[[], object]] = {
        "TOM_TLS_CERT": lambda: read_certificate(settings.tls_cert, settings.tls_key),
        "TOM_TRUSTED_PROXIES": lambda: read_proxies(settings.trusted_proxies),
        "TOM_ALLOWED_ORIGINS": lambda: read_origins(settings.allowed_origins),
        "TOM_DOOR_MAX_CALLS": lambda: door_max_calls(settings),
    }
    for name, read in readers.items():
        try:
            read()
        except ConfigError as error:
            yield Finding("error", name, error.message, error.hint)
    alone = is_local_name(settings.http_host) or settings.trusted_proxies
    if not alone and settings.tls_cert is None:
        yield Finding("warning", "TOM_HTTP_HOST", NO_TLS, NO_TLS_HINT)


def _for_tests(settings: Settings) -> Iterator[Finding]:
    for field in ("stt_engine", "tts_engine"):
        if getattr(settings, field) == "fake":
            yield Finding(
                "warning",
                env_name(field),
                f"{env_name(field)}=fake neither hears nor speaks; it is for tests.",
                f"Leave {env_name(field)} at auto for real calls.",
            )
    if settings.rl_seed is not None:
        yield Finding(
            "warning",
            "RL_SEED",
            "RL_SEED makes the choice of variants predictable; it is for demonstrations.",
            "Leave RL_SEED empty for real calls.",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    for field in ("hash_key", "operator_token", "recording_key"):
        value = getattr(settings, field)
        if value and len(value) < MIN_LENGTH:
            yield Finding(
                "error",
                env_name(field),
                f"{env_name(field)} is too short: it needs {MIN_LENGTH} characters or more.",
                "Leave it empty to have one generated.",
            )


def _files_to_read(settings: Settings) -> Iterator[Finding]:
    wanted: list[tuple[str, Path | None, Callable[[Path], bool], str]] = [
        ("profile_dir", settings.profile_dir, Path.is_dir, "folder"),
        ("rl_policies_path", settings.rl_policies_path, Path.is_file, "file"),
    ]
    for field, path, is_there, what in wanted:
        if path is not None and not is_there(path):
            yield Finding(
                "error",
                env_name(field),
                f"{env_name(field)} names {path}, which is no {what} here.",
                "Correct the path, or empty the setting to use what TOM brings along.",
            )


def _store(settings: Settings) -> Iterator[Finding]:
    if not settings.store_url:
        return
    try:
        database = Database(settings.store_url)
    except ConfigError as error:
        yield Finding("error", env_name("store_url"), error.message, error.hint)
        return
    if not database.is_sqlite and find_spec("psycopg") is None:
        yield Finding(
            "error",
            env_name("store_url"),
            f"{env_name('store_url')} names a PostgreSQL server, but its driver is missing.",
            "Install TOM with the extra that has it: pip install 'tom-voice[postgres]'.",
        )


def _privacy(settings: Settings) -> Iterator[Finding]:
    if settings.privacy_detector:
        try:
            check_detector(DetectorSpec(settings.privacy_models))
        except ConfigError as error:
            missing = find_spec("presidio_analyzer") is None
            field = "privacy_detector" if missing else "privacy_models"
            yield Finding("error", env_name(field), error.message, error.hint)
    elif settings.privacy_models:
        yield Finding(
            "warning",
            env_name("privacy_models"),
            "TOM_PRIVACY_MODELS is set, but TOM_PRIVACY_DETECTOR is not: no names are looked for.",
            "Set TOM_PRIVACY_DETECTOR=true, or empty TOM_PRIVACY_MODELS.",
        )


def _folders_to_write(settings: Settings) -> Iterator[Finding]:
    wanted = {"data_dir": settings.data_dir}
    if settings.rl_feedback_db_path and not settings.store_url:
        wanted["rl_feedback_db_path"] = settings.rl_feedback_db_path.parent
    if settings.rl_bandit_state_path:
        wanted["rl_bandit_state_path"] = settings.rl_bandit_state_path.parent
    for field, folder in wanted.items():
        ground = nearest_existing(folder)
        if not ground.is_dir() or not os.access(ground, os.W_OK | os.X_OK):
            yield Finding(
                "error",
                env_name(field),
                f"{env_name(field)} cannot be written: {ground} is no folder that this user may"
                " write.",
                "Choose another path, or give this user the right to write there.",
            )


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the closest of its parents that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _left_behind(settings: Settings) -> Iterator[Finding]:
    for field, place in (
        ("rl_feedback_db_path", "store"),
        ("rl_candidates_path", "candidates_folder"),
    ):
        try:
            getattr(settings, place)
        except ConfigError as error:
            yield Finding("error", env_name(field), error.message, error.hint)


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _engines_without_server,
    _providers,
    _urls,
    _ports,
    _network,
    _for_tests,
    _secrets,
    _files_to_read,
    _store,
    _privacy,
    _folders_to_write,
    _left_behind,
)
