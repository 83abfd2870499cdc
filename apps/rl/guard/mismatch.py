"""Sample-ratio mismatch: do calls get their variants as often as was logged that they would?

If a call is drawn from its logged probabilities p, then for every tilt t the product over calls of
``exp(t * chosen) / (1 + p * (exp(t) - 1))`` is a martingale that begins at 1: the likelihood of
odds exp(t) times those that were logged against the logged ones. So is its mean over tilts to
either side, and by Ville's inequality it ever reaches 1 / alpha with probability alpha at most
(Lindon and Malek 2022, for probabilities that change from call to call). A mismatch means that
something between the draw and the store is broken, and that what is weighed by propensities is
wrong: another process with other rules, lost calls of one variant, a draw that is not random.

Calls are told of when they end, and a variant's calls may last longer than others'. So calls that
have not ended count as whatever speaks least for a mismatch: what is believed is then never more
than the martingale of all decisions in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, expm1, log, log1p
from typing import Any

from apps.core.plural import plural
from apps.rl.guard.confidence import spend

TILTS = (-1.0, -0.4, -0.15, 0.15, 0.4, 1.0, 2.0)
"""Logarithms of the odds ratios that are looked for."""

_GROWTHS = tuple(expm1(t) for t in TILTS)

AWAITED = 1024
"""An end is awaited for so many further decisions; then the call counts as lost."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Which of the latest decisions have ended.

    Attributes:
        newest: The ``seq`` of the newest decision whose end was told.
        before: Decisions up to this one are not looked at.
        told: The bits of those that have ended: the lowest is the newest's.
    """

    newest: int = 0
    before: int = 0
    told: int = 0

    def add(self, choice: int) -> Ends:
        """Return the ends with that of one more decision, by its ``seq``."""
        if choice <= self.before:
            return self
        later = choice - self.newest
        if later >= AWAITED:
            return replace(self, newest=choice, told=1)
        if later > 0:
            told = (self.told << later | 1) & ((1 << AWAITED) - 1)
            return replace(self, newest=choice, told=told)
        return replace(self, told=self.told | 1 << -later) if -later < AWAITED else self

    @property
    def open(self) -> int:
        """How many decisions before the newest one have not ended."""
        return min(self.newest - self.before, AWAITED) - self.told.bit_count()


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

    def log_evidence(self, awaited: int = 0) -> float:
        """Return the logarithm of the mean likelihood ratio over the tilts.

        Args:
            awaited: Calls that have not ended; each changes a tilt's logarithm by no more than it.
        """
        logs = [
            t * self.chosen - cost - abs(t) * awaited
            for t, cost in zip(TILTS, self.costs, strict=True)
        ]
        highest = max(logs)
        return highest + log(sum(exp(value - highest) for value in logs) / len(logs))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """All variants' counts; frozen, an incremental fold over decisions.

    Attributes:
        ratios: By variant.
        ends: Which decisions have ended.
    """

    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    ends: Ends = field(default_factory=Ends)

    def ended(self, choice: int) -> Mismatch:
        """Return the fold when the call of a decision has ended, whatever it may teach."""
        return replace(self, ends=self.ends.add(choice))

    def restart(self) -> Mismatch:
        """Return the fold that looks at the decisions from now on."""
        return Mismatch(ends=Ends(self.ends.newest, before=self.ends.newest))

    def add(self, chosen: str, propensities: Mapping[str, float], choice: int = 0) -> Mismatch:
        """Return the fold with one more decision.

        Args:
            chosen: The variant that the call got.
            propensities: Of every variant, as logged with the decision.
            choice: The decision's ``seq``; 0 where decisions come in their order.
        """
        if 0 < choice <= self.ends.before:
            return self
        ratios = dict(self.ratios)
        for name in dict.fromkeys((*propensities, chosen)):
            p = propensities.get(name, 0.0)
            if p > 0.0 or name == chosen:
                ratio = ratios.get(name) or Ratio(len(ratios) + 1)
                ratios[name] = ratio.add(p, chosen=name == chosen)
        return replace(self, ratios=ratios)

    def alarm(self, alpha: float = 0.001) -> str | None:
        """Return what is wrong, in a sentence; None while chance may explain it.

        Args:
            alpha: The chance of any false alarm, over all variants and at all times.
        """
        if not self.ratios:
            return None
        for name, ratio in self.ratios.items():
            if ratio.impossible:
                return f"{name} was chosen {plural(ratio.impossible, 'time')} at probability 0."
        beyond = {
            name: ratio.log_evidence(self.ends.open) + log(spend(alpha, ratio.number))
            for name, ratio in self.ratios.items()
        }
        name = max(beyond, key=beyond.__getitem__)
        if beyond[name] < 0.0:
            return None
        ratio = self.ratios[name]
        return (
            f"{name} was chosen {plural(ratio.chosen, 'time')}; by the logged probabilities "
            f"{ratio.expected:.0f} were to be expected."
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as names and numbers, for JSON."""
        ratios = {
            name: {
                "number": r.number,
                "chosen": r.chosen,
                "expected": r.expected,
                "costs": list(r.costs),
                "impossible": r.impossible,
            }
            for name, r in self.ratios.items()
        }
        ends = {
            "newest": self.ends.newest,
            "before": self.ends.before,
            "told": f"{self.ends.told:x}",
        }
        return {"ratios": ratios, "ends": ends}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Mismatch:
        """Return what ``as_dict`` wrote."""
        ratios = {
            name: Ratio(**{**r, "costs": tuple(r["costs"])}) for name, r in data["ratios"].items()
        }
        return cls(ratios, Ends(**{**data["ends"], "told": int(data["ends"]["told"], 16)}))
