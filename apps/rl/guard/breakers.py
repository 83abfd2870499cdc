"""Instant breakers: what must not wait for rewards to add up.

One ``unsafe`` flag is enough. Of hang-ups and engine errors so many of a variant's last calls must
have one that chance cannot explain it by the base variant's usual rate; and the base's calls since
then must not fail alike, since an engine that is down hits all. A pure fold over flagged calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import comb

UNSAFE = "unsafe"
COUNTED = ("engine_error", "hang_up")
"""The flags that need several calls; their names are the store's."""

_NAMES = {"engine_error": "an engine error", "hang_up": "a hang-up"}


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker trips.

    Attributes:
        windows: Of how many own last calls flags are counted: the short one finds a break soon, the
            long one finds a leak.
        least: Fewer flagged calls never trip.
        chance: It trips when so many flagged calls, or more, are rarer than this at the base's
            usual rate. Small, since every call is a look.
        base_memory: How many of the base's last calls tell its usual rate.
        base_since: How many calls of the base there must be since the first flagged one.
    """

    windows: tuple[int, ...] = (5, 20)
    least: int = 3
    chance: float = 1e-6
    base_memory: int = 100
    base_since: int = 3


@dataclass(frozen=True, slots=True)
class Recent:
    """A variant's last calls.

    Attributes:
        calls: Their running numbers over all variants, oldest first.
        flagged: By flag, the numbers of those that have it.
        unsafe: How many there ever were.
    """

    calls: tuple[int, ...] = ()
    flagged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unsafe: int = 0

    def add(self, number: int, flags: Collection[str], kept: int) -> Recent:
        """Return the last ``kept`` calls with one more."""
        calls = (*self.calls, number)[-kept:]
        flagged = {}
        for flag in COUNTED:
            numbers = self.flagged.get(flag, ()) + ((number,) if flag in flags else ())
            still = tuple(n for n in numbers if n >= calls[0])
            if still:
                flagged[flag] = still
        return Recent(calls, flagged, self.unsafe + (UNSAFE in flags))

    def count(self, flag: str, since: int) -> tuple[int, int]:
        """Return how many calls from a number on have the flag, and how many there are."""
        hit = sum(n >= since for n in self.flagged.get(flag, ()))
        return hit, sum(n >= since for n in self.calls)


@dataclass(frozen=True, slots=True)
class Breakers:
    """The last calls of every variant; frozen, an incremental fold.

    Attributes:
        base: The base variant.
        number: How many calls were seen.
        recent: By variant.
    """

    base: str
    number: int = 0
    recent: Mapping[str, Recent] = field(default_factory=dict)

    def add(
        self, variant: str, flags: Collection[str] = (), rules: BreakerRules | None = None
    ) -> Breakers:
        """Return the fold with one more call that has ended, rewarded or not."""
        rules = rules or BreakerRules()
        number = self.number + 1
        kept = rules.base_memory if variant == self.base else max(rules.windows)
        recent = self.recent.get(variant, Recent()).add(number, flags, kept)
        return replace(self, number=number, recent={**self.recent, variant: recent})

    def restart(self, variant: str) -> Breakers:
        """Return the fold without what was seen of a variant (when it is reinstated)."""
        return replace(self, recent={n: r for n, r in self.recent.items() if n != variant})

    def tripped(self, variant: str, rules: BreakerRules | None = None) -> str | None:
        """Return why a variant must get no further call, in a sentence; None if it may.

        The base variant is told apart by nobody: of it only ``unsafe`` is said.
        """
        rules = rules or BreakerRules()
        recent = self.recent.get(variant, Recent())
        if recent.unsafe:
            return f"A call with {variant} was flagged as unsafe."
        if variant == self.base:
            return None
        found = (
            self._counted(variant, flag, window, rules)
            for flag in COUNTED
            for window in rules.windows
        )
        return next((why for why in found if why), None)

    def _counted(self, variant: str, flag: str, window: int, rules: BreakerRules) -> str | None:
        recent, base = self.recent.get(variant, Recent()), self.recent.get(self.base, Recent())
        last = recent.calls[-window:]
        hit = [n for n in recent.flagged.get(flag, ()) if n >= last[0]] if last else []
        if len(hit) < rules.least:
            return None
        base_hit, base_calls = base.count(flag, 0)
        usual = (base_hit + 1) / (base_calls + 2)
        if tail(len(hit), len(last), usual) > rules.chance:
            return None
        since_hit, since_calls = base.count(flag, hit[0])
        alike = 2 * since_hit * len(last) > len(hit) * since_calls
        if since_calls < rules.base_since or alike:
            return None
        return (
            f"{len(hit)} of the last {len(last)} calls with {variant} had {_NAMES[flag]}, and "
            f"{base_hit} of {base_calls} with {self.base}."
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as names and numbers, for JSON."""
        recent = {
            name: {
                "calls": list(r.calls),
                "flagged": {flag: list(numbers) for flag, numbers in r.flagged.items()},
                "unsafe": r.unsafe,
            }
            for name, r in self.recent.items()
        }
        return {"base": self.base, "number": self.number, "recent": recent}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Breakers:
        """Return what ``as_dict`` wrote."""
        stored, number = data["recent"], data["number"]
        assert isinstance(stored, Mapping)
        assert isinstance(number, int)
        recent = {
            str(name): Recent(
                tuple(r["calls"]),
                {flag: tuple(numbers) for flag, numbers in r["flagged"].items()},
                r["unsafe"],
            )
            for name, r in stored.items()
        }
        return cls(str(data["base"]), number, recent)


def tail(hits: int, calls: int, rate: float) -> float:
    """Return the binomial probability of ``hits`` or more of ``calls`` at this rate."""
    return sum(
        comb(calls, k) * rate**k * (1.0 - rate) ** (calls - k) for k in range(hits, calls + 1)
    )
