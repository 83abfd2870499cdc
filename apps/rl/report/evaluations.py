"""What variants, or the policy as it is now, would have earned on the calls that were logged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.rl.missing import fit, from_events, pseudo_rewards
from apps.rl.missing.calls import described, scaled
from apps.rl.off_policy import Evaluation, Log, Rules, evaluate_supported, predict_forward
from apps.rl.report.history import History
from apps.rl.trainer.calls import TrainingCall
from apps.rl.trainer.evidence import log_of, proper

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Now = Callable[[Mapping[str, object]], Mapping[str, float]]
"""The policy as it is now: the probability of each variant in a context, after the guard."""

SERVED = "as served"
CURRENT = "as it is now"
FLATTERED = "It was learned from these very calls, which flatters it."

_FACTS = ("profile", "language", "time_of_day", "returning", "door")
_ARM, _FACT = 3.0, 10.0  # how many calls each prior of the reward model counts as
_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """One policy on the log.

    Attributes:
        policy: A variant's id, ``SERVED`` or ``CURRENT``.
        logged: With the rewards as they are, where a rating that is missing adds nothing.
        corrected: As if all who were asked had rated; None where too few have.
        notes: On how it was done, in sentences.
    """

    policy: str
    logged: Evaluation
    corrected: Evaluation | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """All policies that were asked about.

    Attributes:
        policies: What the log says of each.
        calls: How many rewarded calls it rests on.
        improper: Calls left out since their logged probabilities are none.
        level: Of the intervals.
    """

    policies: tuple[Judged, ...]
    calls: int
    improper: int
    level: float

    def of(self, policy: str) -> Judged | None:
        """Return what is said of one policy, or None."""
        return next((found for found in self.policies if found.policy == policy), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Logs:
    """The log with both kinds of rewards, and a reward model of each, shape (n, k)."""

    arms: tuple[str, ...]
    log: Log
    model: Floats
    corrected: Log | None
    corrected_model: Floats | None


def judge(
    history: History,
    variants: Sequence[str],
    *,
    now: Now | None = None,
    rules: Rules | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Judgement:
    """Return what the log says of each of these variants, and of the policy as it is now.

    Args:
        history: Of the store.
        variants: Each as if it had served every call.
        now: The policy as it is now; None leaves it out.
        rules: Of the off-policy evaluation.
        progress: Is told each step as it begins.
    """
    rules = rules or Rules()
    calls = history.calls
    sound = [calls[i] for i in proper(calls)]
    improper = len(calls) - len(sound)
    if not sound:
        return Judgement((), 0, improper, rules.level)
    progress("Fitting what rewards to expect")
    logs = _logs(history, sound, [*variants, *(now({}) if now else ())])
    found = []
    for name in variants:
        progress(f"Evaluating {name}")
        found.append(_variant(name, logs, rules))
    if now is not None:
        progress("Evaluating the policy as it is now")
        found.append(_now(sound, logs, now, rules))
    assert logs.log.propensities is not None
    found.append(_judged(SERVED, logs, logs.log.propensities, rules, ()))
    return Judgement(tuple(found), len(sound), improper, rules.level)


def _logs(history: History, calls: Sequence[TrainingCall], variants: Sequence[str]) -> _Logs:
    logged = {name for call in calls for name in call.decision.propensities}
    arms = tuple(sorted(logged | set(variants)))
    log = log_of(calls, arms)
    facts = _facts(calls)
    rated = from_events(history.holding(calls), arms)
    fitted = fit(rated)
    if fitted is None:
        return _Logs(arms, log, expected(log, facts), None, None)
    corrected = replace(log, reward=pseudo_rewards(rated, fitted))
    return _Logs(arms, log, expected(log, facts), corrected, expected(corrected, facts))


def expected(log: Log, facts: Floats) -> Floats:
    """Return the reward of every arm in every call, as calls before it let expect, shape (n, k).

    A ridge regression on what was known when the variant was chosen, and on the variant.

    Args:
        log: The logged calls.
        facts: What was known of each, centred and scaled, shape (n, d).
    """
    own = np.zeros((len(log), log.arms))
    own[np.arange(len(log)), log.chosen] = 1.0
    rows = np.hstack([facts, own])
    width = facts.shape[1]
    prior = np.diag(np.repeat([_FACT, _ARM], [width, log.arms]))

    def learn(past: Ints) -> Callable[[Ints], Floats]:
        x, mean = rows[past], float(log.reward[past].mean())
        weights = np.linalg.solve(x.T @ x + prior, x.T @ (log.reward[past] - mean))

        def predict(asked: Ints) -> Floats:
            alone = mean + facts[asked] @ weights[:width]
            found: Floats = alone[:, None] + weights[width:]
            return found

        return predict

    return predict_forward(log, learn, blocks=_BLOCKS)


def _facts(calls: Sequence[TrainingCall]) -> Floats:
    known = [call.decision.context for call in calls]
    told = [{k: c[k] for k in _FACTS if isinstance(c.get(k), str | bool)} for c in known]
    words: list[dict[str, object]] = [{k: str(v) for k, v in one.items()} for one in told]
    usual = {name for one in words for name in one}
    filled = [{name: one.get(name, "unknown") for name in usual} for one in words]
    return scaled(described(filled), len(calls))[0]


def _variant(name: str, logs: _Logs, rules: Rules) -> Judged:
    target = np.eye(len(logs.arms))[logs.arms.index(name)]
    assert logs.log.propensities is not None
    open_ = int((logs.log.propensities[:, logs.arms.index(name)] > 0).sum())
    notes: tuple[str, ...] = ()
    if not open_:
        notes = ("It had no chance in any of these calls.",)
    elif open_ < len(logs.log):
        notes = (f"It had a chance in {open_} of {len(logs.log)} calls; the others are left out.",)
    return _judged(name, logs, target, rules, notes)


def _now(calls: Sequence[TrainingCall], logs: _Logs, now: Now, rules: Rules) -> Judged:
    wanted = current_target([call.decision.context for call in calls], logs.arms, now)
    assert logs.log.propensities is not None
    possible = wanted * (logs.log.propensities > 0)
    mass = possible.sum(axis=1, keepdims=True)
    # A call in which none of it had a chance keeps its row, and is left out as not supported.
    target = np.divide(possible, mass, out=wanted.copy(), where=mass > 0)
    notes = [FLATTERED]
    moved = float(1.0 - mass.mean())
    if moved > 0.0005:
        notes.append(
            f"{moved:.1%} of its choices had no chance when the calls were served: there it is "
            "taken to choose among those that had."
        )
    return _judged(CURRENT, logs, target, rules, tuple(notes))


def current_target(
    contexts: Sequence[Mapping[str, object]], arms: Sequence[str], now: Now
) -> Floats:
    """Return the probabilities of the policy as it is now in each call, shape (n, k)."""
    asked: dict[str, Floats] = {}
    rows = []
    for context in contexts:
        key = json.dumps(context, sort_keys=True, default=str)
        if key not in asked:
            chances = now(context)
            asked[key] = np.array([chances.get(arm, 0.0) for arm in arms])
        rows.append(asked[key])
    return np.array(rows)


def _judged(
    policy: str, logs: _Logs, target: Floats, rules: Rules, notes: tuple[str, ...]
) -> Judged:
    logged = evaluate_supported(logs.log, target, model=logs.model, rules=rules)
    corrected = None
    if logs.corrected is not None and logs.corrected_model is not None:
        corrected = evaluate_supported(
            logs.corrected, target, model=logs.corrected_model, rules=rules
        )
    return Judged(policy, logged, corrected, notes)
