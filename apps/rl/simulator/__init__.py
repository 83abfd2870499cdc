"""A simulator of callers: pure, seeded, vectorised; see docs/simulator.md."""

from apps.rl.simulator.callers import TIMES_OF_DAY, Calls
from apps.rl.simulator.outcomes import UNKNOWN, CallOutcome, Outcomes
from apps.rl.simulator.scenario import (
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
from apps.rl.simulator.truth import Truth
from apps.rl.simulator.world import Means, World

__all__ = [
    "TIMES_OF_DAY",
    "UNKNOWN",
    "Bots",
    "CallOutcome",
    "Calls",
    "Drift",
    "Fault",
    "Means",
    "Outcomes",
    "Ratings",
    "Rule",
    "Scenario",
    "Segment",
    "Speech",
    "Taste",
    "Truth",
    "World",
]
