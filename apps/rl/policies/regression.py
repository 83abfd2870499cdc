"""Bayesian linear regression that forgets, and never forgets its prior.

``y = x . beta + e`` with ``e ~ N(0, s2)``, ``beta | s2 ~ N(0, s2 * diag(prior))`` and
``s2 ~ InverseGamma(shape, shape * sd ** 2)``: conjugate, so that the noise seen sets how wide the
law of beta is, and a projection ``c . beta`` has Student's law (Gelman et al., Bayesian Data
Analysis, chapter 14).

Beta may wander. Between observations its covariance C becomes ``(1 - f) C + f diag(prior)``, which
is a random walk with steps of variance ``f (diag(prior) - C)``: the dynamic linear model of West &
Harrison (Bayesian Forecasting and Dynamic Models, chapter 6), with evolution relative to what is
left to know. What is well known loosens, what is not known stays as wide as the prior and never
blows up, and a small ``f`` at every step and a large one after a change are the same operation.

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
        total: Sum of all ``x``, shape (d,): what observations are like.
        squares: Sum of the squared forecast errors, each in units of its forecast's variance.
        weight: Number of observations.
    """

    prior: Floats
    covariance: Floats
    mean: Floats
    total: Floats
    squares: float = 0.0
    weight: float = 0.0

    @classmethod
    def empty(cls, prior: Floats) -> Regression:
        """Return what is known before anything is seen."""
        zero = np.zeros(len(prior))
        return cls(prior, np.diag(prior), zero, zero)

    def __len__(self) -> int:
        return len(self.prior)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Regression):
            return NotImplemented
        return self.to_json() == other.to_json()

    def noise(self, prior: Noise) -> tuple[float, float]:
        """Return the noise's estimated standard deviation, and its degrees of freedom."""
        shape = prior.shape + self.weight / 2
        scale = prior.shape * prior.sd**2 + self.squares / 2
        return (scale / shape) ** 0.5, 2.0 * shape

    def widened(self, prior: Floats) -> Regression:
        """Return the same with further coordinates, of which nothing is known yet."""
        d, more = len(self), len(prior)
        covariance = np.zeros((d + more, d + more))
        covariance[:d, :d] = self.covariance
        covariance[np.arange(d, d + more), np.arange(d, d + more)] = prior
        zero = np.zeros(more)
        return replace(
            self,
            prior=np.concatenate([self.prior, prior]),
            covariance=covariance,
            mean=np.concatenate([self.mean, zero]),
            total=np.concatenate([self.total, zero]),
        )

    def loosened(self, forgotten: float, kept: float = 1.0) -> Regression:
        """Return what is still known when a share of the sureness is lost.

        Args:
            forgotten: The share, in [0, 1].
            kept: How much stays of the means, in [0, 1].
        """
        covariance = self.covariance * (1.0 - forgotten)
        diagonal = np.arange(len(self))
        covariance[diagonal, diagonal] += forgotten * self.prior
        return replace(self, covariance=covariance, mean=self.mean * kept)

    def forecast(self, at: Ints, x: Floats) -> tuple[float, float]:
        """Return an observation's expectation, and its variance in units of s2.

        Args:
            at: Coordinates that are not zero, each once, shape (m,).
            x: Their values, shape (m,).
        """
        along = _rows_sum(self.covariance, at, x)
        return _dot(x, self.mean[at]), 1.0 + _dot(x, along[at])

    def observed(self, at: Ints, x: Floats, y: float, forgotten: float = 0.0) -> Regression:
        """Return what is known after one more observation.

        Args:
            at: Coordinates that are not zero, each once, shape (m,).
            x: Their values, shape (m,).
            y: What was observed.
            forgotten: Share of the noise's observations that is forgotten before.
        """
        along = _rows_sum(self.covariance, at, x)
        variance = 1.0 + _dot(x, along[at])
        error = y - _dot(x, self.mean[at])
        root = along / variance**0.5  # squared below, so that symmetry holds to the last bit
        total = self.total.copy()
        total[at] += x
        return Regression(
            self.prior,
            self.covariance - np.multiply.outer(root, root),
            self.mean + along * (error / variance),
            total,
            self.squares * (1.0 - forgotten) + error * error / variance,
            self.weight * (1.0 - forgotten) + 1.0,
        )

    def revised(self, at: Ints, x: Floats, old: float, new: float, weight: float) -> Regression:
        """Return what is known when an observation turns out to have been another one.

        Without forgetting it is exactly what would be known if that had been seen at once.

        Args:
            at: As it was observed.
            x: As it was observed.
            old: What had been observed.
            new: What takes its place.
            weight: How much of it is remembered, in [0, 1].
        """
        change = new - old
        along = _rows_sum(self.covariance, at, x)
        expected, spread = _dot(x, self.mean[at]), _dot(x, along[at])
        squares = self.squares + weight * change * (new + old - 2.0 * expected - change * spread)
        mean = self.mean + along * (weight * change)
        return replace(self, mean=mean, squares=max(squares, 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, bit for bit; of the symmetric covariance one half."""
        return {
            "prior": _packed(self.prior),
            "covariance": _packed(self.covariance[np.triu_indices(len(self))]),
            "mean": _packed(self.mean),
            "total": _packed(self.total),
            "squares": self.squares,
            "weight": self.weight,
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
        mean, total = _unpacked(data["mean"]), _unpacked(data["total"])
        squares, weight = float(data["squares"]), float(data["weight"])
        if not (len(mean) == len(total) == d and squares >= 0.0 and weight >= 0.0):
            raise ValueError("a regression that cannot be")
        if (prior <= 0.0).any() or (covariance.diagonal() <= 0.0).any():
            raise ValueError("variances that cannot be")
        return cls(prior, covariance, mean, total, squares, weight)


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
