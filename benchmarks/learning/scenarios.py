"""The scenarios of the side-by-side comparison.

They were committed before any learner was tuned on them, and are not changed afterwards: another
world gets another name. The twelve variants are those of the policy file as it was then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from apps.core.policy import BargeInSensitivity, Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.rl.simulator import (
    Bots,
    Drift,
    Fault,
    Ratings,
    Rule,
    Scenario,
    Segment,
    Speech,
    Taste,
)

SLOTS = ("greeting", "tone", "length", "inquiry_mode", "barge_in_sensitivity")


def _slots(values: str) -> PolicySlots:
    return PolicySlots.from_parameters(dict(zip(SLOTS, values.split(), strict=True)))


TWELVE: Mapping[str, PolicySlots] = {
    name: _slots(values)
    for name, values in {
        "v1a": "formal factual medium direct medium",
        "v1b": "formal warm medium confirm medium",
        "v1c": "formal factual short direct high",
        "v1d": "formal warm long proactive low",
        "v2a": "friendly warm medium confirm medium",
        "v2b": "friendly warm long proactive low",
        "v2c": "friendly lively short direct high",
        "v2d": "friendly lively medium proactive medium",
        "v3a": "brief factual short direct high",
        "v3b": "brief warm short confirm medium",
        "v3c": "brief lively medium direct high",
        "v3d": "brief factual long confirm low",
    }.items()
}

HURRIED = Taste(
    "hurried",
    (
        Rule(("length=short",), 0.25),
        Rule(("length=long",), -0.45),
        Rule(("greeting=brief",), 0.15),
        Rule(("greeting=brief", "length=short", "inquiry_mode=direct"), 0.3),
        Rule(("tone=warm", "inquiry_mode=proactive"), -0.3),
        Rule(("length=short", "inquiry_mode=confirm"), -0.2),
    ),
)
TALKATIVE = Taste(
    "talkative",
    (
        Rule(("greeting=friendly",), 0.2),
        Rule(("greeting=friendly", "tone=warm", "inquiry_mode=proactive"), 0.4),
        Rule(("tone=factual",), -0.25),
        Rule(("length=short", "tone=lively"), -0.35),
        Rule(("greeting=brief",), -0.2),
        Rule(("barge_in_sensitivity=high",), -0.1),
    ),
)
CAREFUL = Taste(
    "careful",
    (
        Rule(("inquiry_mode=confirm",), 0.25),
        Rule(("tone=lively",), -0.4),
        Rule(("greeting=formal", "inquiry_mode=confirm"), 0.2),
        # Nothing is gained before most of it is right.
        Rule(
            (
                "greeting=formal",
                "tone=factual",
                "length=medium",
                "inquiry_mode=confirm",
                "barge_in_sensitivity=low",
            ),
            0.3,
            at_least=3,
        ),
        Rule(("length=short",), -0.15),
    ),
)
SPRIGHTLY = Taste(
    "sprightly",
    (
        Rule(("tone=lively",), 0.25),
        Rule(("greeting=formal",), -0.3),
        Rule(("tone=lively", "barge_in_sensitivity=high"), 0.25),
        Rule(("length=long", "barge_in_sensitivity=low"), -0.4),
        Rule(("greeting=friendly", "length=short"), 0.15),
    ),
)
CONTRARY = Taste(
    "contrary",
    (
        Rule(
            (
                "greeting=formal",
                "tone=factual",
                "length=short",
                "inquiry_mode=direct",
                "barge_in_sensitivity=high",
            ),
            0.6,
            odd=True,
        ),
    ),
)
TASTES = (HURRIED, TALKATIVE, CAREFUL, SPRIGHTLY, CONTRARY)

OFFICE = (
    Segment(
        "kfz", "de", 0.5, {"hurried": 0.62, "careful": 0.2, "sprightly": 0.14, "contrary": 0.04}
    ),
    Segment(
        "kfz",
        "en",
        0.15,
        {"hurried": 0.4, "sprightly": 0.36, "talkative": 0.2, "contrary": 0.04},
        stt_offset=0.4,
    ),
    Segment(
        "residence",
        "de",
        0.25,
        {"careful": 0.5, "talkative": 0.3, "hurried": 0.16, "contrary": 0.04},
    ),
    Segment("parking", "de", 0.1, {"sprightly": 0.6, "hurried": 0.36, "contrary": 0.04}),
)

STATIONARY = Scenario(
    "stationary",
    "Nothing changes; a mixed office with twelve variants.",
    TWELVE,
    TASTES,
    OFFICE,
)
DRIFT_STEP = replace(
    STATIONARY,
    name="drift_step",
    story="Half way, overnight, the hurried become careful and the sprightly talkative.",
    drift=Drift({"hurried": "careful", "sprightly": "talkative"}, 2500, 2500),
)
DRIFT_SLOW = replace(
    STATIONARY,
    name="drift_slow",
    story="The same change, but spread over most of the run.",
    drift=Drift({"hurried": "careful", "sprightly": "talkative"}, 1000, 4500),
)


def _forty() -> dict[str, PolicySlots]:
    """Return the twelve and 28 more, spread evenly over all combinations."""
    kinds = (Greeting, Tone, Length, InquiryMode, BargeInSensitivity)
    everything = [PolicySlots(*values) for values in product(*kinds)]
    more = [slots for slots in everything[4::7] if slots not in TWELVE.values()][:28]
    return {**TWELVE, **{f"w{n:02}": slots for n, slots in enumerate(more, start=1)}}


MANY_VARIANTS = replace(
    STATIONARY,
    name="many_variants",
    story="Forty variants; one is broken: it says wrong things, and callers hang up on it.",
    variants=_forty(),
    faults={"w07": Fault(quality=-1.2, hang_up=0.15, unsafe=0.02)},
)
CONFOUNDED = replace(
    STATIONARY,
    name="confounded",
    story="Slow hours and bad lines move the rewards more than the variants do.",
    speech=Speech(severity=1.4, slow_hours=0.6),
)
RARE_PROFILE = replace(
    STATIONARY,
    name="rare_profile",
    story="Three callers in a hundred call a profile whose callers like what all others dislike.",
    segments=(
        Segment("kfz", "de", 0.97, {"hurried": 0.8, "sprightly": 0.16, "contrary": 0.04}),
        Segment("residence", "de", 0.03, {"talkative": 0.8, "careful": 0.2}),
    ),
)
POISONED = replace(
    STATIONARY,
    name="poisoned",
    story="One call in ten is a bot's: thirty accounts push the worst variant, often twice.",
    bots=Bots(share=0.1, accounts=30, copies=0.5),
)
DELAYED_MISSING = replace(
    STATIONARY,
    name="delayed_missing",
    story="Few rate, mostly the happy and the furious, and most ratings come hours later.",
    ratings=Ratings(
        offered=0.7,
        base=-1.6,
        extremes=1.6,
        happy=0.8,
        mood=0.8,
        late_share=0.8,
        late_mean_s=6 * 3600.0,
    ),
)
OPPOSITE = replace(
    STATIONARY,
    name="opposite",
    story="Two profiles, and what pleases the one annoys the other.",
    segments=(
        Segment("kfz", "de", 0.5, {"hurried": 0.9, "sprightly": 0.1}),
        Segment("residence", "de", 0.5, {"talkative": 0.8, "careful": 0.2}),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        STATIONARY,
        DRIFT_STEP,
        DRIFT_SLOW,
        MANY_VARIANTS,
        CONFOUNDED,
        RARE_PROFILE,
        POISONED,
        DELAYED_MISSING,
        OPPOSITE,
    )
}

_ALIKE = {f"a{n:02}": TWELVE["v1a"] for n in range(1, 13)}

IDENTICAL = replace(
    STATIONARY,
    name="identical",
    story="Twelve variants that are one and the same: whoever is blacklisted is innocent.",
    variants=_ALIKE,
    base="a01",
)
ONE_WORSE = replace(
    IDENTICAL,
    name="one_worse",
    story="The same, but the last one's mean reward is 0.3 lower.",
    faults={"a12": Fault(quality=-0.965)},
)

GUARD_SCENARIOS: Mapping[str, Scenario] = {s.name: s for s in (IDENTICAL, ONE_WORSE)}
"""For the deploy guard's errors of both kinds; no learner is ranked on them."""
