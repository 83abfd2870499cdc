"""Variants in the shadow answer real turns; nobody hears them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from structlog.testing import capture_logs

from apps.core.errors import EngineUnavailable
from apps.core.policy import Length, PolicySlots, Treatment
from apps.dispatcher.shadow import MAX_WAITING, Shadow
from apps.llm.answer import GroundedAnswerer
from apps.llm.base import Generator
from apps.llm.prompt import Prompt
from apps.store.database import Database, open_database
from apps.store.shadow import ShadowRow, shadow_of
from tests.unit.test_llm_scoring import PROMPT

C1 = {"c1": Treatment(PolicySlots(length=Length.SHORT))}
C2 = {"c2": Treatment(PolicySlots(length=Length.LONG))}


class Broken(GroundedAnswerer):
    """Begins to answer, and breaks."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        yield "The registration "
        raise EngineUnavailable("gone")


@asynccontextmanager
async def shadow(
    folder: Path,
    variants: dict[str, Treatment],
    *,
    generator: Generator | None = None,
    share: float = 1.0,
) -> AsyncIterator[tuple[Shadow, Database, list[bool]]]:
    db, told = open_database(folder / "tom.db"), list[bool]()
    made = Shadow(
        generator or GroundedAnswerer(),
        lambda _profile: variants,
        db,
        share=share,
        rng=np.random.default_rng(1),
        observer=told.append,
    )
    task = asyncio.create_task(made.run())
    try:
        yield made, db, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await db.aclose()


async def results(db: Database, variant: str) -> list[ShadowRow]:
    return await db.query(shadow_of, variant)


async def test_a_turn_is_answered_scored_and_stored_without_a_word(tmp_path: Path) -> None:
    async with shadow(tmp_path, C1) as (made, db, told):
        assert made.offer("call", 1, PROMPT)
        await made.settled()
        (row,) = await results(db, "c1")
        assert (row.call_ref, row.turn_id, row.passed) == ("call", 1, True)
        assert row.score > 0.8
        assert told == [True]
        assert not any(isinstance(value, str) for value in row.checks.values())


async def test_it_answers_by_its_own_slots(tmp_path: Path) -> None:
    seen = []

    class Watched(GroundedAnswerer):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
            seen.append(prompt)
            yield "Yes."

    async with shadow(tmp_path, C1, generator=Watched()) as (made, _, _):
        made.offer("call", 1, PROMPT)
        await made.settled()
    assert seen == [replace(PROMPT, slots=C1["c1"].slots)]


async def test_a_turn_counts_once_for_a_variant(tmp_path: Path) -> None:
    async with shadow(tmp_path, C1) as (made, db, told):
        made.offer("call", 1, PROMPT)
        made.offer("call", 1, PROMPT)
        await made.settled()
        assert len(await results(db, "c1")) == len(told) == 1


async def test_an_answer_that_breaks_off_has_failed(tmp_path: Path) -> None:
    async with shadow(tmp_path, C1, generator=Broken()) as (made, db, told):
        made.offer("call", 1, PROMPT)
        await made.settled()
        (row,) = await results(db, "c1")
        assert not row.passed
        assert row.score == 0.0
        assert told == [False]


async def test_a_defect_costs_one_answer_and_tells_nobodys_words(tmp_path: Path) -> None:
    class Defective(GroundedAnswerer):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
            if not crashed:
                crashed.append(True)
                raise KeyError(prompt.question)
            yield "Yes."

    crashed: list[bool] = []
    async with shadow(tmp_path, C1, generator=Defective()) as (made, db, _):
        with capture_logs() as logs:
            for turn in range(2):
                made.offer("call", turn, PROMPT)
                await made.settled()
        assert [row.turn_id for row in await results(db, "c1")] == [1]
        assert logs[0] == {
            "event": "shadow_crashed",
            "log_level": "error",
            "variant": "c1",
            "error": "KeyError",
        }


async def test_all_variants_get_their_turns_and_only_a_share_of_the_turns(tmp_path: Path) -> None:
    async with shadow(tmp_path, C1 | C2, share=0.5) as (made, db, _):
        taken = 0
        for turn in range(200):
            taken += made.offer("call", turn, PROMPT)
            await made.settled()
        assert 70 < taken < 130
        per = [len(await results(db, name)) for name in ("c1", "c2")]
        assert sum(per) == taken
        assert min(per) > 25


async def test_what_finds_no_room_is_let_go_of(tmp_path: Path) -> None:
    async with shadow(tmp_path, C1) as (made, _, _):
        assert [made.offer("call", i, PROMPT) for i in range(MAX_WAITING + 3)].count(False) == 3
        await made.settled()


async def test_without_a_variant_in_the_shadow_nothing_is_done(tmp_path: Path) -> None:
    variants = dict(C1)
    async with shadow(tmp_path, variants) as (made, db, _):
        assert made.offer("call", 1, PROMPT)
        variants.clear()  # it has left the shadow before its turn came
        assert not made.offer("call", 2, PROMPT)
        await made.settled()
        assert await results(db, "c1") == []
