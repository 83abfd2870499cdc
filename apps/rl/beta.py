"""Beta distributions, exactly: who is probably the best, the distribution function, quantiles.

Everything is integrated numerically on the logit scale ``t = log(x / (1 - x))``. There a Beta
density is smooth and falls off exponentially on both sides for every alpha, beta > 0, so Gauss-
Legendre panels laid over the bulk and the tails of each distribution reach about 1e-10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDER = 12
_CORE = np.linspace(-9.0, 9.0, 13)  # panel edges in standard deviations around the mode
_TAIL_DECAY = 40.0  # exp(-40) is nothing
_TAIL_PANELS = 8


def probability_best(alphas: Sequence[float], betas: Sequence[float]) -> Floats:
    """Return the probability of each Beta variable to be the largest of all.

    It is the integral of ``f_i(x) * prod_{j != i} F_j(x)``; the result sums to 1.

    Args:
        alphas: First parameters, shape (n,), each > 0.
        betas: Second parameters, shape (n,), each > 0.

    Raises:
        ValueError: The shapes differ, nothing is given, or a parameter is not > 0.
    """
    if len(alphas) != len(betas) or not len(alphas):
        raise ValueError("as many alphas as betas, and at least one")
    if len(alphas) == 1:
        return np.ones(1)
    weighted, below = _mass_and_cdf(np.asarray(alphas, float), np.asarray(betas, float))
    n = len(alphas)
    before = np.ones_like(below)  # product of the distribution functions of all arms before
    after = np.ones_like(below)
    for i in range(1, n):
        before[i] = before[i - 1] * below[i - 1]
        after[n - 1 - i] = after[n - i] * below[n - i]
    chances: Floats = (weighted * before * after).sum(axis=1)
    chances /= chances.sum()
    return chances


def cdf(x: float, alpha: float, beta: float) -> float:
    """Return the probability that a Beta variable is below ``x``."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    a, b = np.asarray([alpha], float), np.asarray([beta], float)
    cut = math.log(x) - math.log1p(-x)
    edges = _edges(a, b)
    edges = np.unique(np.clip(np.append(edges, cut), edges[0], edges[-1]))
    nodes, weights = _panels(edges)
    mass = _density(nodes.ravel(), a, b)[0] * weights.ravel()
    return float(mass[nodes.ravel() < cut].sum() / mass.sum())


def quantile(p: float, alpha: float, beta: float) -> float:
    """Return the value below which a Beta variable is with probability ``p``."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if cdf(middle, alpha, beta) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _mass_and_cdf(alphas: Floats, betas: Floats) -> tuple[Floats, Floats]:
    """Return, at common nodes, each arm's mass (density times weight) and distribution function.

    Both have shape (arms, nodes); each arm's mass sums to 1.
    """
    nodes, weights = _panels(_edges(alphas, betas))
    density = _density(nodes.ravel(), alphas, betas).reshape(len(alphas), *nodes.shape)
    mass = density * weights
    half_widths = weights.sum(axis=1) / 2
    inside = (density @ _INTEGRATION.T) * half_widths[:, None]  # from the panel's left edge on
    panel = mass.sum(axis=2)
    before = np.cumsum(panel, axis=1) - panel
    total = panel.sum(axis=1)[:, None]
    below = (before[:, :, None] + inside).reshape(len(alphas), -1) / total
    return mass.reshape(len(alphas), -1) / total, np.clip(below, 0.0, 1.0)


def _density(t: Floats, alphas: Floats, betas: Floats) -> Floats:
    """Return each arm's density at the logits ``t``, up to a factor; shape (arms, nodes)."""
    mode = np.log(alphas / betas)
    softplus = np.logaddexp(0.0, t)
    at_mode = alphas * mode - (alphas + betas) * np.logaddexp(0.0, mode)
    log = alphas[:, None] * t - (alphas + betas)[:, None] * softplus - at_mode[:, None]
    density: Floats = np.exp(log)
    return density


def _edges(alphas: Floats, betas: Floats) -> Floats:
    """Return panel edges fine enough for every arm, in ascending order."""
    if not (np.all(alphas > 0) and np.all(betas > 0)):
        raise ValueError("alpha and beta must be > 0")
    edges = []
    for alpha, beta in zip(alphas, betas, strict=True):
        mode = math.log(alpha / beta)
        sd = math.sqrt((alpha + beta) / (alpha * beta))
        core = mode + sd * _CORE
        left = mode - max(9.0 * sd, _TAIL_DECAY / alpha)
        right = mode + max(9.0 * sd, _TAIL_DECAY / beta)
        edges += [
            core,
            np.linspace(left, core[0], _TAIL_PANELS),
            np.linspace(core[-1], right, _TAIL_PANELS),
        ]
    joined: Floats = np.unique(np.concatenate(edges))
    return joined


def _panels(edges: Floats) -> tuple[Floats, Floats]:
    """Return Gauss-Legendre nodes and weights, each of shape (panels, order)."""
    middle = (edges[1:] + edges[:-1]) / 2
    half = (edges[1:] - edges[:-1]) / 2
    return middle[:, None] + half[:, None] * _NODES, half[:, None] * _WEIGHTS


def _integration_matrix(nodes: Floats) -> Floats:
    """Return A with ``(A @ f(nodes))[k]`` = integral of f's interpolant from -1 to node k."""
    order = len(nodes)
    legendre = np.polynomial.legendre.legvander(nodes, order)  # P_m at the nodes, m = 0..order
    integrals = np.empty((order, order))
    integrals[:, 0] = nodes + 1.0
    for m in range(1, order):
        integrals[:, m] = (legendre[:, m + 1] - legendre[:, m - 1]) / (2 * m + 1)
    matrix: Floats = integrals @ np.linalg.inv(legendre[:, :order])
    return matrix


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
_INTEGRATION = _integration_matrix(_NODES)
