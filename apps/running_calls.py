"""Makes what all calls of a server share, from what was opened: policy, engines, limits, logs."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from datetime import timedelta

import numpy as np

from apps.core import secrets
from apps.core.errors import ConfigError
from apps.core.passages import Within
from apps.dispatcher.profile import Profile
from apps.dispatcher.recordings import RECORDINGS
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import Limits, Services
from apps.dispatcher.shadow import Shadow
from apps.engines import LANGUAGES
from apps.knowledge.retrieval.knowledge import KnowledgeBase
from apps.llm.rehearsal import rehearse
from apps.monitor.metrics import Metrics
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.defaults import settings_catalog, settings_limits, settings_policy
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.review import ACTS
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import PolicySelector
from apps.running_adapters import RunningAdapters
from apps.running_engines import RunningEngines
from apps.running_knowledge import OpenedKnowledge
from apps.settings import Settings
from apps.store.database import Database
from apps.store.event_writer import EventWriter
from apps.store.server_life import close_lost_calls, server_life
from apps.store.usage_writer import UsageWriter
from apps.voice.completeness import judge
from apps.voice.sealed import SealingKey
from apps.voice.silero import silero_network
from apps.voice.turn_options import GOVERNED, TurnOptions
from apps.voice.vad_pool import VadPool


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is built from, opened from the settings."""

    settings: Settings
    keys: secrets.Secrets
    metrics: Metrics
    profiles: Mapping[str, Profile]
    db: Database
    knowledge: OpenedKnowledge
    engines: RunningEngines
    adapters: RunningAdapters | None


async def open_services(parts: Parts, stack: AsyncExitStack) -> Services:
    """Return what all calls share."""
    settings, engines, metrics, db = parts.settings, parts.engines, parts.metrics, parts.db
    servers = settings.data_dir / "servers"
    server = stack.enter_context(server_life(servers, db.place))
    await close_lost_calls(db, servers, timedelta(seconds=settings.max_call_s))
    desk = parts.adapters.desk if parts.adapters else None
    router = PolicyRouter(
        _selector(settings, db, metrics, engines.names, desk),
        parts.keys.hash_key,
        reward_window_s=settings.rl_reward_window_s,
    )
    await _rehearse(parts.profiles, parts.knowledge.base)
    return Services(
        profiles=parts.profiles,
        router=router,
        knowledge=parts.knowledge.base,
        generator=engines.generator,
        stt=engines.stt,
        tts=engines.tts,
        new_vad=VadPool(silero_network()).open,
        log_sink=await stack.enter_async_context(EventWriter(db)),
        deaf=engines.deaf,
        metrics=metrics,
        limits=_limits(settings),
        recordings=settings.data_dir / RECORDINGS if settings.record_calls else None,
        recording_key=_recording_key(settings),
        recording_disk=stack.enter_context(ThreadPoolExecutor(1, "recordings")),
        shadow=Shadow(
            engines.generator,
            router.selector.in_shadow,
            db,
            share=settings.rl_shadow_share,
            observer=metrics.shadow_answered,
        ),
        put_usage=(await stack.enter_async_context(UsageWriter(db))).put,
        server=server,
    )


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
        state_path=settings.bandit_state_file,
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


def _recording_key(settings: Settings) -> SealingKey | None:
    if not settings.record_calls:
        return None
    return SealingKey.of(secrets.recording_key(settings.data_dir, settings.recording_key))


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
