"""All variants' contests with the base variant in one fold, and what follows from them.

Each has two: of all calls since its trial began, which tells small differences in the end; and,
after a while, of a recent block of calls, which tells a variant that was good and turned bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from apps.rl.guard.confidence import Contest, spend

BLOCK = 200
"""Own calls of a block; the first one of a trial is looked at as a whole only."""

RECENT = 0.25
"""Share of the family's error that the blocks have together."""


class Finding(StrEnum):
    """What is sure of a variant beside the base."""

    WORSE = "worse"
    """It is worse: blacklist it."""
    NOT_WORSE = "not_worse"
    """It is not worse by more than the margin: it may count as established."""
    OPEN = "open"
    """Nothing yet."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """How sure the guard must be.

    Attributes:
        alpha: The chance that any innocent variant is ever blacklisted, over all variants.
        gate_alpha: Each variant's own chance of passing the gate although it is worse than the
            base by more than ``margin``; it can still be blacklisted then.
        margin: What an established variant may be worse by, in rewards.
    """

    alpha: float = 0.05
    gate_alpha: float = 0.1
    margin: float = 0.15


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is sure of a variant, with the interval that says so.

    Attributes:
        finding: What is sure.
        low: The difference to the base's mean reward is above this...
        high: ...and below this, each at its share of the family's error.
        why: A sentence.
    """

    finding: Finding
    low: float
    high: float
    why: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant's contest; a variant that is reinstated begins another trial.

    Attributes:
        number: Running number over all variants, from 1: decides on its share of the error.
        contest: What was seen since it began.
        block: Running number of its recent block over all variants; 0 before the first.
        recent: What was seen in that block.
    """

    number: int
    contest: Contest = field(default_factory=Contest)
    block: int = 0
    recent: Contest = field(default_factory=Contest)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the interval that says most against the variant, at its share of the error."""
        whole = self.contest.difference(spend(alpha * (1.0 - RECENT), self.number))
        if self.block == 0 or whole[1] < 0.0:
            return whole
        recent = self.recent.difference(spend(alpha * RECENT, self.block))
        return recent if recent[1] < 0.0 else whole

    def surely_worse(self, alpha: float) -> bool:
        """Return whether all calls, or the recent ones, say that the variant is worse."""
        if self.contest.surely_worse(spend(alpha * (1.0 - RECENT), self.number)):
            return True
        return self.block > 0 and self.recent.surely_worse(spend(alpha * RECENT, self.block))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What calls said of every variant beside the base; frozen, an incremental fold.

    Another base variant means another family: begin anew with ``Evidence(base)``.

    Attributes:
        base: The base variant.
        trials: By variant, the trial that runs.
        begun: How many trials there ever were.
        blocks: How many recent blocks there ever were.
    """

    base: str
    trials: Mapping[str, Trial] = field(default_factory=dict)
    begun: int = 0
    blocks: int = 0

    def add(
        self,
        chosen: str,
        reward: float,
        propensities: Mapping[str, float],
        expected: float = 0.0,
    ) -> Evidence:
        """Return the evidence with one more rewarded call, in the order of their rewards.

        Args:
            chosen: The variant that the call got.
            reward: In [-1, 1].
            propensities: Of every variant, as logged before the call. Those of probability 0
                learn nothing from it; a variant that is seen for the first time begins a trial.
            expected: See ``Contest.add``.
        """
        chances = self._chances(chosen, propensities)
        if not chances:
            return self
        trials, begun, blocks = dict(self.trials), self.begun, self.blocks
        for name, chance in chances.items():
            trial = trials.get(name)
            if trial is None:
                begun += 1
                trial = Trial(begun)
            own = name == chosen
            contest = trial.contest.add(reward, own=own, chance=chance, expected=expected)
            block, recent = trial.block, trial.recent
            if block:
                recent = recent.add(reward, own=own, chance=chance, expected=expected)
            if own and contest.calls % BLOCK == 0:
                blocks += 1
                block, recent = blocks, Contest()
            trials[name] = Trial(trial.number, contest, block, recent)
        return replace(self, trials=trials, begun=begun, blocks=blocks)

    def _chances(self, chosen: str, propensities: Mapping[str, float]) -> dict[str, float]:
        """Return for whom the call was open, and the chance that it went there and not to the base.

        A chance so near to 0 or 1 that it is no other number tells nothing.
        """
        base_p = propensities.get(self.base, 0.0)
        rivals = propensities if chosen == self.base else (chosen,)
        odds = {name: propensities.get(name, 0.0) for name in rivals if name != self.base}
        chances = {name: p / (p + base_p) for name, p in odds.items() if p > 0.0}
        return {name: chance for name, chance in chances.items() if 0.0 < chance < 1.0}

    def restart(self, variant: str) -> Evidence:
        """Return the evidence with a new trial of a variant (when it is reinstated).

        The new trial spends error of its own, so that second chances keep the family's bound.
        """
        begun = self.begun + 1
        return replace(self, trials={**self.trials, variant: Trial(begun)}, begun=begun)

    def difference(self, variant: str, alpha: float = 0.05) -> tuple[float, float]:
        """Return an interval for a variant's mean reward less the base's, over the family.

        Args:
            variant: Which one; never seen, it is (-2, 2).
            alpha: Error of all variants' upper ends together at all times; of all lower ends too.
        """
        trial = self.trials.get(variant)
        return trial.bounds(alpha) if trial else (-2.0, 2.0)

    def surely_worse(self, variant: str, alpha: float = 0.05) -> bool:
        """Return whether a variant is worse than the base; ``alpha`` is the family's error."""
        trial = self.trials.get(variant)
        return trial is not None and trial.surely_worse(alpha)

    def surely_not_worse(self, variant: str, alpha: float = 0.1, margin: float = 0.15) -> bool:
        """Return whether a variant is not worse than the base by more than the margin.

        Args:
            variant: Which one.
            alpha: The error for this variant alone.
            margin: In rewards.
        """
        trial = self.trials.get(variant)
        return trial is not None and trial.contest.surely_not_worse(alpha, margin)

    def verdict(self, variant: str, sureness: Sureness | None = None) -> Verdict:
        """Return what is sure of a variant, and why."""
        sure = sureness or Sureness()
        trial = self.trials.get(variant)
        if trial is None:
            return Verdict(Finding.OPEN, -2.0, 2.0, f"{variant} has no rewarded call yet.")
        low, high = self.difference(variant, sure.alpha)
        calls = trial.contest.calls
        seen = f"beside {self.base} after {calls} own call{'' if calls == 1 else 's'}"
        between = f"the difference lies in [{low:+.2f}, {high:+.2f}]"
        if self.surely_worse(variant, sure.alpha):
            why = f"{variant} is surely worse {seen}: {between}."
            return Verdict(Finding.WORSE, low, high, why)
        if self.surely_not_worse(variant, sure.gate_alpha, sure.margin):
            why = f"{variant} is surely not worse by more than {sure.margin} {seen}; {between}."
            return Verdict(Finding.NOT_WORSE, low, high, why)
        return Verdict(Finding.OPEN, low, high, f"Nothing is sure of {variant} {seen}: {between}.")

    def as_dict(self) -> dict[str, object]:
        """Return it as names and numbers, for JSON."""
        trials = {
            name: {
                "number": trial.number,
                "contest": trial.contest.as_dict(),
                "block": trial.block,
                "recent": trial.recent.as_dict(),
            }
            for name, trial in self.trials.items()
        }
        numbers = {"begun": self.begun, "blocks": self.blocks}
        return {"base": self.base, **numbers, "trials": trials}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Evidence:
        """Return what ``as_dict`` wrote."""
        stored = data["trials"]
        assert isinstance(stored, Mapping)
        trials = {
            str(name): Trial(
                trial["number"],
                Contest.from_dict(trial["contest"]),
                trial["block"],
                Contest.from_dict(trial["recent"]),
            )
            for name, trial in stored.items()
        }
        begun, blocks = data["begun"], data["blocks"]
        assert isinstance(begun, int)
        assert isinstance(blocks, int)
        return cls(str(data["base"]), trials, begun, blocks)
