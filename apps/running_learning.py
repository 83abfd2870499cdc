"""Opens the continuous loop from the settings: rated calls into adapters, beside the server."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from apps.core.clock import utc_now
from apps.core.errors import ConfigError, TomError, TrainingFailed
from apps.core.passages import Within
from apps.core.policy import PolicySlots
from apps.dispatcher.profile import Profile
from apps.dispatcher.services import Knowledge
from apps.dispatcher.turn import PASSAGES
from apps.llm.prompt import Exchange, assemble
from apps.rl.adapters.continuous.batches import LoopRules, Objective
from apps.rl.adapters.continuous.collect import Collector
from apps.rl.adapters.continuous.loop import ContinuousLoop, LoopObserver
from apps.rl.adapters.continuous.screen import Screen, ScreenRules
from apps.rl.adapters.continuous.turns import Turn
from apps.rl.adapters.entry import adopt
from apps.rl.adapters.examples import Message
from apps.rl.adapters.gate import folder_of
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.training.events import Finished
from apps.rl.adapters.training.process import follow, require_train_extra, train_command
from apps.running_privacy import Redactor
from apps.settings import Settings
from apps.store.calls import CallRow
from apps.store.database import Database

log = structlog.get_logger(__name__)

CONFIGS: Mapping[Objective, str] = {"sft": "continuous", "kto": "kto"}
LOOK_EVERY_S = 300.0


class PromptMaker:
    """Makes a turn's prompt again: its policy, its passages, and what was said before.

    Args:
        profiles: By id.
        knowledge: The knowledge base.
        slots: Every variant's.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        knowledge: Knowledge,
        slots: Mapping[str, PolicySlots],
    ) -> None:
        self._profiles, self._knowledge, self._slots = profiles, knowledge, slots

    async def __call__(self, turn: Turn, call: CallRow) -> tuple[Message, ...] | None:
        """Return the prompt; None where profile, variant or passages are gone."""
        profile, slots = self._profiles.get(call.profile), self._slots.get(call.variant or "")
        if profile is None or slots is None or call.language not in profile.office:
            return None
        found = await self._knowledge.search(
            turn.asked,
            language=call.language,
            profile=profile.space,
            k=4 * PASSAGES,
            within=Within(profile.spaces),
        )
        passages = tuple(p for p in found if p.source in turn.sources)
        if {p.source for p in passages} != set(turn.sources):
            return None
        prompt = assemble(
            slots,
            # The answer was made from them, whatever today's search thinks of them.
            tuple(replace(p, score=1.0) for p in passages),
            tuple(Exchange(asked, answer) for asked, answer in turn.before),
            turn.asked,
            language=call.language,
            office=profile.office[call.language],  # type: ignore[index]
        )
        return tuple(Message.model_validate(message) for message in prompt.messages())


class AdapterTrainer:
    """Trains by the training process, going on from the domain's active adapter.

    Args:
        registry: Where the new one is entered.
        base: Folder of the base model.
        folder: Where a run lies while it is made; nothing else does.
        python: An interpreter that has the ``train`` extra; this one when None.
    """

    def __init__(
        self, registry: AdapterRegistry, base: Path, folder: Path, python: Path | None
    ) -> None:
        self._registry, self._base = registry, base
        self._folder, self._python = folder, python

    async def __call__(self, domain: str, objective: Objective, data: Path, batch_id: str) -> str:
        """Train and register; see ``loop.Trainer``.

        Its run's folder is gone afterwards; one that failed or was killed leaves it to the next.
        """
        await asyncio.to_thread(self._clear)
        said = [f"domain=[{domain}]", f"data.train={data}", f"base.model={self._base}"]
        known = await asyncio.to_thread(self._registry.known)
        parent = known.active(domain)
        if parent is not None:
            home = folder_of(parent.id, self._registry.root)
            said += [f"adapter.parent={home}", f"adapter.parent_id={parent.id}"]
        arguments = train_command(CONFIGS[objective], self._folder / batch_id, said)
        finished: Finished | None = None
        async with follow(arguments, python=str(self._python) if self._python else None) as events:
            async for event in events:
                if isinstance(event, Finished):
                    finished = event
        if finished is None:
            raise TrainingFailed("The training was stopped before it had made an adapter.")
        record = await asyncio.to_thread(
            adopt,
            self._registry,
            Path(finished.folder),
            finished.adapter,
            f"learned by {CONFIGS[objective]} from rated calls",
        )
        await asyncio.to_thread(self._clear)
        return record.id

    def _clear(self) -> None:
        """Remove all runs: no batch goes on from another's, and callers' turns made them."""
        shutil.rmtree(self._folder, ignore_errors=True)


def open_learning(
    settings: Settings,
    db: Database,
    registry: AdapterRegistry,
    prompts: PromptMaker,
    redactor: Redactor,
    observer: LoopObserver | None = None,
) -> ContinuousLoop:
    """Return the continuous loop of the settings.

    Raises:
        ConfigError: No base model is set, or the negative list cannot be read.
        EngineUnavailable: This interpreter is to train, and has no ``train`` extra.
    """
    if settings.adapter_base is None:
        raise ConfigError(
            "Nothing can be trained without TOM_ADAPTER_BASE.",
            hint="Name the folder of the base model that the language server serves.",
        )
    if settings.adapter_train_python is None:
        require_train_extra()
    folder = settings.data_dir / "training"
    trainer = AdapterTrainer(
        registry, settings.adapter_base, folder / "runs", settings.adapter_train_python
    )
    collector = open_collector(settings, db, prompts, redactor)
    return ContinuousLoop(db, collector, trainer, folder / "batches", _rules(settings), observer)


def open_collector(
    settings: Settings, db: Database, prompts: PromptMaker, redactor: Redactor
) -> Collector:
    """Return what brings rated turns into the pool.

    Raises:
        ConfigError: The negative list cannot be read.
    """
    rules = ScreenRules(
        review_share=settings.adapter_learning_review,
        negative=_negative(settings.adapter_learning_negative),
    )
    consent = settings.adapter_learning_consent == "recorded"

    def redacted(text: str, language: str) -> tuple[str, bool]:
        found = redactor(text, language)
        return found.text, bool(found.findings)

    return Collector(
        db, Screen(rules, redacted), prompts, needs_consent=consent, threads=redactor.threads
    )


async def keep_learning(loop: ContinuousLoop, registry: AdapterRegistry) -> None:
    """Look at what is due again and again, for as long as the server runs."""
    while True:
        try:
            known = await asyncio.to_thread(registry.known)  # signatures are checked in it
            confirmed = [
                r.id
                for r in known.records.values()
                if r.state in (AdapterState.ACTIVE, AdapterState.STANDBY)
            ]
            await loop.confirmed(confirmed)
            for done in await loop.step(utc_now()):
                log.info("adapter_learned", domain=done.domain, adapter=done.adapter_id)
        except TomError as error:
            log.warning("learning_failed", code=error.code, reason=error.message)
        except Exception as error:  # a defect must not end it for good; its words may be callers'
            log.error("learning_crashed", error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)


def _rules(settings: Settings) -> LoopRules:
    return LoopRules(
        objective=settings.adapter_learning_objective,
        quality_threshold=settings.adapter_learning_quality,
        min_samples=settings.adapter_learning_samples,
        interval_s=settings.adapter_learning_hours * 3600.0,
    )


def _negative(path: Path | None) -> tuple[str, ...]:
    """Return the word groups of a negative list: one a line, ``#`` begins a remark."""
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The negative list {path} cannot be read: {error}.") from error
    groups = (line.partition("#")[0].strip() for line in lines)
    return tuple(group for group in groups if group)
