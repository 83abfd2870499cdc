"""What `tom doctor` looks at: this machine, the files TOM needs, and what they add up to."""

from __future__ import annotations

import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import httpx

import apps.dispatcher
from apps.cli.config_checks import nearest_existing
from apps.core.errors import TomError
from apps.core.plural import plural
from apps.core.secrets import FILE_NAME, load_or_create
from apps.dispatcher.profile import load_profiles
from apps.engines import choose, look
from apps.knowledge.entries import load_entries
from apps.language_servers import settings_providers
from apps.llm.gateway.provider import Kind
from apps.rl.variants import load_catalog
from apps.settings import Settings, env_name
from apps.store.database import Database
from apps.store.migrate import newest_revision, revision
from apps.store.purpose import refuse_sandbox
from apps.voice.silero import silero_network

Status = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
PAGE = Path(apps.dispatcher.__file__).parent / "page" / "index.html"
_MIB = 1024 * 1024
_SCARCE_DISK_MIB = 1024
_NO_DISK_MIB = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about one thing.

    Attributes:
        status: ``fail`` where TOM would not work, ``warn`` where it would work worse than it could.
        sentence: What was found.
        hint: What to do about it; empty where all is well.
    """

    status: Status
    sentence: str
    hint: str = ""


def examine_machine(settings: Settings) -> Iterator[tuple[str, Found]]:
    """Look at one thing after the other, and yield its topic and what was found.

    Nothing is changed, and nothing that fails hides what comes after it.
    """
    for topic, check in CHECKS.items():
        try:
            for found in check(settings):
                yield topic, found
        except TomError as error:
            yield topic, Found("fail", error.message, error.hint)
        except OSError as error:
            yield topic, Found("fail", f"{error.filename or topic}: {error.strerror}.")


def _python(_settings: Settings) -> Iterator[Found]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Found("ok", f"Python {version}.")
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield Found("fail", f"Python {version}.", f"Install TOM with Python {oldest} or newer.")


def _disk(settings: Settings) -> Iterator[Found]:
    place = nearest_existing(settings.data_dir)
    free_mib = shutil.disk_usage(place).free // _MIB
    hint = "Free some, lower TOM_RETENTION_DAYS, or move TOM_DATA_DIR."
    if free_mib < _NO_DISK_MIB:
        yield Found("fail", f"{free_mib} MiB are free for {settings.data_dir}.", hint)
    elif free_mib < _SCARCE_DISK_MIB:
        yield Found("warn", f"{free_mib} MiB are free for {settings.data_dir}.", hint)
    else:
        yield Found("ok", f"{free_mib // 1024} GiB are free for {settings.data_dir}.")


def _secrets(settings: Settings) -> Iterator[Found]:
    path = settings.data_dir / FILE_NAME
    if not path.exists() and not (settings.hash_key and settings.operator_token):
        yield Found("ok", f"{path} will be made at the first start.")
        return
    load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    if path.exists():
        yield Found("ok", f"{path} is there, {stat.filemode(path.stat().st_mode)}.")
    else:
        yield Found("ok", "The settings give them.")


def _database(settings: Settings) -> Iterator[Found]:
    where = settings.store
    if isinstance(where, Path) and not where.exists():
        yield Found("ok", f"{where} will be made at the first start.")
        return
    database = Database(where)
    try:
        found = revision(database)
        if found == newest_revision():
            refuse_sandbox(database)
    finally:
        database.close()
    if found == newest_revision():
        yield Found("ok", f"{database.name} can be read and has the newest tables.")
    elif found is None and not database.is_sqlite:
        yield Found("ok", f"{database.name} answers; its tables will be made at the first start.")
    else:
        hint = "`tom serve` brings it up to date at start; back it up before that."
        yield Found("warn", f"{database.name} has the tables of another version.", hint)


def _ports(settings: Settings) -> Iterator[Found]:
    ports = [("TOM_HTTP_PORT", settings.http_port, "/healthz")]
    if settings.prometheus_port and settings.prometheus_enabled:
        ports.append(("PROMETHEUS_PORT", settings.prometheus_port, "/metrics"))
    for name, port, path in ports:
        where = f"{settings.http_host}:{port}"
        trouble = _why_taken(settings.http_host, port) if port else ""
        if not trouble:
            yield Found("ok", f"{where} is free." if port else f"{name}=0 picks a free port.")
        elif _answers(settings.http_host, port, path):
            yield Found("ok", f"TOM is running at {where}.")
        else:
            yield Found(
                "fail", f"{where} cannot be used: {trouble}.", f"Set {name} to a free port."
            )


def _why_taken(host: str, port: int) -> str:
    """Return why nothing can listen there; empty when it can."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = address[0]
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except OSError as error:
        return error.strerror or "it is in use"
    return ""


def _answers(host: str, port: int, path: str) -> bool:
    reachable = "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104 - compared only
    for scheme in ("http", "https"):
        url = f"{scheme}://{reachable}:{port}{path}"
        try:  # whether it answers is asked, not who it is
            answer = httpx.get(url, timeout=1.0, trust_env=False, verify=False)  # noqa: S501
        except httpx.HTTPError:
            continue
        return answer.status_code in (httpx.codes.OK, httpx.codes.FORBIDDEN)
    return False


def _servers(settings: Settings) -> Iterator[Found]:
    for provider in settings_providers(settings) if settings.llm_providers else ():
        if provider.kind is not Kind.EMBEDDED:
            trouble = _why_unreachable(f"{provider.root}/v1", provider.api_key)
            if not trouble:
                yield Found("ok", f"The language server {provider.name} answers.")
            else:
                told = f"The language server {provider.name} does not serve: {trouble}."
                yield Found("fail", told, "Start it, or correct its entry: docs/gateway.md.")
    for role in ("stt", "tts", "llm"):
        url = getattr(settings, f"{role}_url")
        if url and not (role == "llm" and settings.llm_providers):
            trouble = _why_unreachable(url, getattr(settings, f"{role}_api_key"))
            name = env_name(f"{role}_url")
            if not trouble:
                yield Found("ok", f"The server at {name} answers.")
            else:
                yield Found("fail", f"The server at {name} does not serve: {trouble}.", _START_IT)


_START_IT = "Start it, correct the address, or empty the setting to use the embedded engine."


def _why_unreachable(url: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=3.0)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    # A server of speech alone may list no models; refusing the key is another matter.
    refused = answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    return "it refuses the key" if refused else ""


def _embedded(_settings: Settings) -> Iterator[Found]:
    silero_network()  # raises when its network is missing or cannot be loaded
    yield Found("ok", "Silero's network finds speech.")
    # Looked for and not loaded: espeak-ng's licence is for its own process.
    for name, package in (("PocketSphinx", "pocketsphinx"), ("espeak-ng", "espeakng_loader")):
        if find_spec(package) is not None:
            yield Found("ok", f"{name} is installed.")
        else:
            yield Found("fail", f"{name} is not installed.", "Reinstall TOM.")


def _engines(settings: Settings) -> Iterator[Found]:
    for role, choice in choose(settings, look(settings)).items():
        if choice.engine is not None:
            yield Found("ok", f"{role}: {choice.engine}. {choice.why}")
        else:
            # Left to choose, TOM serves what it can; told what to take, it was told wrong.
            chosen_freely = getattr(settings, f"{role.partition('.')[0]}_engine") == "auto"
            yield Found("warn" if chosen_freely else "fail", f"{role}: none.", choice.why)


def _profiles(settings: Settings) -> Iterator[Found]:
    folder = settings.profiles_folder
    profiles = load_profiles(folder)
    if settings.profile in profiles:
        yield Found("ok", f"{', '.join(profiles)} in {folder}.")
    else:
        hint = f"Set TOM_PROFILE to one of {', '.join(profiles)}."
        yield Found("fail", f"There is no profile {settings.profile!r} in {folder}.", hint)


def _knowledge(settings: Settings) -> Iterator[Found]:
    entries = load_entries(settings.entries_folder)
    languages = sorted({entry.language for entry in entries})
    told = plural(len(entries), "question with its answer", "questions with answers")
    yield Found("ok", f"{told} in {' and '.join(languages)}.")


def _policies(settings: Settings) -> Iterator[Found]:
    catalog = load_catalog(settings.policies_file)
    learning = "learning is on" if settings.rl_enabled else "RL_ENABLED=false serves the base alone"
    yield Found("ok", f"{plural(len(catalog.variants), 'variant')}; {learning}.")


def _page(settings: Settings) -> Iterator[Found]:
    if not PAGE.is_file():
        yield Found("fail", f"{PAGE} is missing.", "Reinstall TOM.")
    elif settings.http_host not in ("127.0.0.1", "localhost", "::1"):
        hint = "Put a proxy with TLS in front: browsers give no microphone to plain http pages."
        yield Found("warn", "The call page is there, but not on this machine alone.", hint)
    else:
        yield Found(
            "ok", "The call page is there; a browser on this machine gives it the microphone."
        )


CHECKS: dict[str, Callable[[Settings], Iterator[Found]]] = {
    "python": _python,
    "disk": _disk,
    "secrets": _secrets,
    "database": _database,
    "ports": _ports,
    "profiles": _profiles,
    "knowledge": _knowledge,
    "policies": _policies,
    "embedded": _embedded,
    "engines": _engines,
    "servers": _servers,
    "call page": _page,
}
