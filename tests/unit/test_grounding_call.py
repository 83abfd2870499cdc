"""A generator that invents figures: none of them is ever spoken, and the call goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from apps.llm.base import Generator
from apps.llm.prompt import Prompt
from tests.calls import CallerHungUp, CallerText, Outcome, ScriptedDoor
from tests.unit.test_live_call import LISTEN, hold

FEE = "how much does it cost to register a new car"
THERE = "A new car costs thirty euros sixty. "
INVENTED = ("It costs 45 euros. ", "Call 0999 123456. ", "See section 17. ", "Come at 9 p.m. ")


class Inventor:
    """Says what it was told to, in small pieces, and what rests on it behind that."""

    name = "inventor"

    def __init__(self, *sentences: str) -> None:
        self.sentences, self.open, self.made = sentences, 0, ""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        self.open, self.made = self.open + 1, ""
        try:
            for sentence in (*self.sentences, "So bring that money along. ", "Is that all?"):
                for word in sentence.split(" "):
                    self.made += f"{word} "
                    yield f"{word} "
        finally:
            self.open -= 1

    async def close(self) -> None:
        """Nothing to free."""


def asked(generator: Generator, *then: str) -> Outcome:
    script: list[tuple[str, Any]] = [(LISTEN, 1500), *((LISTEN, 800) for _ in then)]
    door = ScriptedDoor(*script, (LISTEN, CallerHungUp()))
    call: Outcome = hold(door, FEE, *then, generator=generator)
    return call


def counted(call: Outcome) -> float:
    text = call.services.metrics.exposition()[0].decode()
    rows = [line for line in text.splitlines() if line.startswith("tom_grounding_violations_tot")]
    return sum(float(row.split()[-1]) for row in rows)


@pytest.mark.parametrize("invented", INVENTED)
def test_an_invented_figure_is_neither_spoken_nor_shown(invented: str) -> None:
    generator = Inventor(THERE, invented)
    call = asked(generator)
    said = " ".join(call.door.said("assistant"))
    voiced = " ".join(call.tts.said) if hasattr(call.tts, "said") else said
    assert "thirty euros sixty" in said
    assert "exact detail I don't have" in said
    for text in (said, voiced):
        assert invented.strip() not in text
        assert "bring that money" not in text
    assert said.rstrip().endswith("?")
    assert counted(call) == 1
    assert generator.open == 0


def test_the_generator_is_stopped_where_it_invents() -> None:
    generator = Inventor(INVENTED[0])
    asked(generator)
    assert "Is that all" not in generator.made


def test_the_log_keeps_what_was_not_said() -> None:
    call = asked(Inventor(INVENTED[0]))
    (record,) = [r for r in call.sink.records if r.kind == "answer.blocked"]
    assert record.data["text"] == "It costs 45 euros."
    assert record.data["violations"] == [{"kind": "money", "text": "45 euros"}]


def test_a_call_in_which_nothing_wrong_was_said_is_not_flagged() -> None:
    assert asked(Inventor(INVENTED[0])).facts.flags == ()


def test_it_counts_as_an_answer_that_is_not_grounded_and_yes_asks_for_the_person() -> None:
    call = asked(Inventor(INVENTED[0]), "yes please")
    assert [turn.grounded for turn in call.facts.turns if turn.question] == [False]
    assert call.reason == "handover"


def test_every_answer_is_checked_and_the_call_goes_on() -> None:
    generator = Inventor(INVENTED[0])
    door = ScriptedDoor(
        (LISTEN, CallerText(FEE)), (LISTEN, CallerText(FEE)), (LISTEN, CallerHungUp()), audio=False
    )
    call = hold(door, generator=generator)
    blocked = [r for r in call.sink.records if r.kind == "answer.blocked"]
    assert len(blocked) == 2
    assert call.reason == "caller_hung_up"


def test_an_honest_answer_is_said_whole() -> None:
    call = asked(Inventor(THERE))
    said = " ".join(call.door.said("assistant"))
    assert "So bring that money along." in said
    assert counted(call) == 0
