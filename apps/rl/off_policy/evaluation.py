"""All estimators with their intervals, or a refusal that says why."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from apps.core.plural import plural
from apps.rl.off_policy.adaptive import running_means, stabilised_dr
from apps.rl.off_policy.diagnostics import Diagnostics, diagnose
from apps.rl.off_policy.drift import Drift, drift
from apps.rl.off_policy.estimators import Terms, dm, dr, ips, snips, switch_dr
from apps.rl.off_policy.intervals import Interval, bootstrap, delta, standard_error
from apps.rl.off_policy.log import Log, supported


@dataclass(frozen=True, slots=True)
class Rules:
    """How an evaluation is done, and when it is refused.

    Attributes:
        ess_floor: Fewer effective decisions than this are refused.
        callers_floor: So are fewer callers.
        unsupported_limit: So is more of the target's probability on arms that had no chance.
        clip: The weight at which the clipped IPS cuts; None leaves that one out.
        tau: The weight above which Switch-DR trusts the model alone; None lets the data decide.
        level: Of the intervals.
        replicates: Of the bootstrap.
        seed: Of the bootstrap.
        windows: Of the drift.
    """

    ess_floor: float = 50.0
    callers_floor: int = 20
    unsupported_limit: float = 0.01
    clip: float | None = None
    tau: float | None = None
    level: float = 0.95
    replicates: int = 1000
    seed: int = 0
    windows: int = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A target policy's mean reward by one estimator.

    Attributes:
        estimator: Its name.
        value: The estimate.
        error: Its standard error by the delta method.
        delta: The delta method's interval.
        bootstrap: The interval of the bootstrap by caller.
    """

    estimator: str
    value: float
    error: float
    delta: Interval
    bootstrap: Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a log says about a target policy.

    Attributes:
        refusal: Why it says nothing, in a sentence; None where it does.
        estimates: By every estimator; empty when refused.
        best: The name of the estimate to go by; None when refused.
        diagnostics: How well the log fits the target; there in any case.
        drift: The best estimate over time; None when refused.
        doubts: What speaks against the estimates, in sentences.
    """

    refusal: str | None
    estimates: tuple[Estimate, ...]
    best: str | None
    diagnostics: Diagnostics
    drift: Drift | None = None
    doubts: tuple[str, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """Return one estimator's estimate.

        Raises:
            KeyError: It made none.
        """
        for found in self.estimates:
            if found.estimator == name:
                return found
        raise KeyError(name)

    def __str__(self) -> str:
        """Return it as sentences for an operator."""
        if self.refusal is not None or self.best is None:
            return f"No estimate: {self.refusal}"
        best, seen = self.estimate(self.best), self.diagnostics
        found = (
            f"This policy's mean reward is {best.value:+.3f}, with {best.delta.level:.0%}"
            f" confidence between {best.delta.low:+.3f} and {best.delta.high:+.3f}"
            f" ({best.estimator}; {plural(seen.decisions, 'call')} of"
            f" {plural(seen.callers, 'caller')}, worth {seen.effective:.0f} calls of this policy)."
        )
        return " ".join([found, *self.doubts])


def evaluate(
    log: Log, target: ArrayLike, *, model: ArrayLike | None = None, rules: Rules | None = None
) -> Evaluation:
    """Return what a log says about a target policy.

    Args:
        log: The logged decisions, oldest first.
        target: The policy to evaluate, shape (k,) or (n, k).
        model: Predicted rewards, shape (n, k), no row learned from its own or, in a log of a
            policy that learned, from a later reward. None: the running means of the arms.
        rules: How it is done.

    Raises:
        InvalidFeedback: Target or model do not fit the log.
    """
    rules = rules or Rules()
    diagnostics = diagnose(log, target)
    refusal = refuse(diagnostics, rules)
    if refusal is not None:
        return Evaluation(refusal, (), None, diagnostics)
    terms = all_terms(log, target, running_means(log) if model is None else model, rules)
    drawn = bootstrap(
        terms, log.caller, seed=rules.seed, replicates=rules.replicates, level=rules.level
    )
    estimates = tuple(_estimate(t, log, b, rules) for t, b in zip(terms, drawn, strict=True))
    best = terms[-1]
    over_time = drift(best, log.caller, windows=rules.windows)
    doubts = diagnostics.doubts() + ((str(over_time),) if over_time.changed() else ())
    return Evaluation(None, estimates, best.name, diagnostics, over_time, doubts)


def evaluate_supported(
    log: Log, target: ArrayLike, *, model: ArrayLike, rules: Rules | None = None
) -> Evaluation:
    """Evaluate a policy on the calls in which all that it would choose had a chance.

    Args:
        log: As for ``evaluate``, with the probabilities of all arms.
        target: The same.
        model: The same.
        rules: The same.

    Raises:
        InvalidFeedback: Target or model do not fit the log.
    """
    rows = supported(log, target)
    if not rows.any() or rows.all():
        return evaluate(log, target, model=model, rules=rules)
    asked, predicted = log.policy(target)[rows], log.predictions(model)[rows]
    return evaluate(log.where(rows), asked, model=predicted, rules=rules)


def refuse(diagnostics: Diagnostics, rules: Rules) -> str | None:
    """Return why the log cannot say anything about the target, in a sentence, or None."""
    if diagnostics.effective < rules.ess_floor:
        return (
            f"the {diagnostics.decisions} logged calls are worth {diagnostics.effective:.1f} calls"
            f" of this policy, and fewer than {rules.ess_floor:g} are not believed. Let it serve"
            " more callers, or evaluate one that is nearer to what was served."
        )
    if diagnostics.callers < rules.callers_floor:
        return (
            f"the log is of {diagnostics.callers} callers, and fewer than {rules.callers_floor}"
            " are not believed."
        )
    if diagnostics.unsupported is not None and diagnostics.unsupported > rules.unsupported_limit:
        return (
            f"{diagnostics.unsupported:.1%} of this policy's choices had no chance when the calls"
            " were served. Leave those calls out, or those variants."
        )
    return None


def all_terms(log: Log, target: ArrayLike, model: ArrayLike, rules: Rules) -> list[Terms]:
    """Return every estimator's terms; the last is the one to go by."""
    clipped = [] if rules.clip is None else [ips(log, target, clip=rules.clip)]
    terms = [ips(log, target), *clipped, snips(log, target), dm(log, target, model)]
    terms += [switch_dr(log, target, model, tau=rules.tau), dr(log, target, model)]
    if log.propensities is not None:
        terms.append(stabilised_dr(log, target, model))
    return terms


def _estimate(terms: Terms, log: Log, drawn: Interval, rules: Rules) -> Estimate:
    error = standard_error(terms, log.caller)
    return Estimate(
        terms.name, terms.value, error, delta(terms, log.caller, level=rules.level), drawn
    )
