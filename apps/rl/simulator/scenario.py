"""What a simulated world is like, as data: who calls, what they like, what goes wrong.

A slot's value is written ``slot=value``, for instance ``length=short``; the slots and values are
those of ``PolicySlots``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.core.errors import ConfigError
from apps.core.policy import PolicySlots


@dataclass(frozen=True, slots=True)
class Rule:
    """One piece of a taste: a plain liking, an interaction, a threshold or a parity.

    Attributes:
        of: Slot values that are counted.
        weight: Added to the call's appeal where the rule holds.
        at_least: It holds from this many on; 0 means all of them.
        odd: It holds where their number is odd instead, and takes ``weight`` away where it is
            even. No sum over slots comes near this one.
    """

    of: tuple[str, ...]
    weight: float
    at_least: int = 0
    odd: bool = False

    def appeal(self, values: frozenset[str]) -> float:
        """Return what the rule adds for a variant with these slot values."""
        count = len(values.intersection(self.of))
        if self.odd:
            return self.weight if count % 2 else -self.weight
        return self.weight if count >= (self.at_least or len(self.of)) else 0.0


@dataclass(frozen=True, slots=True)
class Taste:
    """What a kind of caller likes, hidden from the learner."""

    name: str
    rules: tuple[Rule, ...]

    def appeal(self, slots: PolicySlots) -> float:
        """Return how much such a caller likes these slots; 0 is neither nor, 1 a great deal."""
        values = values_of(slots)
        return sum(rule.appeal(values) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Segment:
    """Callers whom the learner can tell from others: one profile, one language.

    Attributes:
        profile: The profile that they call.
        language: Their language, as a code.
        share: Of all callers, relative to the other segments.
        tastes: Share of each taste among them, by its name.
        stt_offset: Added to the logit of the recogniser's confidence.
    """

    profile: str
    language: str
    share: float
    tastes: Mapping[str, float]
    stt_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Drift:
    """Callers whose taste changes; a step where ``begins`` equals ``ends``.

    Attributes:
        becomes: A taste's name to what it turns into.
        begins: The first call (by its index) that is not as before.
        ends: The first call where the change is complete.
    """

    becomes: Mapping[str, str]
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Speech:
    """How well callers are heard and how fast they are answered.

    Attributes:
        severity: How much bad speech conditions take from a call; 0 switches them off.
        slow_hours: Height of the hours in which answers are slow and lines are bad, in units of
            the logarithm of the latency.
    """

    severity: float = 0.5
    slow_hours: float = 0.3


@dataclass(frozen=True, slots=True)
class Ratings:
    """Who says a rating, and when.

    The logit of the chance of an answer to the question, given the rating r that they would say,
    is ``base + extremes * ((r - 3) / 2)**2 + happy * (r - 3) / 2 + mood * (the caller's mood)``.

    Attributes:
        offered: Share of the calls that are asked (of those neither abandoned nor handed over).
        base: See above.
        extremes: See above.
        happy: See above.
        mood: See above.
        late_share: Share of the ratings that come after the call.
        late_mean_s: Mean of their exponential delay, in seconds.
    """

    offered: float = 0.9
    base: float = -0.6
    extremes: float = 0.8
    happy: float = 0.3
    mood: float = 0.4
    late_share: float = 0.0
    late_mean_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Bots:
    """Callers who only want to push one variant: the worst one, or ``target``.

    They are as happy as can be when they get it, and as unhappy as can be otherwise.

    Attributes:
        share: Of all calls.
        accounts: How many callers they are.
        copies: Mean number of further times that they send a call's feedback.
        target: The variant; None for that with the lowest true mean at the beginning.
    """

    share: float = 0.0
    accounts: int = 1
    copies: float = 0.0
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a variant's prompt, whatever its slots are.

    Attributes:
        quality: Added to the appeal for every caller.
        hang_up: Added to the chance that the caller leaves before the first answer.
        unsafe: Chance that an answer of the call is flagged as unsafe.
    """

    quality: float = 0.0
    hang_up: float = 0.0
    unsafe: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world to learn in.

    Attributes:
        name: Short; it is part of the random seed.
        story: What it is there to show, in a sentence.
        variants: The variants' slots by id.
        tastes: All tastes that segments and drift name.
        segments: Who calls.
        base: The variant that is always there.
        calls: How long a run is.
        callers: How many people there are; the fewer, the more of them come back.
        calls_per_day: How often somebody calls.
        individuality: Standard deviation of each caller's own liking of each slot value.
        drift: What changes; None for nothing.
        speech: Speech conditions.
        ratings: Who rates.
        bots: Who cheats.
        faults: Broken variants by id.
    """

    name: str
    story: str
    variants: Mapping[str, PolicySlots]
    tastes: tuple[Taste, ...]
    segments: tuple[Segment, ...]
    base: str = "v1a"
    calls: int = 5000
    callers: int = 2500
    calls_per_day: float = 400.0
    individuality: float = 0.1
    drift: Drift | None = None
    speech: Speech = Speech()
    ratings: Ratings = Ratings()
    bots: Bots = Bots()
    faults: Mapping[str, Fault] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a world that cannot be.

        Raises:
            ConfigError: Something is named that does not exist, or a number cannot be.
        """
        names = {taste.name for taste in self.tastes}
        named = {name for segment in self.segments for name in segment.tastes}
        if self.drift is not None:
            named |= set(self.drift.becomes) | set(self.drift.becomes.values())
            self._check(0 <= self.drift.begins <= self.drift.ends, "the drift's begin and end")
        variants = {self.base, *self.faults} | ({self.bots.target} - {None})
        self._check(len(names) == len(self.tastes), "two tastes of one name")
        self._check(bool(self.segments), "no segments")
        self._check(named <= names, f"tastes {sorted(named - names)}")
        self._check(variants <= set(self.variants), f"variants {variants - set(self.variants)}")
        self._check(all(s.share > 0 and s.tastes for s in self.segments), "an empty segment")
        self._check(0.0 <= self.bots.share < 1.0 and self.bots.accounts > 0, "bots")
        self._check(self.callers >= len(self.segments), "fewer callers than segments")
        self._check(self.calls > 0 and self.calls_per_day > 0, "no calls")
        values = {value for taste in self.tastes for rule in taste.rules for value in rule.of}
        self._check(values <= set(SLOT_VALUES), f"slot values {sorted(values - set(SLOT_VALUES))}")

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise ConfigError(f"The scenario {self.name} cannot be: {what}.")


def values_of(slots: PolicySlots) -> frozenset[str]:
    """Return a variant's slot values, each as ``slot=value``."""
    return frozenset(f"{slot}={value}" for slot, value in slots.as_dict().items())


SLOT_VALUES: tuple[str, ...] = tuple(
    f"{slot}={value.value}"
    for slot, default in ((n, getattr(PolicySlots(), n)) for n in PolicySlots().as_dict())
    for value in type(default)
)
"""Every slot value there is, in the slots' order."""
