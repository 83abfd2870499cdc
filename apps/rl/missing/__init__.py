"""Ratings that are missing: who answers is modelled, nothing is invented, both means are told.

``from_events`` makes arrays of the store's events, ``fit`` the models, ``estimates`` the means by
variant, ``diagnose`` says how far to believe them; docs/missing-ratings.md tells it for people.
"""

from apps.rl.missing.calls import RatedCalls, from_events
from apps.rl.missing.diagnostics import Diagnosis, diagnose
from apps.rl.missing.estimates import (
    Estimate,
    Fitted,
    Floors,
    Value,
    bootstrapped,
    estimates,
    fit,
    pseudo_ratings,
    pseudo_rewards,
)

__all__ = [
    "Diagnosis",
    "Estimate",
    "Fitted",
    "Floors",
    "RatedCalls",
    "Value",
    "bootstrapped",
    "diagnose",
    "estimates",
    "fit",
    "from_events",
    "pseudo_ratings",
    "pseudo_rewards",
]
