"""Logged calls as arrays, in the order in which they were decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apps.core.errors import InvalidFeedback
from apps.store.decisions import DecisionRow

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Decisions with their rewards, oldest first; n decisions among k arms.

    Attributes:
        chosen: Index of the arm that was chosen, shape (n,).
        reward: What it earned, shape (n,).
        propensity: The probability of that choice when it was made, in (0, 1], shape (n,).
        arms: k.
        propensities: The probabilities of all arms then, shape (n, k); None where they were not
            logged. Support, calibration and the stabilising weights need them.
        caller: A number for each caller, shape (n,); rows of one caller are not independent.
            None takes every row for a caller of its own.
        contextual: The probabilities depended on the call's own context, not on the past alone.
    """

    chosen: Ints
    reward: Floats
    propensity: Floats
    arms: int
    propensities: Floats | None = None
    caller: Ints | None = None
    contextual: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no log.

        Raises:
            InvalidFeedback: Shapes differ, nothing is logged, a number is not finite, or a
                probability is none.
        """
        n = len(self.chosen)
        _require(n > 0, "nothing is logged")
        for name in ("chosen", "reward", "propensity", "caller"):
            values = getattr(self, name)
            _require(values is None or values.shape == (n,), f"{name} must have shape ({n},)")
        _require(bool(np.isfinite(self.reward).all()), "every reward must be a finite number")
        inside = (self.chosen >= 0) & (self.chosen < self.arms)
        _require(bool(inside.all()), "a chosen arm is none of the arms")
        p = self.propensity
        _require(bool(((p > 0) & (p <= 1)).all()), "a propensity is not in (0, 1]")
        if self.propensities is not None:
            check_policy(self.propensities, (n, self.arms), "the logged probabilities")
            _require(
                bool(np.allclose(pick(self.propensities, self.chosen), p, atol=1e-9)),
                "a propensity is not the logged probability of the arm chosen",
            )

    def __len__(self) -> int:
        return len(self.chosen)

    def where(self, rows: Bools | slice) -> Log:
        """Return the log of some rows, in the same order."""
        return Log(
            self.chosen[rows],
            self.reward[rows],
            self.propensity[rows],
            self.arms,
            None if self.propensities is None else self.propensities[rows],
            None if self.caller is None else self.caller[rows],
            self.contextual,
        )

    def policy(self, target: ArrayLike) -> Floats:
        """Return a target policy's probabilities with shape (n, k), checked.

        Args:
            target: Shape (k,) for a policy that ignores the context, else (n, k).

        Raises:
            InvalidFeedback: The shape is another, or a row is no distribution.
        """
        given = np.asarray(target, float)
        if given.ndim == 1:
            check_policy(given[None], (1, self.arms), "the target policy")
            return np.broadcast_to(given, (len(self), self.arms))
        check_policy(given, (len(self), self.arms), "the target policy")
        return given

    def weights(self, target: ArrayLike) -> Floats:
        """Return the importance weights of the choices, shape (n,)."""
        weights: Floats = pick(self.policy(target), self.chosen) / self.propensity
        return weights

    def predictions(self, model: ArrayLike) -> Floats:
        """Return a reward model's predictions, shape (n, k), checked.

        Raises:
            InvalidFeedback: The shape is another, or a number is not finite.
        """
        given = np.asarray(model, float)
        shape = (len(self), self.arms)
        _require(given.shape == shape, f"the reward model's predictions must have shape {shape}")
        _require(bool(np.isfinite(given).all()), "a prediction is not a finite number")
        return given


def from_decisions(
    rewarded: Iterable[tuple[DecisionRow, float]], arms: Sequence[str], *, contextual: bool = False
) -> Log:
    """Return stored decisions and their calls' rewards as a log.

    Args:
        rewarded: Oldest first. A decision whose reward is not known is left out by whoever asks,
            never given a zero.
        arms: The variants' ids; their order is that of the columns. A variant unknown to a
            decision had no chance in it.
        contextual: See ``Log``.

    Raises:
        InvalidFeedback: A decision has a variant that is none of ``arms``.
    """
    rows = list(rewarded)
    index = {name: i for i, name in enumerate(arms)}
    known = all(set(d.propensities) <= set(index) and d.variant in index for d, _ in rows)
    _require(known, "a decision names a variant that is none of the arms")
    callers: dict[str, int] = {}
    caller = [callers.setdefault(d.subject or f"call {d.call_ref}", len(callers)) for d, _ in rows]
    return Log(
        np.array([index[d.variant] for d, _ in rows], np.intp),
        np.array([reward for _, reward in rows], float),
        np.array([d.propensity for d, _ in rows], float),
        len(arms),
        np.array([[d.propensities.get(name, 0.0) for name in arms] for d, _ in rows], float),
        np.array(caller, np.intp),
        contextual,
    )


def supported(log: Log, target: ArrayLike) -> Bools:
    """Return which decisions gave a chance to every arm that the target policy would use.

    Where variants came and went, the others say nothing about the target. Leaving them out is
    sound as long as eligibility was decided before the call.

    Raises:
        InvalidFeedback: The log lacks the probabilities of all arms.
    """
    _require(log.propensities is not None, "the probabilities of all arms are not in the log")
    assert log.propensities is not None
    covered: Bools = ((log.policy(target) == 0) | (log.propensities > 0)).all(axis=1)
    return covered


def pick(table: Floats, column: Ints) -> Floats:
    """Return one entry of each row, shape (n,)."""
    entries: Floats = np.take_along_axis(table, column[:, None], axis=1)[:, 0]
    return entries


def check_policy(table: Floats, shape: tuple[int, int], what: str) -> None:
    """Refuse a table whose rows are no distributions.

    Raises:
        InvalidFeedback: The shape is another, or a row is no distribution.
    """
    _require(table.shape == shape, f"{what} must have shape {shape}")
    sums = table.sum(axis=1)
    proper = (table >= 0).all() and (abs(sums - 1.0) <= _SUM_TOLERANCE).all()
    _require(bool(proper), f"{what} must be >= 0 and sum to 1 in every row")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InvalidFeedback(f"Off-policy evaluation cannot use this: {what}.")
