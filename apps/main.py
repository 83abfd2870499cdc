"""Builds the whole from the settings: the only place where the rooms are plugged together."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI

from apps.core import secrets
from apps.core.errors import ConfigError
from apps.dispatcher.adapter_admin.answering import CallFreeAnswers
from apps.dispatcher.call_state import EndReason
from apps.dispatcher.profile import Profile, check_policies, load_profiles
from apps.dispatcher.providers import ProviderDesk
from apps.dispatcher.recordings import RECORDINGS
from apps.dispatcher.routes.providers import router as provider_routes
from apps.dispatcher.routes.reception import REFUSALS
from apps.dispatcher.server import EngineStatus, create_app
from apps.dispatcher.services import Services
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.upkeep import Background, keep_retention
from apps.doors import DOORS, door_max_calls, make_reception, open_doors
from apps.engines import Choice
from apps.knowledge.retriever import Retriever
from apps.llm.gateway.watch import watch
from apps.monitor.lag import watch_lag
from apps.monitor.metrics import Metrics
from apps.rl.defaults import settings_catalog
from apps.running_adapters import open_adapters, open_registry
from apps.running_admin import serve_adapters
from apps.running_calls import Parts, open_services
from apps.running_engines import RunningEngines, start_engines
from apps.running_knowledge import (
    OpenedKnowledge,
    embedder_of,
    log_retrievals,
    open_entries,
    open_knowledge,
)
from apps.running_learning import PromptMaker, keep_learning, open_learning
from apps.running_privacy import Redactor, detector_spec, open_redactor
from apps.settings import Settings
from apps.store.calls import CallOrigin
from apps.store.database import Database, open_database
from apps.store.purpose import refuse_sandbox
from apps.voice.stt.domain import DomainText

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tom:
    """A running TOM.

    Attributes:
        app: The web application.
        switchboard: All calls.
        metrics: The server's metrics.
        choices: Which engine serves each role, and why.
        operator_token: Opens operators' details from other machines.
    """

    app: FastAPI
    switchboard: Switchboard
    metrics: Metrics
    choices: Mapping[str, Choice]
    operator_token: str = field(repr=False)


@asynccontextmanager
async def run_tom(settings: Settings) -> AsyncGenerator[Tom, None]:
    """Build TOM from its settings, start its engines, and stop them at the end.

    Raises:
        ConfigError: A setting, a profile or a policy cannot be used.
        EngineUnavailable: An engine that was chosen cannot serve.
        StoreError: The database cannot be opened.
    """
    profiles = _profiles(settings)
    async with AsyncExitStack() as stack:
        parts = await _open(settings, profiles, stack)
        engines, metrics = parts.engines, parts.metrics
        services = await open_services(parts, stack)
        switchboard = Switchboard(
            services,
            parts.db,
            settings.max_calls,
            settings.profile,
            CallOrigin(settings.origin),
            door_max_calls(settings),
        )
        metrics.know_calls(doors=DOORS, ends=[r.value for r in EndReason], refusals=REFUSALS)
        # The knowledge base's many objects live as long as the server: searched for garbage again
        # and again, they would stop every call's audio for tens of milliseconds.
        gc.collect()
        gc.freeze()
        redactor = open_redactor(settings, stack)  # before the tasks, which end before it
        tasks = await stack.enter_async_context(Background())
        desk = await _provider_desk(engines, parts.db, settings)
        _start_tasks(parts, services, desk, tasks)
        await _open_adapter_work(parts, services, redactor, tasks, stack)
        engines.show_in(metrics)
        reception = make_reception(settings, switchboard, parts.keys.operator_token)
        app = create_app(
            reception,
            routers=[
                *await open_doors(settings, reception, stack),
                provider_routes(reception, desk),
            ],
            metrics=metrics,
            metrics_enabled=settings.prometheus_enabled,
            engines=lambda: _status(engines, parts.knowledge),
            providers=desk.status if desk is not None else None,
        )
        for choice in engines.choices.values():
            log.info("engine", role=choice.role, engine=choice.engine or "none", why=choice.why)
        yield Tom(app, switchboard, metrics, engines.choices, parts.keys.operator_token)


def _profiles(settings: Settings) -> Mapping[str, Profile]:
    profiles = load_profiles(settings.profiles_folder)
    if settings.profile not in profiles:
        raise ConfigError(
            f"There is no profile {settings.profile!r}.",
            hint=f"Set TOM_PROFILE to one of {', '.join(profiles)}.",
        )
    check_policies(profiles, settings_catalog(settings).variants)
    return profiles


async def _open(
    settings: Settings, profiles: Mapping[str, Profile], stack: AsyncExitStack
) -> Parts:
    """Open the store, what is known, and the engines."""
    detector_spec(settings)  # what is missing of it is told before any engine starts
    keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    metrics = Metrics()
    db = open_database(settings.store)
    stack.push_async_callback(db.aclose)
    refuse_sandbox(db)
    retriever = open_entries(settings, stack)
    observer = await log_retrievals(db, metrics, keys.hash_key, stack)
    knowledge = await open_knowledge(settings, retriever, db, stack, observer)
    engines = await start_engines(settings, _corpora(profiles, retriever), metrics, stack)
    adapters = open_adapters(settings, db, keys.hash_key, stack)
    return Parts(settings, keys, metrics, profiles, db, knowledge, engines, adapters)


def _status(engines: RunningEngines, knowledge: OpenedKnowledge) -> dict[str, EngineStatus]:
    """Return what serves each role now, and whether a model of meanings helps to find answers."""
    status, model = engines.status(), knowledge.model_status()
    if model is not None:
        status["embeddings"] = EngineStatus(model.name, model.why, required=False, up=model.up)
    return status


def _start_tasks(
    parts: Parts, services: Services, desk: ProviderDesk | None, tasks: Background
) -> None:
    """Start what goes on beside the calls."""
    settings, gateway = parts.settings, parts.engines.gateway
    tasks.start(watch_lag(parts.metrics.loop_lag))
    if services.shadow is not None:
        tasks.start(services.shadow.run())
    if parts.knowledge.graph is not None:
        tasks.start(parts.knowledge.graph.keeper.run())
    if parts.knowledge.senses is not None:
        tasks.start(parts.knowledge.senses.run())
    tasks.start(keep_retention(parts.db, settings.retention_days, settings.data_dir / RECORDINGS))
    if gateway is not None and desk is not None:
        tasks.start(watch(gateway, settings.llm_probe_s))
        tasks.start(desk.follow())


async def _open_adapter_work(
    parts: Parts,
    services: Services,
    redactor: Redactor,
    tasks: Background,
    stack: AsyncExitStack,
) -> None:
    """Start roll-outs, the continuous loop and the adapters' listener, as far as they are set."""
    settings, adapters, router = parts.settings, parts.adapters, services.router
    secret = parts.keys.hash_key
    registry = adapters.registry if adapters else open_registry(settings, parts.db, secret)
    if adapters is not None:
        driver = adapters.driver(router.selector.guard, router.adapters_in_use, parts.metrics)
        tasks.start(driver.run())
    if settings.adapter_learning:
        slots = settings_catalog(settings).slots
        prompts = PromptMaker(parts.profiles, parts.knowledge.base, slots)
        loop = open_learning(
            settings, parts.db, registry, prompts, redactor, parts.metrics.adapters
        )
        tasks.start(keep_learning(loop, registry))
    if settings.adapter_admin_port is not None:
        await stack.enter_async_context(
            serve_adapters(
                settings,
                registry,
                adapters.server if adapters else None,
                embedder_of(settings, stack),
                _call_free_answers(settings, services),
                secret=secret,
                redactor=redactor,
                token=parts.keys.operator_token,
                metrics=parts.metrics,
            )
        )


async def _provider_desk(
    engines: RunningEngines, db: Database, settings: Settings
) -> ProviderDesk | None:
    """Return the operator's hand on the providers, as it was left; None where there is none."""
    if engines.gateway is None:
        return None
    desk = ProviderDesk(engines.gateway, db, settings.llm_currency)
    await desk.take_over()
    return desk


def _call_free_answers(settings: Settings, services: Services) -> CallFreeAnswers:
    catalog = settings_catalog(settings)
    return CallFreeAnswers(
        services.profiles,
        settings.profile,
        services.knowledge,
        services.generator,
        catalog.variants[catalog.rules.base_variant].slots,
        services.put_usage,
    )


def _corpora(profiles: Mapping[str, Profile], retriever: Retriever) -> dict[str, DomainText]:
    """Return what callers of each profile are likely to say and hear, in English."""
    corpora = {}
    for profile in profiles.values():
        corpus = retriever.corpus(profile.space, "en")
        corpora[profile.space] = DomainText(
            asked=(*corpus.questions, *corpus.variants), answered=tuple(corpus.sentences)
        )
    return corpora
