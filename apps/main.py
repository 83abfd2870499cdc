"""Builds the whole from the settings: the only place where the rooms are plugged together."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import structlog
from fastapi import FastAPI

from apps.core import secrets
from apps.core.errors import ConfigError
from apps.core.passages import Within
from apps.core.resources import resource
from apps.dispatcher.adapter_admin.answering import CallFreeAnswers
from apps.dispatcher.call_state import EndReason
from apps.dispatcher.profile import Profile, check_policies, load_profiles
from apps.dispatcher.providers import ProviderDesk
from apps.dispatcher.recordings import RECORDINGS
from apps.dispatcher.routes.providers import router as provider_routes
from apps.dispatcher.routes.reception import REFUSALS
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.server import create_app
from apps.dispatcher.services import Limits, Services
from apps.dispatcher.shadow import Shadow
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.upkeep import Background, keep_retention
from apps.doors import DOORS, door_max_calls, make_reception, open_doors
from apps.engines import LANGUAGES, Choice
from apps.knowledge.retrieval.knowledge import KnowledgeBase
from apps.knowledge.retriever import Retriever
from apps.llm.gateway.watch import watch
from apps.llm.rehearsal import rehearse
from apps.monitor.lag import watch_lag
from apps.monitor.metrics import Metrics
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.defaults import settings_catalog, settings_limits, settings_policy
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.review import ACTS
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import PolicySelector
from apps.running_adapters import open_adapters, open_registry
from apps.running_admin import serve_adapters
from apps.running_engines import RunningEngines, start_engines
from apps.running_knowledge import embedder_of, log_retrievals, open_entries, open_knowledge
from apps.running_learning import PromptMaker, keep_learning, open_learning
from apps.settings import Settings
from apps.store.calls import CallOrigin
from apps.store.database import Database, open_database
from apps.store.event_writer import EventWriter
from apps.store.purpose import refuse_sandbox
from apps.store.usage_writer import UsageWriter
from apps.voice.completeness import judge
from apps.voice.sealed import SealingKey
from apps.voice.silero import silero_network
from apps.voice.stt.domain import DomainText
from apps.voice.turn_options import GOVERNED, TurnOptions
from apps.voice.vad_pool import VadPool

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
    keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    metrics = Metrics()
    profiles = load_profiles(_folder(settings, "profiles"))
    if settings.profile not in profiles:
        raise ConfigError(
            f"There is no profile {settings.profile!r}.",
            hint=f"Set TOM_PROFILE to one of {', '.join(profiles)}.",
        )
    check_policies(profiles, settings_catalog(settings).variants)
    async with AsyncExitStack() as stack:
        db = open_database(settings.store)
        stack.push_async_callback(db.aclose)
        refuse_sandbox(db)
        retriever = open_entries(settings, stack)
        observer = await log_retrievals(db, metrics, keys.hash_key, stack)
        knowledge = await open_knowledge(settings, retriever, db, stack, observer)
        writer = await stack.enter_async_context(EventWriter(db))
        usage = await stack.enter_async_context(UsageWriter(db))
        engines = await start_engines(settings, _corpora(profiles, retriever), metrics, stack)
        desk = await _provider_desk(engines, db, settings)
        adapters = open_adapters(settings, db, keys.hash_key, stack)
        router = PolicyRouter(
            _selector(settings, db, metrics, engines.names, adapters.desk if adapters else None),
            keys.hash_key,
            reward_window_s=settings.rl_reward_window_s,
        )
        await _rehearse(profiles, knowledge.base)
        shadow = Shadow(
            engines.generator,
            router.selector.in_shadow,
            db,
            share=settings.rl_shadow_share,
            observer=metrics.shadow_answered,
        )
        services = Services(
            profiles=profiles,
            router=router,
            knowledge=knowledge.base,
            generator=engines.generator,
            stt=engines.stt,
            tts=engines.tts,
            new_vad=VadPool(silero_network()).open,
            log_sink=writer,
            deaf=engines.deaf,
            metrics=metrics,
            limits=_limits(settings),
            recordings=settings.data_dir / RECORDINGS if settings.record_calls else None,
            recording_key=_recording_key(settings),
            recording_disk=stack.enter_context(ThreadPoolExecutor(1, "recordings")),
            shadow=shadow,
            put_usage=usage.put,
        )
        switchboard = Switchboard(
            services,
            db,
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
        tasks = await stack.enter_async_context(Background())
        tasks.start(watch_lag(metrics.loop_lag))
        tasks.start(shadow.run())
        if knowledge.graph is not None:
            tasks.start(knowledge.graph.keeper.run())
        tasks.start(keep_retention(db, settings.retention_days, settings.data_dir / RECORDINGS))
        if adapters is not None:
            driver = adapters.driver(router.selector.guard, router.adapters_in_use, metrics)
            tasks.start(driver.run())
        registry = adapters.registry if adapters else open_registry(settings, db, keys.hash_key)
        if settings.adapter_learning:
            slots = {name: v.slots for name, v in settings_catalog(settings).variants.items()}
            prompts = PromptMaker(profiles, knowledge.base, slots)
            loop = open_learning(settings, db, registry, prompts, metrics.adapters)
            tasks.start(keep_learning(loop, registry))
        if settings.adapter_admin_port is not None:
            await stack.enter_async_context(
                serve_adapters(
                    settings,
                    registry,
                    adapters.server if adapters else None,
                    embedder_of(settings, stack),
                    _call_free_answers(settings, services),
                    secret=keys.hash_key,
                    token=keys.operator_token,
                    metrics=metrics,
                )
            )
        if engines.gateway is not None and desk is not None:
            tasks.start(watch(engines.gateway, settings.llm_probe_s))
            tasks.start(desk.follow())
        engines.show_in(metrics)
        reception = make_reception(settings, switchboard, keys.operator_token)
        app = create_app(
            reception,
            routers=[
                *await open_doors(settings, reception, stack),
                provider_routes(reception, desk),
            ],
            metrics=metrics,
            metrics_enabled=settings.prometheus_enabled,
            engines=engines.status,
            providers=desk.status if desk is not None else None,
        )
        for choice in engines.choices.values():
            log.info("engine", role=choice.role, engine=choice.engine or "none", why=choice.why)
        yield Tom(app, switchboard, metrics, engines.choices, keys.operator_token)


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
    )


def _recording_key(settings: Settings) -> SealingKey | None:
    if not settings.record_calls:
        return None
    return SealingKey.of(secrets.recording_key(settings.data_dir, settings.recording_key))


def _folder(settings: Settings, name: str) -> Path:
    """Return the operator's own folder of profiles or knowledge, or the sample's."""
    return settings.profile_dir / name if settings.profile_dir else resource(name)


def _selector(
    settings: Settings,
    db: Database,
    metrics: Metrics,
    engines: Mapping[str, str],
    adapters: AdapterDesk | None,
) -> PolicySelector:
    catalog = settings_catalog(settings)
    bandit = PolicyBandit(
        db,
        catalog=catalog,
        policy=settings_policy(settings, catalog.prior),
        state_path=settings.rl_bandit_state_path,
    )
    guard = DeployGuard(bandit, rng=np.random.default_rng(settings.rl_seed))
    metrics.know_variants(bandit.variants)
    metrics.know_acts(ACTS)
    return PolicySelector(
        guard,
        enabled=settings.rl_enabled,
        learns=settings.origin != "test",
        observer=metrics,
        limits=settings_limits(settings),
        engines=engines,
        adapters=adapters,
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


async def _rehearse(profiles: Mapping[str, Profile], knowledge: KnowledgeBase) -> None:
    """Do once what is slow the first time, so that the first caller does not wait for it."""
    for language in LANGUAGES:
        rehearse(language)
        judge("hello", language)
        for profile in profiles.values():
            await knowledge.search(
                "hello",
                language=language,
                profile=profile.space,
                within=Within(profile.spaces),
            )


def _limits(settings: Settings) -> Limits:
    return Limits(
        turns=_turn_options(settings),
        no_input_s=settings.no_input_s,
        max_call_s=settings.max_call_s,
        speculate=settings.speculate,
        filler_after_ms=settings.filler_after_ms,
    )


def _turn_options(settings: Settings) -> TurnOptions:
    """Return how turns are taken.

    Raises:
        ConfigError: TOM_TURN_OPTIONS names something that is none of them.
    """
    named = {
        "complete_ms": settings.endpoint_complete_ms,
        "endpoint_ms": settings.endpoint_silence_ms,
        "hanging_ms": settings.endpoint_hanging_ms,
    }
    others = {field.name for field in fields(TurnOptions)} - {"language", *named, *GOVERNED}
    if unknown := sorted(settings.turn_options.keys() - others):
        raise ConfigError(
            f"TOM_TURN_OPTIONS names {unknown[0]!r}, which is no such option.",
            hint=f"Possible are {', '.join(sorted(others))}.",
        )
    return TurnOptions(**{**settings.turn_options, **named})  # type: ignore[arg-type]
