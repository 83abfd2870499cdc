"""Off-policy evaluation: what another policy would have earned on the calls that were logged.

``evaluate`` is the way in. docs/off-policy.md says what each estimator is for, and when not to
believe it.
"""

from apps.rl.off_policy.adaptive import predict_forward, running_means, stabilised_dr
from apps.rl.off_policy.diagnostics import Diagnostics, diagnose
from apps.rl.off_policy.drift import Drift, drift
from apps.rl.off_policy.estimators import Terms, dm, dr, ips, snips, switch_dr
from apps.rl.off_policy.evaluation import (
    Estimate,
    Evaluation,
    Rules,
    evaluate,
    evaluate_supported,
)
from apps.rl.off_policy.intervals import Interval, bootstrap, delta
from apps.rl.off_policy.log import Log, from_decisions, supported

__all__ = [
    "Diagnostics",
    "Drift",
    "Estimate",
    "Evaluation",
    "Interval",
    "Log",
    "Rules",
    "Terms",
    "bootstrap",
    "delta",
    "diagnose",
    "dm",
    "dr",
    "drift",
    "evaluate",
    "evaluate_supported",
    "from_decisions",
    "ips",
    "predict_forward",
    "running_means",
    "snips",
    "stabilised_dr",
    "supported",
    "switch_dr",
]
