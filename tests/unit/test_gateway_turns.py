"""What answers cost is put down to the turn that they were for, guesses and interruptions too."""

import asyncio

import pytest

from apps.core.policy import PolicySlots
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.metering import Meter
from apps.dispatcher.speculation import Speculator, Waste
from apps.dispatcher.turn import Answers
from apps.llm.answer import GroundedAnswerer
from apps.llm.chat_stream import Chunk
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import EMBEDDED_PROVIDER, Kind, Provider
from apps.llm.openai import OpenAiGenerator
from apps.monitor.metrics import Metrics
from tests.calls import knowledge
from tests.virtual_time import run_virtual

QUESTION = "What do I need to register a new car?"


class Slow(OpenAiGenerator):
    """Says a sentence after 100 ms, and another one each 100 ms after that."""

    def __init__(self):
        super().__init__("http://127.0.0.1:9", model="base")

    async def _chunks(self, prompt, tally):
        tally.model = "base"
        for count in range(1, 4):
            await asyncio.sleep(0.1)
            yield Chunk("You need papers. ", 40, count * 5)


class Sink:
    def __init__(self):
        self.records = []

    def put(self, call_ref, record):
        self.records.append(record)
        return True


def rows_after(work):
    """Run some work with a speculator whose answers come from a gateway; return its rows."""
    rows, sink = [], Sink()

    async def main():
        server = Provider("gpu", Kind.VLLM, "http://127.0.0.1:9", "base")
        gateway = Gateway([server, EMBEDDED_PROVIDER], GroundedAnswerer(), {"gpu": Slow()})
        log = CallLog("call_1", sink)
        talk = Conversation("en", PolicySlots())
        speculator = Speculator(
            Answers(talk, knowledge(), gateway, "kfz", "the office"),
            None,
            log,
            Metrics(),
            new_account=Meter(log, rows.append).account,
        )
        async with asyncio.TaskGroup() as tasks:
            speculator.start(tasks)
            await work(speculator)
            speculator.stop()
        await gateway.close()

    run_virtual(main())
    noted = [record for record in sink.records if record.kind == "answer.provider"]
    assert [record.turn_id for record in noted] == [row.turn_id for row in rows]
    return [(row.turn_id, row.outcome, row.completion_tokens) for row in rows]


async def listened(draft, sentences=None):
    heard = 0
    async for _ in draft.sentences():
        heard += 1
        if heard == sentences:
            return


def test_an_answer_belongs_to_the_turn_that_asked_for_it():
    async def work(speculator):
        async with speculator.answering(QUESTION, 4) as draft:
            await draft.ready()
            await listened(draft)

    assert rows_after(work) == [(4, "answered", 15)]


def test_a_guess_that_is_used_belongs_to_the_turn_that_uses_it():
    async def work(speculator):
        speculator.begin(QUESTION, 1)
        await asyncio.sleep(0.15)
        async with speculator.answering(QUESTION, 4) as draft:
            await draft.ready()
            await listened(draft)

    assert rows_after(work) == [(4, "answered", 15)]


@pytest.mark.parametrize(("after_s", "tokens"), [(0.05, 0), (0.25, 10)])
def test_a_guess_that_is_thrown_away_cost_something_and_belongs_to_no_turn(after_s, tokens):
    async def work(speculator):
        speculator.begin(QUESTION, 1)
        await asyncio.sleep(after_s)
        speculator.drop(Waste.WENT_ON)

    ((turn_id, outcome, written),) = rows_after(work)
    assert (turn_id, outcome) == (None, "stopped")
    assert written == tokens


def test_an_answer_that_the_caller_interrupts_belongs_to_its_turn():
    async def work(speculator):
        async with speculator.answering(QUESTION, 4) as draft:
            await draft.ready()
            await listened(draft, sentences=1)

    ((turn_id, outcome, _),) = rows_after(work)
    assert (turn_id, outcome) == (4, "stopped")


def test_a_turn_that_is_cancelled_before_its_first_sentence_is_put_down_to_it():
    async def work(speculator):
        async def turn():
            async with speculator.answering(QUESTION, 4) as draft:
                await draft.ready()

        task = asyncio.create_task(turn())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    assert rows_after(work) == [(4, "stopped", 0)]
