"""Chats of the sample knowledge base, in three parts of which none holds an entry of another.

The base model is pretrained on half of the entries. The other half gives the rated turns that an
adapter learns from, and the turns that neither has seen. What each part's prompts quote is found in
that part alone, so that no held-out sentence is read in passing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from apps.core.policy import InquiryMode, Length, PolicySlots, Tone
from apps.core.resources import resource
from apps.knowledge.entries import Entry, load_entries
from apps.knowledge.retriever import Retriever
from apps.llm.answer import plan_answer
from apps.llm.prompt import Prompt, assemble
from apps.rl.adapters.examples import Message, TrainingExample

OFFICE = "the vehicle office of Sonnenfurt"
PLAIN = PolicySlots()
WARM = PolicySlots(tone=Tone.WARM, inquiry_mode=InquiryMode.CONFIRM)
LONG = PolicySlots(length=Length.LONG)
RATED_TURNS = 200
HELD_OUT_TURNS = 60
_PASSAGES = 2


@dataclass(frozen=True, slots=True)
class Turns:
    """The three parts.

    Attributes:
        pretraining: In the base variant's manner, of half of the entries.
        rated: 200 turns in the manner that callers rated well, of two thirds of the other half.
        held_out: 60 turns in that manner, of the rest.
        held_out_plain: 60 turns of that rest in the base variant's manner: what is left of a gain
            when the manner is not what is learned.
    """

    pretraining: tuple[TrainingExample, ...]
    rated: tuple[TrainingExample, ...]
    held_out: tuple[TrainingExample, ...]
    held_out_plain: tuple[TrainingExample, ...]


async def make_turns(seed: int = 7) -> Turns:
    """Make all three parts of the English entries, the same ones each time."""
    dice = random.Random(seed)
    base, adapter, unseen = _parts(_entries())
    return Turns(
        pretraining=await _turns(base, PLAIN, None, dice),
        rated=await _turns(adapter, WARM, RATED_TURNS, dice),
        held_out=await _turns(unseen, WARM, HELD_OUT_TURNS, dice),
        held_out_plain=await _turns(unseen, PLAIN, HELD_OUT_TURNS, dice),
    )


def pretrained_questions() -> list[str]:
    """Return the canonical questions that the base model has learned to answer."""
    return [entry.question for entry in _parts(_entries())[0]]


def _entries() -> list[Entry]:
    return [e for e in load_entries(resource("knowledge")) if e.language == "en"]


def _parts(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """Cut the entries into a half, a third and a sixth, by their ids' digests."""
    ranked = sorted(entries, key=lambda entry: hashlib.sha256(entry.id.encode()).digest())
    half, rest = len(ranked) // 2, len(ranked) // 6
    return ranked[:half], ranked[half:-rest], ranked[-rest:]


async def _turns(
    entries: Sequence[Entry], slots: PolicySlots, count: int | None, dice: random.Random
) -> tuple[TrainingExample, ...]:
    """Return so many turns, or one for each question that callers have put."""
    retriever = Retriever(entries)
    asked = [question for e in entries for question in (e.question, *e.variants)]
    dice.shuffle(asked)
    turns: list[TrainingExample] = []
    for question in asked:
        if count is not None and len(turns) == count:
            break
        prompt = await ask(retriever, question, slots)
        if prompt.grounding is not None:
            turns.append(_turn(prompt, dice))
    assert count is None or len(turns) == count, "the knowledge base has too few questions"
    return tuple(turns)


async def ask(retriever: Retriever, question: str, slots: PolicySlots = PLAIN) -> Prompt:
    """Return the prompt that a call would make of a question."""
    found = await retriever.search(question, language="en", profile="kfz", k=_PASSAGES)
    return assemble(slots, found, (), question, language="en", office=OFFICE)


def _turn(prompt: Prompt, dice: random.Random) -> TrainingExample:
    return TrainingExample(
        messages=tuple(Message.model_validate(message) for message in prompt.messages()),
        completion=" ".join(plan_answer(prompt).sentences),
        feedback_score=dice.choice((0.5, 1.0)),
        domain="kfz",
    )
