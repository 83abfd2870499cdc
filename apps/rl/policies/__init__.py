"""The kinds of policy that choose prompt variants; all are values that learn by ``learned``."""

from __future__ import annotations

from apps.rl.policies.arms import BetaPolicy, NigPolicy
from apps.rl.policies.linear import LinearPolicy, LinearUcbPolicy
from apps.rl.policies.policy import Context, Estimate, Outcome, Policy, Slots

__all__ = [
    "BetaPolicy",
    "Context",
    "Estimate",
    "LinearPolicy",
    "LinearUcbPolicy",
    "NigPolicy",
    "Outcome",
    "Policy",
    "Slots",
]
