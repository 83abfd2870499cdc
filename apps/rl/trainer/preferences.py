"""Which of two would callers rather have: Bradley-Terry with ties and callers' effects.

Two calls are compared that are alike but for their variant: same profile and language, as near in
time as can be, so that slow hours and changing tastes meet both. The one with the higher reward
wins; a difference within the margin is a tie. With
``eta = strength(i) - strength(j) + u(caller i) - u(caller j)`` Davidson's model (1970, "On
extending the Bradley-Terry model to accommodate ties") says::

    P(i wins) : P(tie) : P(j wins)  =  exp(eta / 2) : exp(log_tie) : exp(-eta / 2)

The strengths are linear in what is known of a variant: one for each variant, or one for each slot
value. Both they and the callers' effects are normal around zero, so the log likelihood is
penalised; it is concave, and Newton's method finds its top. Each step is solved by conjugate
gradients, since there may be many callers; the callers' variance is found by EM (Laplace).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from apps.rl.trainer.calls import TrainingCall
from apps.rl.trainer.features import Floats, Ints, caller_numbers

MARGIN = 0.1
"""Rewards that differ by less are a tie: about half a star, or one interruption and a half."""

_PRIOR_SD = 1.0  # of a strength, in log odds
_CALLER_SD = 0.5  # to begin with
_STEPS, _EM_STEPS = 25, 12
_WINDOW = 400  # calls that a call waits for its opposite


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Pairs of calls; m of them.

    Attributes:
        first: Index of the one call, shape (m,).
        second: Index of the other.
        result: 1 where the first is better, -1 where the second is, 0 for a tie.
    """

    first: Ints
    second: Ints
    result: Ints

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class Preferences:
    """What the comparisons say.

    Attributes:
        strengths: One a column of the design, as log odds, shape (k,).
        covariance: Their posterior covariance, callers' effects averaged out, shape (k, k).
        log_tie: The log odds of a tie between equals, against one of them winning.
        caller_sd: Standard deviation of the callers' effects, in log odds.
        pairs: How many comparisons there were.
        ties: How many of them were ties.
    """

    strengths: Floats
    covariance: Floats
    log_tie: float
    caller_sd: float
    pairs: int
    ties: int

    def compare(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """Return by how much designs are preferred, and its standard deviation, in log odds.

        Args:
            first: Designs, shape (n, k).
            second: Their opposites, shape (n, k) or (k,).
        """
        step = first - second
        spread = np.sqrt(np.maximum(((step @ self.covariance) * step).sum(axis=1), 0.0))
        return step @ self.strengths, spread


def pair_up(calls: Sequence[TrainingCall], *, margin: float = MARGIN) -> Comparisons:
    """Return disjoint pairs of calls of different variants, alike in profile and language.

    Each call is in one pair at most, so that pairs are independent but for their callers. A call
    is paired with the waiting one that came last, unless that had the same variant; one of a
    seldom variant therefore nearly always finds its opposite.
    """
    waiting: dict[tuple[object, object], deque[int]] = {}
    pairs: list[tuple[int, int]] = []
    for i, call in enumerate(calls):
        line = waiting.setdefault(
            (call.context.get("profile"), call.context.get("language")), deque()
        )
        while line and i - line[0] > _WINDOW:
            line.popleft()
        other = next((j for j in reversed(line) if calls[j].variant != call.variant), None)
        if other is None:
            line.append(i)
        else:
            line.remove(other)
            pairs.append((other, i))
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    reward = np.array([call.reward for call in calls])
    gap = reward[first] - reward[second]
    return Comparisons(first, second, np.where(abs(gap) < margin, 0, np.sign(gap)).astype(np.intp))


def prefer(
    calls: Sequence[TrainingCall],
    pairs: Comparisons,
    design: Floats,
    *,
    prior_sd: float = _PRIOR_SD,
) -> Preferences:
    """Return the strengths.

    Args:
        calls: The calls.
        pairs: Their comparisons.
        design: What is known of each call's variant, shape (calls, k).
        prior_sd: Standard deviation of a strength before anything is seen, in log odds.
    """
    caller = caller_numbers(calls)
    x = design[pairs.first] - design[pairs.second]
    a, b = caller[pairs.first], caller[pairs.second]
    return davidson(x, a, b, pairs.result, int(caller.max(initial=-1)) + 1, prior_sd=prior_sd)


def davidson(
    x: Floats, a: Ints, b: Ints, result: Ints, callers: int, *, prior_sd: float = _PRIOR_SD
) -> Preferences:
    """Fit the model.

    Args:
        x: Differences of the pairs' designs, shape (m, k).
        a: The first one's caller, in [0, callers), shape (m,).
        b: The second one's.
        result: 1, 0 or -1, shape (m,).
        callers: How many there are.
        prior_sd: Standard deviation of a strength before anything is seen.
    """
    k = x.shape[1]
    problem = _Problem(x, a, b, result, callers, prior_sd)
    state = np.zeros(k + 1 + callers)
    variance = _CALLER_SD**2
    for _ in range(_EM_STEPS):
        state = problem.top(state, variance)
        curvature = problem.diagonal(state, variance)[k + 1 :]
        seen = problem.met > 0
        if seen.any():
            variance = float((np.square(state[k + 1 :]) + 1.0 / curvature)[seen].mean())
    state = problem.top(state, variance)
    covariance = problem.covariance(state, variance, k)
    return Preferences(
        strengths=state[:k],
        covariance=covariance,
        log_tie=float(state[k]),
        caller_sd=variance**0.5,
        pairs=len(result),
        ties=int((result == 0).sum()),
    )


class _Problem:
    """The penalised log likelihood in (strengths, log_tie, callers' effects)."""

    def __init__(
        self, x: Floats, a: Ints, b: Ints, result: Ints, callers: int, prior_sd: float
    ) -> None:
        self._x, self._a, self._b = x, a, b
        self._win, self._tie, self._loss = ((result == r).astype(float) for r in (1, 0, -1))
        self._k, self._callers, self._prior = x.shape[1], callers, prior_sd**-2
        self.met = np.bincount(a, minlength=callers) + np.bincount(b, minlength=callers)

    def top(self, state: Floats, variance: float) -> Floats:
        """Return where the penalised log likelihood is highest, by Newton's method."""
        value = self._value(state, variance)
        for _ in range(_STEPS):
            gradient = self._gradient(state, variance)
            if np.abs(gradient).max() < 1e-8 * max(1, len(self._win)):
                break
            step = self._solve(state, variance, gradient)
            size = 1.0
            while (after := self._value(state + size * step, variance)) < value - 1e-9:
                size /= 2.0
                if size < 1e-6:
                    return state
            gained, value, state = after - value, after, state + size * step
            if gained < 1e-9:
                break
        return state

    def diagonal(self, state: Floats, variance: float) -> Floats:
        """Return the diagonal of the negative Hessian."""
        ee, _, tt = self._curvature(state)
        callers = np.bincount(self._a, ee, self._callers) + np.bincount(self._b, ee, self._callers)
        # A call that meets one of its own caller says nothing about that caller.
        same = self._a == self._b
        callers -= np.bincount(self._a[same], 2.0 * ee[same], self._callers)
        strengths = (np.square(self._x) * ee[:, None]).sum(axis=0)
        return np.concatenate([strengths, [tt.sum()], callers]) + self._penalty(variance)

    def covariance(self, state: Floats, variance: float, k: int) -> Floats:
        """Return the posterior covariance of the strengths: a corner of the inverse Hessian."""
        corner = np.eye(len(state), k)
        columns = [self._solve(state, variance, corner[:, i])[:k] for i in range(k)]
        found = np.array(columns).reshape(k, k)
        return (found + found.T) / 2.0

    def _parts(self, state: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        u = state[self._k + 1 :]
        eta = self._x @ state[: self._k] + u[self._a] - u[self._b]
        logits = np.stack([eta / 2.0, np.full(len(eta), state[self._k]), -eta / 2.0])
        top = logits.max(axis=0, initial=0.0)
        powers = np.exp(logits - top)
        total = powers.sum(axis=0)
        win, tie, loss = powers / total
        chosen = self._win * logits[0] + self._tie * logits[1] + self._loss * logits[2]
        return win, tie, loss, chosen - top - np.log(total)

    def _value(self, state: Floats, variance: float) -> float:
        told = self._parts(state)[3].sum()
        return float(told - (self._penalty(variance) * state**2).sum() / 2.0)

    def _gradient(self, state: Floats, variance: float) -> Floats:
        win, tie, loss, _ = self._parts(state)
        by_eta = (self._win - win - self._loss + loss) / 2.0
        by_tie = float((self._tie - tie).sum())
        return self._spread(by_eta, by_tie) - self._penalty(variance) * state

    def _curvature(self, state: Floats) -> tuple[Floats, Floats, Floats]:
        """Return minus the second derivatives by eta, by eta and log_tie, and by log_tie."""
        win, tie, loss, _ = self._parts(state)
        return (win + loss - (win - loss) ** 2) / 4.0, -(win - loss) * tie / 2.0, tie * (1.0 - tie)

    def _spread(self, by_eta: Floats, by_tie: float) -> Floats:
        callers = np.bincount(self._a, by_eta, self._callers)
        callers = callers - np.bincount(self._b, by_eta, self._callers)
        return np.concatenate([self._x.T @ by_eta, [by_tie], callers])

    def _penalty(self, variance: float) -> Floats:
        return np.concatenate(
            [
                np.full(self._k, self._prior),
                [0.01],
                np.full(self._callers, 1.0 / max(variance, 1e-4)),
            ]
        )

    def _solve(self, state: Floats, variance: float, right: Floats) -> Floats:
        """Return the inverse of the negative Hessian times ``right``, by conjugate gradients."""
        ee, et, tt = self._curvature(state)
        penalty, total = self._penalty(variance), float(tt.sum())

        def times(v: Floats) -> Floats:
            u = v[self._k + 1 :]
            eta = self._x @ v[: self._k] + u[self._a] - u[self._b]
            tie = float(v[self._k])
            return self._spread(ee * eta + et * tie, float(et @ eta) + total * tie) + penalty * v

        return _conjugate_gradients(times, right, 1.0 / self.diagonal(state, variance))


def _conjugate_gradients(
    times: Callable[[Floats], Floats], right: Floats, scale: Floats, most: int = 400
) -> Floats:
    """Solve a positive definite system, with the diagonal's inverse as preconditioner."""
    found, rest = np.zeros_like(right), right.copy()
    guided = scale * rest
    direction, power = guided, float(rest @ guided)
    enough = 1e-18 * power
    for _ in range(most):
        if power <= enough:
            break
        image = times(direction)
        step = power / float(direction @ image)
        found, rest = found + step * direction, rest - step * image
        guided = scale * rest
        before, power = power, float(rest @ guided)
        direction = guided + power / before * direction
    return found
