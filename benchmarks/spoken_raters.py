"""The callers of the spoken loop: what they like, what they ask, and how their ratings sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from apps.core.audio import Samples
from apps.core.resources import resource
from apps.rl.simulator import Segment, World
from apps.rl.simulator.office import office
from apps.rl.variants import load_catalog
from benchmarks.interruptions.sayings import QUESTIONS
from benchmarks.recognition.speech import flite

VARIANTS = ("v1a", "v1c", "v1d", "v3b")
SPLIT = {"new_variants": 0.5, "uncertain_variants": 0.3, "base_variant": "v1a"}
"""Few variants and wide shares: under the product's own caps two calls in 24 would get another
variant than the base."""
CALLERS = Segment("kfz", "en", 1.0, {"brisk": 0.9, "sociable": 0.1})
VOICES = ("slt", "rms", "awb")
STARS = ("one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Raters:
    """The callers: what they feel about each variant, and their voices.

    Attributes:
        world: Where they come from.
        felt: The stars that each call deserves with each variant, shape (calls, variants).
        means: Its expected reward there, shape (calls, variants).
        subjects: Who calls.
        asked: What each call asks.
        ratings: The spoken stars by voice and number.
    """

    world: World
    felt: np.ndarray[Any, np.dtype[np.int64]]
    means: np.ndarray[Any, np.dtype[np.float64]]
    subjects: Sequence[int]
    asked: Sequence[list[Samples]]
    ratings: Mapping[tuple[str, int], Samples]


def raters(calls: int, seed: int) -> Raters:
    """Draw the callers and make what they will say."""
    served = load_catalog(resource("policies", "prompt_variants.yaml")).variants
    slots = {name: served[name].slots for name in VARIANTS}
    scenario = office("stationary", slots, str(SPLIT["base_variant"]), calls)
    world = World(replace(scenario, name="spoken", segments=(CALLERS,), callers=calls), seed)
    drawn = world.calls(calls)
    rng = np.random.default_rng([seed, calls])
    asked = []
    for number in range(calls):
        said = rng.choice(QUESTIONS["en"][:5], 1 + number % 2, replace=False)
        asked.append([flite(str(text), VOICES[number % len(VOICES)]) for text in said])
    spoken = {
        (voice, stars): flite(STARS[stars - 1], voice)
        for voice, stars in product(VOICES, range(1, 6))
    }
    return Raters(
        world,
        world.outcomes(drawn).felt,
        world.means.at(drawn),
        drawn.subject.tolist(),
        asked,
        spoken,
    )


def write_policies(folder: Path) -> Path:
    """Write the policy file with the variants of this benchmark."""
    whole = yaml.safe_load(resource("policies", "prompt_variants.yaml").read_text("utf-8"))
    whole["variants"] = {name: whole["variants"][name] for name in VARIANTS}
    whole["deployment"]["traffic_split"] = SPLIT
    path = folder / "policies.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path
