"""An adapter that has learned from rated turns: what it is worth, and how it comes and goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from apps.core.policy import PolicySlots
from apps.knowledge.retriever import Retriever
from apps.llm import openai
from apps.llm.gateway.gateway import Gateway
from apps.llm.lora import LoraClient
from apps.llm.prompt import Prompt
from apps.rl.adapters.hashing import base_model_hash
from tests.calls import CallerHungUp, CallerText, ScriptedDoor, hold_call
from tests.vllm.adapters import Trained, loss_on
from tests.vllm.conftest import TinyModel
from tests.vllm.prompts import answer, becomes, gateway_to
from tests.vllm.serving import MODEL, Vllm
from tests.vllm.turns import LONG, WARM, Turns, ask

CALLERS = (
    "what do i need to register a new car",
    "how do i register a trailer",
    "how do i cancel my insurance",
    "what documents do i bring to the inspection",
)


@pytest.fixture(autouse=True)
def _greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the likeliest token: the same question has the same answer."""
    monkeypatch.setattr(openai, "TEMPERATURE", 0.0)


async def spoken(gateway: Gateway, question: str, slots: PolicySlots) -> list[str]:
    """Hold a typed call of one question; returns the sentences that its caller was told."""
    door = ScriptedDoor(
        ("listening", CallerText(question)), ("listening", CallerHungUp()), audio=False
    )
    outcome = await hold_call(door, slots=slots, generator=gateway)
    assert outcome.reason == "caller_hung_up"
    return door.said("assistant")


async def four_calls(gateway: Gateway) -> list[list[str]]:
    """Hold four calls at once."""
    return await asyncio.gather(*(spoken(gateway, question, LONG) for question in CALLERS))


async def test_200_rated_turns_lower_the_loss_on_turns_that_nobody_has_seen(
    trained: Trained,
    tiny: TinyModel,
    turns: Turns,
    python: Path,
    figures: dict[str, str],
    tmp_path: Path,
) -> None:
    assert len(turns.rated) == 200
    seen = {e.completion for e in (*turns.rated, *turns.pretraining)}
    assert not seen & {e.completion for e in turns.held_out}
    assert trained.fall >= 0.05
    assert trained.adapter.base_model_hash == base_model_hash(tiny.folder)
    plain = [
        await loss_on(python, tiny.folder, turns.held_out_plain, tmp_path / "plain.jsonl", adapter)
        for adapter in (None, trained.folder)
    ]
    figures["loss on such turns in the manner that the base had learned"] = (
        f"{plain[0]:.3f} with the base, {plain[1]:.3f} with the adapter"
    )


async def test_an_adapter_is_loaded_while_four_calls_speak_and_no_word_is_lost(
    vllm: Vllm, lora: LoraClient, trained: Trained, name: str, figures: dict[str, str]
) -> None:
    async with gateway_to(vllm) as gateway:
        undisturbed = await four_calls(gateway)
        assert all(len(" ".join(said).split()) > 20 for said in undisturbed)
        made = vllm.metric("vllm:generation_tokens_total")
        loop = asyncio.get_running_loop()
        with vllm.slowed():
            calls = asyncio.create_task(four_calls(gateway))
            await becomes(lambda: vllm.metric("vllm:num_requests_running") == 4, 20.0)
            await becomes(lambda: vllm.metric("vllm:generation_tokens_total") > made + 4, 20.0)
            began_s = loop.time()
            await lora.load(name, trained.folder)
            figures["load while four calls speak, the engine at a fifth of its speed"] = (
                f"{(loop.time() - began_s) * 1000:.0f} ms"
            )
            assert vllm.metric("vllm:num_requests_running") == 4, "the calls were over too early"
        assert await calls == undisturbed
        # The same calls with the adapter there, and without it again.
        assert await four_calls(gateway) == undisturbed
        await lora.unload(name)
        assert await four_calls(gateway) == undisturbed


async def test_the_trained_adapter_speaks_in_the_manner_that_was_rated_well(
    vllm: Vllm, lora: LoraClient, trained: Trained, name: str, retriever: Retriever
) -> None:
    await lora.load(name, trained.folder)
    prompt = await ask(retriever, "how do i register a motorcycle", WARM)
    async with gateway_to(vllm) as gateway:
        base, adapted = [await answer(gateway, prompt, adapter=n) for n in ("", name)]
    assert base.text != adapted.text
    assert "Does that help you?" in adapted.text
    assert "Does that help you?" not in base.text


async def test_an_adapter_that_is_unloaded_keeps_the_answers_that_it_has_begun(
    vllm: Vllm, lora: LoraClient, trained: Trained, name: str, retriever: Retriever
) -> None:
    await lora.load(name, trained.folder)
    prompt: Prompt = await ask(retriever, CALLERS[0], replace(WARM, length=LONG.length))
    async with gateway_to(vllm) as gateway:
        whole = await answer(gateway, prompt, adapter=name)
        with vllm.slowed():
            under_way = asyncio.create_task(answer(gateway, prompt, adapter=name))
            await becomes(lambda: vllm.metric("vllm:num_requests_running") == 1, 20.0)
            while name not in await lora.running():
                assert not under_way.done()
            await lora.unload(name)
            assert not under_way.done()
        assert (await under_way).text == whole.text
        assert await lora.served() == set()
        # New calls speak by the base again, and what they miss is counted.
        (used,) = (await answer(gateway, prompt, adapter=name)).used
    assert (used.model, used.adapter_missing) == (MODEL, True)
    # It can come back under its name: these are the same weights.
    await lora.load(name, trained.folder)
    async with gateway_to(vllm) as gateway:
        assert (await answer(gateway, prompt, adapter=name)).text == whole.text
