"""Bayesian linear regression that forgets, and never forgets its prior.

``y = x . beta + e`` with ``e ~ N(0, s2)``, ``beta | s2 ~ N(0, s2 * diag(prior))`` and
``s2 ~ InverseGamma(a0, b0)``: conjugate, so that the noise seen sets how wide beta's law is, and a
projection ``c . beta`` has Student's law (Gelman et al., Bayesian Data Analysis, 14.2).

Forgetting weighs an observation by ``discount ** age`` (West & Harrison, Bayesian Forecasting and
Dynamic Models, 6.3). Of the precision ``P = P0 + sum discount**age x x'`` plain discounting would
let P0 fade as well, and directions in which nothing new is seen would blow up. So each step puts
one coordinate's share of P0 back, in turn: two rank-one updates a step, O(d^2), and P0 is within
``discount ** -d`` of itself at every time.

Everything is added up element by element in a fixed order, without BLAS: the same observations
give the same bits in every process.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Noise:
    """The prior of the noise: s2 ~ InverseGamma(shape, shape * sd ** 2).

    Attributes:
        sd: Of the noise, before anything is seen.
        shape: How sure of that; worth ``2 * shape`` observations.
    """

    sd: float = 0.4
    shape: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """What is known of beta; arrays are never changed once they are in here.

    Attributes:
        prior: Prior variances of beta in units of s2, shape (d,).
        covariance: Of beta in units of s2, shape (d, d).
        mean: Of beta, shape (d,).
        pull: Discounted sum of ``x * y``, shape (d,); ``mean = covariance @ pull``.
        total: Discounted sum of ``x``, shape (d,): what observations are like.
        squares: Discounted sum of ``y ** 2``.
        weight: Discounted number of observations.
        turn: The coordinate whose prior is put back next.
    """

    prior: Floats
    covariance: Floats
    mean: Floats
    pull: Floats
    total: Floats
    squares: float = 0.0
    weight: float = 0.0
    turn: int = 0

    @classmethod
    def empty(cls, prior: Floats) -> Regression:
        """Return what is known before anything is seen."""
        zero = np.zeros(len(prior))
        return cls(prior, np.diag(prior), zero, zero, zero)

    def __len__(self) -> int:
        return len(self.prior)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Regression):
            return NotImplemented
        return self.to_json() == other.to_json()

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, bit for bit; of the symmetric covariance one half."""
        d = len(self)
        return {
            "prior": _packed(self.prior),
            "covariance": _packed(self.covariance[np.triu_indices(d)]),
            "mean": _packed(self.mean),
            "pull": _packed(self.pull),
            "total": _packed(self.total),
            "squares": self.squares,
            "weight": self.weight,
            "turn": self.turn,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Regression:
        """Return what ``to_json`` has written.

        Raises:
            ValueError: The numbers cannot be.
            KeyError: Something is missing.
            TypeError: Something is of another type.
        """
        prior, half = _unpacked(data["prior"]), _unpacked(data["covariance"])
        d = len(prior)
        covariance = np.zeros((d, d))
        covariance[np.triu_indices(d)] = half
        covariance.T[np.triu_indices(d)] = half
        mean, pull, total = (_unpacked(data[name]) for name in ("mean", "pull", "total"))
        squares, weight, turn = float(data["squares"]), float(data["weight"]), int(data["turn"])
        if not (len(mean) == len(pull) == len(total) == d and squares >= 0.0 and weight >= 0.0):
            raise ValueError("a regression that cannot be")
        if (prior <= 0.0).any() or (covariance.diagonal() <= 0.0).any() or turn < 0:
            raise ValueError("variances that cannot be")
        return cls(prior, covariance, mean, pull, total, squares, weight, turn)

    def noise(self, prior: Noise) -> tuple[float, float]:
        """Return the noise's estimated standard deviation, and its degrees of freedom."""
        shape = prior.shape + self.weight / 2
        explained = float((self.mean * self.pull).sum())
        scale = prior.shape * prior.sd**2 + max(self.squares - explained, 0.0) / 2
        return (scale / shape) ** 0.5, 2.0 * shape

    def widened(self, prior: Floats) -> Regression:
        """Return the same with further coordinates, of which nothing is known yet."""
        if not len(prior):
            return self
        d, more = len(self), len(prior)
        covariance = np.zeros((d + more, d + more))
        covariance[:d, :d] = self.covariance
        covariance[np.arange(d, d + more), np.arange(d, d + more)] = prior
        zero = np.zeros(more)
        return Regression(
            np.concatenate([self.prior, prior]),
            covariance,
            np.concatenate([self.mean, zero]),
            np.concatenate([self.pull, zero]),
            np.concatenate([self.total, zero]),
            self.squares,
            self.weight,
            self.turn,
        )

    def observed(self, at: Ints, x: Floats, y: float, discount: float = 1.0) -> Regression:
        """Return what is known after one more observation.

        Args:
            at: Coordinates that are not zero, each once, shape (m,).
            x: Their values, shape (m,).
            y: What was observed.
            discount: Weight of all earlier observations, in (0, 1].
        """
        covariance, mean, turn = self.covariance, self.mean, self.turn
        pull, total = self.pull * discount, self.total * discount
        if discount < 1.0:
            covariance, mean, turn = self._faded(discount)
        along = _rows_sum(covariance, at, x)
        surprise = 1.0 + _dot(x, along[at])
        root = along / surprise**0.5  # squared below, so that symmetry holds to the last bit
        covariance = covariance - np.multiply.outer(root, root)
        mean = mean + along * ((y - _dot(x, mean[at])) / surprise)
        pull[at] += x * y
        total[at] += x
        squares, weight = self.squares * discount + y * y, self.weight * discount + 1.0
        return Regression(self.prior, covariance, mean, pull, total, squares, weight, turn)

    def revised(self, at: Ints, x: Floats, old: float, new: float, weight: float) -> Regression:
        """Return what is known when an observation turns out to have been another one.

        Args:
            at: As it was observed.
            x: As it was observed.
            old: What had been observed.
            new: What takes its place.
            weight: How much of it is remembered: the discount to the power of its age.
        """
        change = weight * (new - old)
        pull = self.pull.copy()
        pull[at] += change * x
        mean = self.mean + change * _rows_sum(self.covariance, at, x)
        squares = max(self.squares + weight * (new * new - old * old), 0.0)
        return replace(self, mean=mean, pull=pull, squares=squares)

    def _faded(self, discount: float) -> tuple[Floats, Floats, int]:
        """Return covariance and mean when all is discounted but one coordinate's prior."""
        d, j = len(self), self.turn % len(self)
        covariance = self.covariance * (1.0 / discount)
        back = (1.0 - discount**d) / self.prior[j]
        column = covariance[j].copy()
        share = back / (1.0 + back * float(column[j]))
        mean = self.mean - column * (share * float(self.mean[j]))
        column *= share**0.5
        covariance -= np.multiply.outer(column, column)
        return covariance, mean, (j + 1) % d


def _rows_sum(matrix: Floats, at: Ints, x: Floats) -> Floats:
    """Return ``x @ matrix[at]``, added up row by row."""
    total: Floats = (matrix[at] * x[:, None]).sum(axis=0)
    return total


def _dot(x: Floats, y: Floats) -> float:
    return float(sum((x * y).tolist()))


def _packed(numbers: Floats) -> str:
    return base64.b64encode(numbers.astype("<f8").tobytes()).decode("ascii")


def _unpacked(text: str) -> Floats:
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f8").astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("numbers that are not finite")
    return numbers
