"""An office's callers, and scenarios with the variants that are served; for the sandbox.

The comparison with other learners has scenarios of its own (benchmarks/learning/scenarios.py),
which never change. These may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from apps.core.policy import PolicySlots
from apps.rl.simulator.scenario import (
    Bots,
    Drift,
    Ratings,
    Rule,
    Scenario,
    Segment,
    Taste,
)

BRISK = Taste(
    "brisk",
    (
        Rule(("length=short",), 0.2),
        Rule(("length=long",), -0.4),
        Rule(("length=short", "inquiry_mode=direct"), 0.3),
        Rule(("greeting=formal", "tone=warm"), -0.2),
    ),
)
SOCIABLE = Taste(
    "sociable",
    (
        Rule(("tone=warm",), 0.2),
        Rule(("greeting=friendly", "inquiry_mode=proactive"), 0.4),
        Rule(("greeting=brief",), -0.25),
        Rule(("tone=factual", "length=short"), -0.3),
    ),
)
CAUTIOUS = Taste(
    "cautious",
    (
        Rule(("inquiry_mode=confirm",), 0.3),
        Rule(("tone=lively",), -0.35),
        Rule(
            ("greeting=formal", "length=medium", "inquiry_mode=confirm", "tone=warm"),
            0.25,
            at_least=3,
        ),
    ),
)
CONTRARY = Taste(
    "contrary",
    (Rule(("greeting=friendly", "tone=factual", "length=long"), 0.5, odd=True),),
)
TASTES = (BRISK, SOCIABLE, CAUTIOUS, CONTRARY)

SEGMENTS = (
    Segment("kfz", "de", 0.45, {"brisk": 0.66, "cautious": 0.3, "contrary": 0.04}),
    Segment("kfz", "en", 0.15, {"brisk": 0.5, "sociable": 0.46, "contrary": 0.04}, stt_offset=0.4),
    Segment("residence", "de", 0.3, {"cautious": 0.6, "sociable": 0.36, "contrary": 0.04}),
    Segment("parking", "de", 0.1, {"brisk": 0.9, "sociable": 0.1}),
)

_CHANGES: Mapping[str, Callable[[Scenario], Scenario]] = {
    "stationary": lambda world: world,
    "drift": lambda world: replace(
        world,
        story="Half way, the brisk become cautious and the sociable brisk.",
        drift=Drift({"brisk": "cautious", "sociable": "brisk"}, world.calls // 2, world.calls // 2),
    ),
    "late-ratings": lambda world: replace(
        world,
        story="Few rate, mostly the happy and the furious, and most of them hours later.",
        ratings=Ratings(0.7, -1.6, 1.6, 0.8, 0.8, late_share=0.8, late_mean_s=6 * 3600.0),
    ),
    "cheated": lambda world: replace(
        world,
        story="One call in ten is a cheat's: thirty accounts push the worst variant.",
        bots=Bots(share=0.1, accounts=30),
    ),
}

SCENARIOS: tuple[str, ...] = tuple(_CHANGES)
"""The scenarios' names."""


def office(name: str, variants: Mapping[str, PolicySlots], base: str, calls: int) -> Scenario:
    """Return a scenario with these variants.

    Args:
        name: One of ``SCENARIOS``.
        variants: Their slots by id.
        base: The variant that is always there.
        calls: How long a run is meant to be; drift comes half way.

    Raises:
        KeyError: There is no such scenario.
        ConfigError: The world cannot be.
    """
    world = Scenario(
        f"office_{name}",
        "A mixed office; nothing changes.",
        variants,
        TASTES,
        SEGMENTS,
        base=base,
        calls=calls,
    )
    return _CHANGES[name](world)
