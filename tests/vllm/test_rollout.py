"""An adapter's way to callers and back, on the real server: nobody but the guard decides on it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from apps.llm import openai
from apps.llm.gateway.gateway import Gateway
from apps.llm.lora import LoraClient
from apps.llm.prompt import Prompt
from apps.monitor.metrics import Metrics
from apps.rl.adapters.gate import BaseFolder
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.adapters.rollout.machine import Happening, What
from apps.rl.deploy_guard import DeployGuard
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import PolicySelector
from apps.rl.settle import CallFeedback
from apps.rl.signals import CallFacts, TurnFacts
from apps.rl.variants import load_catalog
from apps.running_adapters import RunningAdapters
from apps.settings import Settings
from apps.store.database import Database, open_database
from apps.store.shadow import ShadowRow, append_shadow
from tests.vllm.adapters import RANK, Trained
from tests.vllm.conftest import TinyModel
from tests.vllm.prompts import answer, becomes, gateway_to
from tests.vllm.serving import Vllm
from tests.vllm.turns import LONG, ask

QUESTIONS = ("how do i register a trailer", "what do i need to register a new car")
MOST_CALLS = 1500
ANSWERED = TurnFacts(answered=True, grounded=True)
UNHAPPY = (
    replace(ANSWERED, confirmed=False),
    replace(ANSWERED, is_repeat=True, confirmed=False),
    replace(ANSWERED, asked_for_person=True),
)
"""Whoever did not get what they asked for asks again, and then for a person."""


class Office:
    """One installation before the real server: registry, guard, roll-out, and callers who rate."""

    def __init__(
        self,
        db: Database,
        folder: Path,
        base: BaseFolder,
        lora: LoraClient,
        gateway: Gateway,
        retriever: Retriever,
        url: str,
    ) -> None:
        self.registry = AdapterRegistry(
            db, folder / "adapters", folder / "metadata" / "adapter_registry.json", b"key", base
        )
        catalog = load_catalog(resource("policies", "prompt_variants.yaml"))
        only = {name: v for name, v in catalog.variants.items() if name == "v1a"}
        bandit = PolicyBandit(
            db,
            catalog=replace(catalog, variants=only),
            state_path=folder / "bandit.json",
            rng=np.random.default_rng(1),
        )
        self.guard = DeployGuard(bandit, rng=np.random.default_rng(1))
        desk = AdapterDesk(self.registry, 0.2)
        self.selector = PolicySelector(self.guard, adapters=desk)
        self.live: set[str] = set()
        settings = Settings(_env_file=None, adapter_url=url)
        running = RunningAdapters(self.registry, desk, lora, settings)
        self.driver = running.driver(self.guard, lambda: self.live, Metrics())
        self.db, self.gateway, self.retriever = db, gateway, retriever
        self.dice = random.Random(3)
        self.heard: dict[tuple[str, str], str] = {}
        self.calls = self.with_adapter = 0

    async def prompt(self, question: str, slots: PolicySlots | None = None) -> Prompt:
        return await ask(self.retriever, question, slots or PolicySlots())

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.driver.round()

    def state(self, adapter: AdapterRecord) -> AdapterState:
        return self.registry.record(adapter.id).state

    async def said(self, question: str, slots: PolicySlots, adapter: str) -> str:
        """What vLLM answers; the same question has the same answer."""
        if (adapter, question) not in self.heard:
            prompt = await self.prompt(question, slots)
            found = await answer(self.gateway, prompt, adapter=adapter)
            assert not any(used.adapter_missing for used in found.used)
            self.heard[adapter, question] = found.text
        return self.heard[adapter, question]

    async def call(self) -> None:
        """Hold a call of one question; its caller wants what the base says."""
        ref, question = f"call-{self.calls}", self.dice.choice(QUESTIONS)
        self.calls += 1
        decision = await self.selector.choose(ref, {"profile": "kfz"})
        adapter = decision.adapter or ""
        self.with_adapter += bool(adapter)
        said = await self.said(question, decision.slots, adapter)
        liked = said == await self.said(question, decision.slots, "")
        stars = self.dice.choice((4, 5, 5) if liked else (1, 1, 2))
        facts = CallFacts(
            turns=(ANSWERED,) if liked else UNHAPPY,
            ended_by_caller=liked,
            handed_over=not liked,
            # No two callers are alike; what is, counts as copied.
            duration_s=self.dice.uniform(30.0, 120.0),
        )
        await self.selector.learn(
            ref,
            CallFeedback(facts, "kfz", rating=stars, rating_offered=True, rating_answered=True),
        )


@pytest.fixture
async def office(
    vllm: Vllm,
    lora: LoraClient,
    tiny: TinyModel,
    retriever: Retriever,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Office]:
    """An installation whose base model is the one that vLLM serves."""
    monkeypatch.setattr(openai, "TEMPERATURE", 0.0)
    db = open_database(tmp_path / "tom.db")
    base = BaseFolder(tiny.folder)
    async with gateway_to(vllm) as gateway:
        yield Office(db, tmp_path, base, lora, gateway, retriever, vllm.url)
    await db.aclose()


def registered(registry: AdapterRegistry, trained: Trained) -> AdapterRecord:
    """Register what was trained."""
    name, folder = registry.reserve("kfz", "lora", RANK)
    shutil.copytree(trained.folder, folder, dirs_exist_ok=True)
    return registry.register(name, trained.adapter)


async def test_an_adapter_that_callers_like_less_is_taken_back_by_itself_and_unloaded(
    office: Office, vllm: Vllm, lora: LoraClient, trained: Trained, figures: dict[str, str]
) -> None:
    adapter = registered(office.registry, trained)
    # Held-out loss and golden prompts are the business of `tom adapters eval`.
    office.registry.happened(adapter.id, Happening(What.PASSED, "its held-out loss fell"))
    office.registry.happened(adapter.id, Happening(What.PROMOTED, "a try", "operator"))
    await office.rounds(4)
    assert office.state(adapter) is AdapterState.SHADOW
    assert await lora.served() == {adapter.served}
    with office.db.transaction() as conn:  # what nobody heard of it was sound
        for turn in range(60):
            append_shadow(conn, ShadowRow(adapter.served, "shadow", turn, 0.9, True, {}))
    await office.rounds(3)
    assert office.state(adapter) is AdapterState.CANARY

    while office.state(adapter) is AdapterState.CANARY and office.calls < MOST_CALLS:
        for _ in range(10):
            await office.call()
        if office.with_adapter and not office.live:
            # One of its calls is still speaking when it is taken back.
            office.live.add(adapter.served)
        await office.rounds(1)
    figures["worse canary taken back"] = (
        f"after {office.calls} calls, {office.with_adapter} of them by the adapter"
    )
    assert office.with_adapter < 0.25 * office.calls
    assert office.state(adapter) is AdapterState.DRAINING, office.registry.record(adapter.id).why

    prompt = await office.prompt(QUESTIONS[0], LONG)
    whole = await answer(office.gateway, prompt, adapter=adapter.served)
    with vllm.slowed():
        speaking = asyncio.create_task(answer(office.gateway, prompt, adapter=adapter.served))
        await becomes(lambda: vllm.busy == 1, 20.0)
        office.live.clear()  # only the server's own metrics tell that it is in use
        await office.rounds(2)
        assert not speaking.done()
        assert office.state(adapter) is AdapterState.DRAINING
        assert await lora.served() == {adapter.served}
    assert (await speaking).text == whole.text
    await becomes(lambda: vllm.busy == 0)
    await office.rounds(3)
    assert office.state(adapter) is AdapterState.ROLLED_BACK
    assert await lora.served() == set()
    for n in range(50):
        later = await office.selector.choose(f"later-{n}", {"profile": "kfz"})
        assert later.adapter is None
    assert office.registry.verify() == []
