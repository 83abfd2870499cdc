"""Sample-ratio mismatch: do calls get their variants as often as was logged that they would?

If a call is drawn from its logged probabilities p, then for every tilt t the product over calls of
``exp(t * chosen) / (1 + p * (exp(t) - 1))`` is a martingale that begins at 1: the likelihood of
odds exp(t) times those that were logged against the logged ones. So is its mean over tilts to
either side, and by Ville's inequality it ever reaches 1 / alpha with probability alpha at most
(Lindon and Malek 2022, for probabilities that change from call to call). A mismatch means that
something between the draw and the store is broken, and that what is weighed by propensities is
wrong: another process with other rules, lost calls of one variant, a draw that is not random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, expm1, log, log1p

from apps.rl.guard.confidence import spend

TILTS = (-1.0, -0.4, -0.15, 0.15, 0.4, 1.0, 2.0)
"""Logarithms of the odds ratios that are looked for."""

_GROWTHS = tuple(expm1(t) for t in TILTS)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One variant's counts.

    Attributes:
        number: Running number of the variant, from 1: decides on its share of the error.
        chosen: How often it was chosen.
        expected: How often it should have been: the sum of its probabilities.
        costs: By tilt, the sum of log(1 + p * (exp(t) - 1)).
        impossible: How often it was chosen at probability 0.
    """

    number: int
    chosen: int = 0
    expected: float = 0.0
    costs: tuple[float, ...] = (0.0,) * len(TILTS)
    impossible: int = 0

    def add(self, probability: float, *, chosen: bool) -> Ratio:
        """Return the counts with one more decision."""
        if probability <= 0.0:
            return replace(self, impossible=self.impossible + chosen)
        sure = min(probability, 1.0)
        costs = [c + log1p(sure * g) for c, g in zip(self.costs, _GROWTHS, strict=True)]
        return Ratio(
            self.number,
            self.chosen + chosen,
            self.expected + sure,
            tuple(costs),
            self.impossible,
        )

    @property
    def log_evidence(self) -> float:
        """The logarithm of the mean likelihood ratio over the tilts."""
        logs = [t * self.chosen - cost for t, cost in zip(TILTS, self.costs, strict=True)]
        highest = max(logs)
        return highest + log(sum(exp(value - highest) for value in logs) / len(logs))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """All variants' counts; frozen, an incremental fold over decisions.

    Attributes:
        ratios: By variant.
    """

    ratios: Mapping[str, Ratio] = field(default_factory=dict)

    def add(self, chosen: str, propensities: Mapping[str, float]) -> Mismatch:
        """Return the fold with one more decision.

        Args:
            chosen: The variant that the call got.
            propensities: Of every variant, as logged with the decision.
        """
        ratios = dict(self.ratios)
        for name in dict.fromkeys((*propensities, chosen)):
            p = propensities.get(name, 0.0)
            if p > 0.0 or name == chosen:
                ratio = ratios.get(name) or Ratio(len(ratios) + 1)
                ratios[name] = ratio.add(p, chosen=name == chosen)
        return Mismatch(ratios)

    def alarm(self, alpha: float = 0.001) -> str | None:
        """Return what is wrong, in a sentence; None while chance may explain it.

        Args:
            alpha: The chance of any false alarm, over all variants and at all times.
        """
        if not self.ratios:
            return None
        for name, ratio in self.ratios.items():
            if ratio.impossible:
                return f"{name} was chosen {ratio.impossible} times at probability 0."
        beyond = {
            name: ratio.log_evidence + log(spend(alpha, ratio.number))
            for name, ratio in self.ratios.items()
        }
        name = max(beyond, key=beyond.__getitem__)
        if beyond[name] < 0.0:
            return None
        ratio = self.ratios[name]
        return (
            f"{name} was chosen {ratio.chosen} times; by the logged probabilities "
            f"{ratio.expected:.0f} were to be expected."
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as names and numbers, for JSON."""
        return {
            name: {
                "number": r.number,
                "chosen": r.chosen,
                "expected": r.expected,
                "costs": list(r.costs),
                "impossible": r.impossible,
            }
            for name, r in self.ratios.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, object]]) -> Mismatch:
        """Return what ``as_dict`` wrote."""
        return cls(
            {
                name: Ratio(**{**r, "costs": tuple(r["costs"])})  # type: ignore[arg-type]
                for name, r in data.items()
            }
        )
