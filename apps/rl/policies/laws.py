"""Student's laws, tabled: who is probably the best, quantiles, draws.

A policy gives each variant a score whose law is ``location + scale * T``, with T of Student's law
with so many degrees of freedom. Degrees are rounded down to those of a ladder; draws and
probabilities use the same ones, so what is computed is exactly what is done.

Distribution functions are tabled over ``y = t / (3 + |t|)``, which reaches from -1 to 1, heavy
tails and all. Linear interpolation between the nodes is within 2e-7 of the function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEGREES = np.array([3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100, 300, np.inf])
"""The ladder; 1000 degrees and more count as infinitely many."""

_BEND = 3.0
_CELLS = 4096
_FLOOR = 1e-300
_STEPS = 48
_COARSE = (0.01, 0.1, 0.35, 0.65, 0.88, 0.97, 0.995, 0.9995, 0.99999)


@dataclass(frozen=True, slots=True)
class Laws:
    """The laws of some variants' scores, independent of each other.

    Attributes:
        location: Medians, shape (n,).
        scale: Each > 0, shape (n,).
        rung: Index into ``DEGREES``, shape (n,).
    """

    location: Floats
    scale: Floats
    rung: NDArray[np.intp]

    @classmethod
    def student(cls, location: Floats, scale: Floats, degrees: Floats) -> Laws:
        """Return laws of the given degrees of freedom, rounded down to the ladder's."""
        rung = np.searchsorted(DEGREES[:-1], degrees, side="right") - 1
        rung = np.where(degrees >= 1000.0, len(DEGREES) - 1, np.maximum(rung, 0))
        return cls(location, scale, rung)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return one score of each."""
        scores: Floats = self.location + self.scale * rng.standard_t(_FINITE_DEGREES[self.rung])
        return scores

    def cdf(self, x: Floats) -> Floats:
        """Return the probability of each to be below ``x``, which broadcasts to shape (n,)."""
        below: Floats = np.exp(self._log_cdf(np.broadcast_to(x, self.location.shape)[:, None]))
        return below[:, 0]

    def quantile(self, p: float) -> Floats:
        """Return the value below which each is with probability ``p``, shape (n,)."""
        standard = np.array([np.interp(p, _CDF[rung], _NODES_T) for rung in self.rung])
        values: Floats = self.location + self.scale * standard
        return values

    def chances(self) -> Floats:
        """Return the probability of each to be the largest of all, shape (n,); they sum to 1.

        The largest score's distribution function is ``P = prod F_i``. In a cell ``(x, x']`` the
        largest lies with probability ``P(x') - P(x)``, and is the i-th with a share of
        ``log F_i(x') - log F_i(x)`` in the sum of these, exactly so where the F_i keep their
        proportions. The cells are quantiles of P itself, so the work lies where the largest does;
        the error falls with the square of their number, and one step of Richardson's takes that
        term away.
        """
        if len(self.location) == 1:
            return np.ones(1)
        spread = self.scale[:, None] * _QUANTILES[self.rung]
        coarse = np.sort((self.location[:, None] + spread).ravel())
        reach = np.exp(self._log_cdf(coarse).sum(axis=0))
        log_cdf = self._log_cdf(np.interp(_TARGETS, reach, coarse))
        log_cdf = np.concatenate([log_cdf, np.zeros((len(self.location), 1))], axis=1)
        fine, rough = _shares(log_cdf), _shares(log_cdf[:, 1::2])
        chances = np.maximum((4.0 * fine - rough) / 3.0, 0.0)
        chances /= chances.sum()
        return chances

    def _log_cdf(self, x: Floats) -> Floats:
        """Return log F_i at points of shape (points,) or (n, points), shape (n, points)."""
        t = (x - self.location[:, None]) / self.scale[:, None]
        place = (t / (_BEND + np.abs(t)) + 1.0) * (_CELLS / 2)
        cell = np.minimum(place.astype(np.intp), _CELLS - 1)
        part = place - cell
        cell += (self.rung * (_CELLS + 1))[:, None]
        log: Floats = _LOG_CDF_FLAT.take(cell)
        log += part * _SLOPE_FLAT.take(cell)
        return log


def _shares(log_cdf: Floats) -> Floats:
    """Return each row's part of the largest's probability over the cells between the columns."""
    total = log_cdf.sum(axis=0)
    mass = np.diff(np.exp(total), prepend=0.0)
    growth = np.diff(total)
    share = mass[1:] / np.maximum(growth, _FLOOR)
    share[0] += mass[0] / max(growth[0], _FLOOR)  # what lies below the first column
    shares: Floats = np.diff(log_cdf, axis=1) @ share
    return shares


def _tables() -> tuple[Floats, Floats]:
    """Return the nodes' t, and the distribution functions there, shape (rungs, nodes)."""
    edges = np.linspace(-1.0, 1.0, _CELLS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    y = (edges[:-1] + edges[1:])[:, None] / 2 + nodes / _CELLS
    t = _BEND * y / (1.0 - np.abs(y))
    stretch = _BEND / (1.0 - np.abs(y)) ** 2
    cdf = np.zeros((len(DEGREES), _CELLS + 1))
    for row, degrees in zip(cdf, _FINITE_DEGREES, strict=True):
        log = -(degrees + 1) / 2 * np.log1p(t**2 / degrees)
        np.cumsum((np.exp(log) * stretch) @ weights, out=row[1:])
        row /= row[-1]
    with np.errstate(divide="ignore"):
        at = _BEND * edges / (1.0 - np.abs(edges))
    return at, cdf


_FINITE_DEGREES = np.minimum(DEGREES, 1e12)  # as good as infinite
_NODES_T, _CDF = _tables()
_LOG_CDF = np.log(np.maximum(_CDF, _FLOOR))
_LOG_CDF_FLAT = _LOG_CDF.ravel()
_SLOPE_FLAT = np.diff(_LOG_CDF, axis=1, append=0.0).ravel()
_QUANTILES = np.array([np.interp(_COARSE, row, _NODES_T) for row in _CDF])
_TARGETS = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0.0, 1.0, 2 * _STEPS + 1)[1:-1])
