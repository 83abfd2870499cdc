"""Which examples are held out: by call, and the same ones every time.

Whole calls are held out, since the turns of one call resemble each other; an example that stems
from several calls ties them together. A call stays on its side as the data grows, because only
its own hash decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from apps.rl.adapters.examples import TrainingExample


@dataclass(frozen=True)
class Split:
    """Two sides that share no call."""

    train: tuple[TrainingExample, ...]
    held_out: tuple[TrainingExample, ...]


def content_hash(example: TrainingExample) -> str:
    """Return the SHA-256 of all that an example says, in hexadecimal."""
    return hashlib.sha256(example.model_dump_json().encode()).hexdigest()


def hold_out(examples: Sequence[TrainingExample], fraction: float, seed: int) -> Split:
    """Hold out a share of the calls.

    Args:
        examples: All of them; their order is kept on both sides.
        fraction: Share of the groups in [0, 1).
        seed: Another one holds out others.

    Returns:
        The two sides. With at least two groups and a fraction above 0 neither side is empty:
        where no group's hash falls below the fraction, the lowest one is held out.
    """
    keys = group_keys(examples)
    if fraction <= 0 or len(set(keys)) < 2:
        return Split(tuple(examples), ())
    places = {key: _place(key, seed) for key in set(keys)}
    held = {key for key, place in places.items() if place < fraction}
    if not held:
        held = {min(places, key=lambda key: places[key])}
    elif len(held) == len(places):
        held.discard(max(places, key=lambda key: places[key]))
    pairs = list(zip(keys, examples, strict=True))
    return Split(
        tuple(example for key, example in pairs if key not in held),
        tuple(example for key, example in pairs if key in held),
    )


def group_keys(examples: Sequence[TrainingExample]) -> list[str]:
    """Return for each example the key of its group.

    Examples that share a call are in one group, whose key is the least of its calls; an example of
    no call is grouped with those of the same prompt.
    """
    parent: dict[str, str] = {}

    def root(call: str) -> str:
        while parent.setdefault(call, call) != call:
            parent[call] = call = parent[parent[call]]
        return call

    for example in examples:
        for call in example.calls[1:]:
            low, high = sorted((root(example.calls[0]), root(call)))
            parent[high] = low
    return [root(e.calls[0]) if e.calls else _prompt_key(e) for e in examples]


def _prompt_key(example: TrainingExample) -> str:
    said = "\n".join(f"{message.role}\t{message.content}" for message in example.messages)
    return "prompt:" + hashlib.sha256(said.encode()).hexdigest()


def _place(key: str, seed: int) -> float:
    """Return where a group lies in [0, 1)."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
