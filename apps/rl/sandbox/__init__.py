"""Learning with simulated callers, by the code that live calls run, in a store of its own."""

from apps.rl.sandbox.facts import feedback_of, known_before
from apps.rl.sandbox.rehearsal import EPOCH, Rehearsal
from apps.rl.sandbox.tally import Tally

__all__ = ["EPOCH", "Rehearsal", "Tally", "feedback_of", "known_before"]
