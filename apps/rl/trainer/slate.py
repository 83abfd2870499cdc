"""Off-policy evaluation of combinations that were never served, slot by slot.

A combination without a single call has no importance weight. But its slot values were served, in
other combinations. If what the reward model leaves unexplained is a sum over slots, then with
``phi`` the columns of a combination's slots (and a constant) and, for call t,
``G_t = sum_a p_t(a) phi(a) phi(a)'``, the weight ::

    w_t(c) = phi(c)' G_t^-1 phi(served)

has the property that w_t(c) times the rest has the rest of c as its mean: the pseudo-inverse
estimator (Swaminathan et al. 2017, "Off-policy evaluation for slate recommendation"), here on the
residuals of the reward model, which makes it doubly robust. It needs the logged probabilities of
all variants, and a call supports a combination where ``phi(c)`` lies in the range of ``G_t``.
Weights may be negative. A call's score has about the variance ``phi(c)' G_t^-1 phi(c)``; as that is
known before the call, dividing by its root steadies logs of a policy that learned (see
off_policy/adaptive.py). The mean over the calls before stands in for it, since probabilities may
depend on the call's own context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.core.policy import PolicySlots
from apps.rl.off_policy import Interval, Log, Terms, delta
from apps.rl.off_policy.adaptive import mean_before
from apps.rl.off_policy.diagnostics import effective_size
from apps.rl.trainer.features import Floats, slot_columns

_TOLERANCE = 1e-6
_RANK = 1e-9
_AT_ONCE = 500  # calls; what is held for each is large


@dataclass(frozen=True, slots=True)
class SlotEstimate:
    """How much more a combination earns than the base variant, by the log.

    Attributes:
        refusal: Why the log cannot say, in a sentence; None where it can.
        value: The difference of the mean rewards; None when refused.
        interval: Where it truly lies.
        effective: How many calls of the combination the log is worth.
    """

    refusal: str | None
    effective: float
    value: float | None = None
    interval: Interval | None = None


def against_base(
    log: Log,
    arms: Sequence[PolicySlots],
    asked: Sequence[PolicySlots],
    base: PolicySlots,
    predicted: Floats,
    predicted_served: Floats,
    *,
    floor: float = 50.0,
    level: float = 0.95,
) -> list[SlotEstimate]:
    """Return for each combination how much more than the base variant it earns.

    Args:
        log: The logged calls, with the probabilities of all arms.
        arms: The arms' slots, in the order of the log's columns.
        asked: The combinations.
        base: The base variant's slots.
        predicted: The reward model's predictions of the combinations less those of the base,
            shape (n, asked), each row's from earlier calls only.
        predicted_served: Its predictions of what was served, shape (n,).
        floor: Fewer effective calls than this are refused.
        level: Of the intervals.
    """
    weights, supported, variance = slot_weights(log, arms, [*asked, base])
    residual = log.reward - predicted_served
    found = []
    for j in range(len(asked)):
        difference = weights[:, j] - weights[:, -1]
        effective = min(effective_size(weights[:, j]), effective_size(weights[:, -1]))
        refusal = _refusal(
            float(1.0 - (supported[:, j] & supported[:, -1]).mean()), effective, floor
        )
        if refusal is not None:
            found.append(SlotEstimate(refusal, effective))
            continue
        spread = variance[:, j] + variance[:, -1]
        steady = 1.0 / np.sqrt(mean_before(spread, first=float(spread[0])))
        score = predicted[:, j] + difference * residual
        terms = Terms("slot-wise DR", steady * score, steady)
        interval = delta(terms, log.caller, level=level)
        found.append(SlotEstimate(None, effective, terms.value, interval))
    return found


def slot_weights(
    log: Log, arms: Sequence[PolicySlots], asked: Sequence[PolicySlots]
) -> tuple[Floats, np.ndarray, Floats]:
    """Return weights, whether a call supports a combination, and the scores' variance before it.

    All have shape (n, asked); the variance is in units of the residual's.
    """
    assert log.propensities is not None
    phi, wanted = _with_constant(arms), _with_constant(asked)
    shape = (len(log), len(asked))
    weights, supported, size = np.empty(shape), np.empty(shape, bool), np.empty(shape)
    for begin in range(0, len(log), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        gram = np.einsum("ta,ai,aj->tij", log.propensities[part], phi, phi, optimize=True)
        inverse = np.linalg.pinv(gram, rcond=_RANK, hermitian=True)
        towards = wanted @ inverse  # (calls, asked, columns)
        weights[part] = (towards @ phi[log.chosen[part], :, None])[:, :, 0]
        supported[part] = np.abs(wanted - towards @ gram).max(axis=2) < _TOLERANCE
        size[part] = np.maximum((towards * wanted).sum(axis=2), _TOLERANCE)
    return weights, supported, size


def _with_constant(slots: Sequence[PolicySlots]) -> Floats:
    columns = slot_columns(slots)
    return np.hstack([np.ones((len(columns), 1)), columns])


def _refusal(unsupported: float, effective: float, floor: float) -> str | None:
    if unsupported > 0.01:
        return f"{unsupported:.0%} of the calls had no variant with some of its slot values."
    if effective < floor:
        return f"The log is worth {effective:.0f} calls of it, fewer than {floor:g}."
    return None
