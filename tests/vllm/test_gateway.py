"""The gateway before vLLM: which adapter answers, what is counted, and who answers instead."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.core.errors import EngineError
from apps.knowledge.retriever import Retriever
from apps.llm import openai
from apps.llm.answer import plan_answer
from apps.llm.lora import LoraClient
from apps.llm.prompt import Prompt
from apps.llm.usage import Outcome
from tests.vllm.conftest import HERE, TinyModel
from tests.vllm.prompts import answer, becomes, gateway_to
from tests.vllm.serving import ENVIRONMENT, MODEL, Vllm
from tests.vllm.turns import LONG, ask

NAME = "kfz-lora-r8-v1-0123456789ab"
OTHER = "kfz-lora-r8-v2-ba9876543210"
MakeAdapter = Callable[..., Path]


@pytest.fixture
async def prompt(retriever: Retriever) -> Prompt:
    return await ask(retriever, "what do i need to register a new car", LONG)


@pytest.fixture
def _greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the likeliest token: the same question has the same answer."""
    monkeypatch.setattr(openai, "TEMPERATURE", 0.0)


@pytest.fixture(scope="session")
def noise(python: Path, tiny: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> MakeAdapter:
    """Make an adapter that has learned nothing."""

    def make(seed: int, *, rank: int = 8) -> Path:
        folder = tmp_path_factory.mktemp("noise")
        program = [python, HERE / "noise_adapter.py", tiny.folder, folder]
        subprocess.run(
            [*program, "--rank", str(rank), "--seed", str(seed), "--strength", "0.3"],
            check=True,
            capture_output=True,
            env={**os.environ, **ENVIRONMENT},
        )
        return folder

    return make


@pytest.mark.usefixtures("_greedy")
async def test_a_prompts_adapter_answers_and_no_other_call_hears_it(
    vllm: Vllm, lora: LoraClient, prompt: Prompt, noise: MakeAdapter
) -> None:
    await lora.load(NAME, noise(1))
    await lora.load(OTHER, noise(2))
    assert {(a.name, a.parent) for a in await lora.adapters()} == {(NAME, MODEL), (OTHER, MODEL)}
    async with gateway_to(vllm) as gateway:
        alone = [await answer(gateway, prompt, adapter=name) for name in ("", NAME, OTHER)]
        assert len({found.text for found in alone}) == 3
        # The three share the machine's batches, and nothing else.
        together = await asyncio.gather(
            *(answer(gateway, prompt, adapter=name) for name in ("", NAME, OTHER))
        )
    assert [found.text for found in together] == [found.text for found in alone]
    for name, found in zip(("", NAME, OTHER), together, strict=True):
        (used,) = found.used
        assert (used.model, used.adapter) == (name or MODEL, name)
        assert (used.outcome, used.adapter_missing) == (Outcome.ANSWERED, False)
        assert (used.prompt_tokens > 100, used.completion_tokens > 0) == (True, True)
        assert not used.estimated


async def test_an_adapter_that_is_not_loaded_falls_back_to_the_base_and_is_counted(
    vllm: Vllm, prompt: Prompt
) -> None:
    async with gateway_to(vllm) as gateway:
        found = await answer(gateway, prompt, adapter=NAME)
    (used,) = found.used
    assert (used.model, used.adapter, used.adapter_missing) == (MODEL, NAME, True)
    assert found.text


async def test_an_adapter_that_the_server_cannot_hold_is_refused_with_its_reason(
    vllm: Vllm, lora: LoraClient, noise: MakeAdapter, tmp_path: Path
) -> None:
    for folder in (noise(1, rank=32), tmp_path / "nowhere", tmp_path):
        with pytest.raises(EngineError) as caught:
            await lora.load(NAME, folder)
        assert caught.value.code == "lora_refused", caught.value.message
        assert await lora.served() == set()
    assert vllm.alive


async def test_the_metrics_say_which_adapters_are_in_use(
    vllm: Vllm, lora: LoraClient, prompt: Prompt, noise: MakeAdapter
) -> None:
    await lora.load(NAME, noise(1))
    assert await lora.running() == set()
    async with gateway_to(vllm) as gateway:
        with vllm.slowed():
            asked = asyncio.create_task(answer(gateway, prompt, adapter=NAME))
            await becomes(lambda: vllm.busy > 0)
            while await lora.running() != {NAME}:
                assert not asked.done()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        freed_s = await becomes(lambda: vllm.busy == 0)
    assert freed_s < 3.0
    assert await lora.running() == set()


async def test_a_first_sentence_that_is_late_is_said_by_the_embedded_answerer(
    vllm: Vllm, prompt: Prompt
) -> None:
    async with gateway_to(vllm, first_token_s=0.5) as gateway:
        vllm.pause()
        try:
            found = await answer(gateway, prompt)
        finally:
            vllm.go_on()
    assert found.text == " ".join(plan_answer(prompt).sentences)
    assert [used.outcome for used in found.used] == [Outcome.LATE, Outcome.ANSWERED]
    assert found.whole_s < 2.0
    await becomes(lambda: vllm.busy == 0)
