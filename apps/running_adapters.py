"""Opens the registry of adapters from the settings, and drives their roll-outs beside the calls."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from apps.core.errors import ConfigError, EngineError
from apps.core.passages import Passage
from apps.core.policy import PolicySlots
from apps.core.words import words
from apps.llm.lora import LoraClient
from apps.llm.openai import OpenAiGenerator
from apps.llm.prompt import Prompt
from apps.monitor.metrics import Metrics
from apps.rl.adapters.gate import BaseFolder
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.registry_file import FILE_NAME
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.adapters.rollout.driver import RolloutDriver, RolloutOptions
from apps.rl.adapters.rollout.machine import What
from apps.rl.deploy_guard import DeployGuard
from apps.settings import Settings
from apps.store.database import Database

SMOKE_TEST = Prompt(
    slots=PolicySlots(),
    language="en",
    office="the office",
    question="When are you open?",
    passages=(
        Passage(
            entry_id="hours",
            question="When are you open?",
            text="The office is open from Monday to Friday.",
            score=1.0,
            language="en",
            source="smoke test",
        ),
    ),
)
"""What an adapter is asked before anybody hears it."""


def open_registry(settings: Settings, db: Database, secret: bytes) -> AdapterRegistry:
    """Return the registry of the settings.

    Args:
        settings: Where it lies, and which base is served.
        db: The store.
        secret: The installation's hashing key.
    """
    return AdapterRegistry(
        db,
        settings.adapters_folder,
        settings.data_dir / "metadata" / FILE_NAME,
        secret,
        BaseFolder(settings.adapter_base) if settings.adapter_base else None,
    )


@dataclass(frozen=True, slots=True)
class RunningAdapters:
    """The adapters of a server.

    Attributes:
        registry: All of them.
        desk: Which of them the next call may have.
        server: The language server that loads them.
    """

    registry: AdapterRegistry
    desk: AdapterDesk
    server: LoraClient
    settings: Settings

    def driver(
        self, guard: DeployGuard, live: Callable[[], Collection[str]], metrics: Metrics
    ) -> RolloutDriver:
        """Return what drives the roll-outs.

        Args:
            guard: The deploy guard of the calls.
            live: The adapters of the calls under way.
            metrics: Told what happens.
        """
        settings = self.settings
        metrics.rollout.know_steps(what.value for what in What)
        return RolloutDriver(
            self.registry,
            guard,
            self.desk,
            self.server,
            self._probe,
            live=live,
            options=RolloutOptions(
                most_loaded=settings.adapter_max_loaded,
                every_s=settings.adapter_every_s,
                served_root=settings.adapter_served_dir,
            ),
            observer=metrics.rollout,
        )

    async def _probe(self, served: str) -> str:
        """Return what is wrong with an adapter's first answer; empty when it is sound."""
        settings = self.settings
        # Its name as the model's: so that no server can answer by its base model instead.
        generator = OpenAiGenerator(
            settings.adapter_url,
            model=served,
            api_key=settings.adapter_api_key,
            first_token_s=max(settings.llm_first_token_s, 10.0),
        )
        try:
            async with aclosing(generator.stream(SMOKE_TEST)) as pieces:
                answer = "".join([piece async for piece in pieces])
        except EngineError as error:
            if error.code == "llm_empty":
                return "Its first answer was empty."
            raise
        finally:
            await generator.close()
        return "" if words(answer) else "Its first answer had no word in it."


def open_adapters(
    settings: Settings, db: Database, secret: bytes, stack: AsyncExitStack
) -> RunningAdapters | None:
    """Return the adapters of a server; None where no server loads any.

    Raises:
        ConfigError: A server is set, and nobody said which base it serves.
    """
    if not settings.adapter_url:
        return None
    if settings.adapter_base is None:
        raise ConfigError(
            "TOM_ADAPTER_URL is set without TOM_ADAPTER_BASE.",
            hint="Name the folder of the base model that the server serves: adapters for another"
            " one are refused.",
        )
    registry = open_registry(settings, db, secret)
    server = LoraClient(settings.adapter_url, api_key=settings.adapter_api_key)
    stack.push_async_callback(server.close)
    registry.publish()
    return RunningAdapters(
        registry, AdapterDesk(registry, settings.adapter_control_share), server, settings
    )
