"""Typed calls to TOM with vLLM behind it, and vLLM killed under them.

Each kill costs a start of vLLM, so these tests come last among those that share a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.core.sentences import split_sentences
from apps.knowledge.entries import load_entries
from apps.llm.style import Line, wording
from tests.e2e.phone import Phone, dial
from tests.e2e.servers import Running, running, wait_until
from tests.vllm.serving import MODEL, Vllm
from tests.vllm.turns import pretrained_questions

TYPED = {"mode": "text", "language": "en"}
# The base model has learned these entries, and answers them in whole sentences.
QUESTIONS = (
    "how do i register a trailer",
    "what do i need to register a new car",
    "can i bring my dog or is there a wheelchair ramp",
)
AFTERWARDS = ("how do i cancel my appointment", "#appt-cancel")
PATIENCE_S = "60"
APOLOGY = split_sentences(wording("en").line(Line("apology"), PolicySlots()))


@pytest.fixture
def tom(vllm: Vllm, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Running]:
    """TOM before vLLM, with deadlines that a busy machine keeps."""
    assert pytestconfig.cache is not None
    with running(
        tmp_path,
        pytestconfig.cache.mkdir("tom-models"),
        TOM_STT_ENGINE="fake",
        TOM_TTS_ENGINE="fake",
        TOM_LLM_URL=vllm.url,
        TOM_LLM_MODEL=MODEL,
        TOM_LLM_FIRST_TOKEN_S=PATIENCE_S,
        TOM_LLM_PATIENCE_S=PATIENCE_S,
        RL_SEED="7",
    ) as server:
        yield server


@asynccontextmanager
async def call(tom: Running) -> AsyncIterator[Phone]:
    """A typed call up to the greeting's end, and its hanging up."""
    async with dial(tom.calls, **TYPED) as phone:
        await phone.until(lambda p: p.state == "listening")
        yield phone
        await phone.send(type="hangup")
        await phone.ends()
    wait_until(lambda: tom.ready()["live_calls"] == 0)


REPLACED = wording("en").line(Line("no_detail_alone"), PolicySlots())


async def answered_at_length(tom: Running) -> str:
    """Return a question that the tiny model answers in sentences of its own.

    What it answers depends on the passages that it is given, and what stands in none of them is
    replaced, which ends the answer.
    """
    async with call(tom) as phone:
        for question in pretrained_questions():
            said = await phone.ask(question)
            if len(said) > 1 and REPLACED not in said:
                return question
    pytest.fail("the tiny model answers none of the questions at length")


def fell_back(tom: Running) -> int:
    """How often another provider answered than the first."""
    return sum(line["event"] == "generator falls back" for line in tom.log())


async def test_a_caller_hears_what_vllm_generates(tom: Running, vllm: Vllm) -> None:
    before = vllm.metric("vllm:generation_tokens_total")
    async with call(tom) as phone:
        for question in QUESTIONS:
            assert await phone.ask(question)
    assert vllm.metric("vllm:generation_tokens_total") > before
    assert fell_back(tom) == 0
    assert tom.complaints() == []


async def test_a_caller_who_hangs_up_frees_the_slot(tom: Running, vllm: Vllm) -> None:
    async with dial(tom.calls, **TYPED) as phone:
        await phone.until(lambda p: p.state == "listening")
        with vllm.slowed():
            await phone.send(type="text", text=QUESTIONS[0])
            await asyncio.to_thread(wait_until, lambda: vllm.busy > 0)
            await phone.send(type="hangup")
            await phone.ends()
        await asyncio.to_thread(wait_until, lambda: vllm.busy == 0, 3.0)


async def test_vllm_killed_before_the_first_word_leaves_the_answer_to_the_embedded_answerer(
    tom: Running, vllm: Vllm
) -> None:
    async with call(tom) as phone:
        vllm.pause()  # it has the question, and can make no token of it
        before = len(phone.said("assistant"))
        asked = asyncio.create_task(phone.ask(QUESTIONS[0]))
        await asyncio.sleep(2.0)
        assert not asked.done()
        vllm.kill()
        said = await asked
        assert phone.said("assistant")[before:] == said
    (entry,) = [
        e
        for e in load_entries(resource("knowledge"))
        if (e.language, e.id) == ("en", "reg-trailer")
    ]
    spoken = " ".join(said)
    assert sum(sentence in spoken for sentence in entry.sentences) >= 1
    assert len(set(said)) == len(said)
    assert not set(APOLOGY) & set(said)
    assert fell_back(tom) == 1


async def test_vllm_killed_after_the_first_word_ends_in_an_apology_and_no_word_is_said_twice(
    tom: Running, vllm: Vllm
) -> None:
    at_length = await answered_at_length(tom)
    async with call(tom) as phone:
        before, made = len(phone.said("assistant")), vllm.metric("vllm:generation_tokens_total")
        with vllm.slowed():
            asked = asyncio.create_task(phone.ask(at_length))
            await phone.until(lambda p: len(p.said("assistant")) > before)
            begun = phone.said("assistant")[before:]
            assert vllm.metric("vllm:generation_tokens_total") > made
            assert not asked.done()
            vllm.kill()
        said = await asked
        assert said[: len(begun)] == begun
        assert len(set(said)) == len(said)
        assert said[-len(APOLOGY) :] == APOLOGY
        # The call goes on, and the embedded answerer speaks.
        question, source = AFTERWARDS
        assert await phone.ask(question)
        assert phone.sources[-1].endswith(source)
    assert fell_back(tom) >= 1
