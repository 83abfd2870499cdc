"""What the search for abuse looks at, and the limits that it knows: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from apps.core.errors import ConfigError


class Reason(StrEnum):
    """Why an event is held; the codes are stored, and label a metric."""

    SAME_CALL = "same_call"
    """Another event of this call counts already."""
    OTHER_VARIANT = "other_variant"
    """The call had another variant than the event says."""
    UNKNOWN_CALL = "unknown_call"
    """The call did not run here, and feedback from elsewhere has its share already."""
    HELD_BEFORE = "held_before"
    """It revises an event that is held itself."""
    BURST = "burst"
    """More events of one caller within an hour than somebody who telephones has."""
    TOO_MANY = "too_many"
    """The caller's rewards of a day are used up."""
    SHARE = "share"
    """The caller's share of the variant's latest rewards is used up."""
    IDENTICAL = "identical"
    """The same caller told exactly the same, to the last digit of the duration, before; or left
    before a first answer, before."""
    COPIED = "copied"
    """Several other callers told exactly the same of this variant."""
    PARTISAN = "partisan"
    """Nothing but best and worst ratings, and which one is up to the variant alone."""
    REGULAR = "regular"
    """The caller's calls last equally long, time and again."""
    LOW_QUALITY = "low_quality"
    """No rule is broken, but the quality score is below its floor."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much counts, and what is suspicious.

    Attributes:
        per_hour: Events of one caller within a clock hour; more are a burst.
        per_day: Rewards of one caller that count within 24 hours.
        share: Largest share of one caller among a variant's latest rewards...
        share_least: ...but so many count in any case.
        window: How many of a variant's latest rewards are looked at.
        history: How many of a caller's latest events are looked at.
        copies: Held when so many other events in the window say exactly the same.
        partisan_ratings: Ratings of a caller, from which on their pattern is judged.
        regular_calls: Calls of a caller, from which on their durations are judged.
        regular_gap: Relative distance of two durations that counts as none.
        quality_floor: Held below this quality score; 0 switches it off.
        winsorise: Rewards further than this many robust standard deviations from the variant's
            median are cut there; 0 switches it off.
        winsorise_from: ...once so many rewards are known of the variant.
        elsewhere: Largest share of calls that did not run here among a variant's latest rewards,
            in an installation that holds calls itself.
    """

    per_hour: int = 4
    per_day: int = 6
    share: float = 0.05
    share_least: int = 5
    window: int = 100
    history: int = 30
    copies: int = 5
    partisan_ratings: int = 5
    regular_calls: int = 5
    regular_gap: float = 0.005
    quality_floor: float = 0.5
    winsorise: float = 2.0
    winsorise_from: int = 20
    elsewhere: float = 0.1

    def __post_init__(self) -> None:
        """Refuse limits that cannot be.

        Raises:
            ConfigError: One is out of its range; it is named.
        """
        counts = ("per_hour", "per_day", "share_least", "window", "history", "copies")
        for name in (*counts, "partisan_ratings", "regular_calls", "winsorise_from"):
            self._check(getattr(self, name) >= 1, name)
        self._check(0.0 < self.share <= 1.0, "share")
        self._check(self.regular_gap >= 0.0, "regular_gap")
        self._check(0.0 <= self.quality_floor <= 1.0, "quality_floor")
        self._check(self.winsorise >= 0.0, "winsorise")
        self._check(0.0 <= self.elsewhere <= 1.0, "elsewhere")

    def _check(self, holds: bool, name: str) -> None:
        if not holds:
            raise ConfigError(f"The limit {name} of feedback cannot be {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class Told:
    """One call's event, as far as abuse can be seen in it.

    Attributes:
        variant: The variant that it is about.
        reward: In [-1, 1], before anything is cut; 0 for an abandoned call.
        signals: What the reward was made of, by their names.
        hour: Whole hours since 1970.
        call_ref: The call's pseudonym.
        subject: The caller's pseudonym; None for a caller who cannot be told from others.
        held: Why it does not count; None for a sound one.
        revision: It takes the place of an earlier event of the same call.
        abandoned: The call ended before its first answer.
    """

    variant: str
    reward: float
    signals: Mapping[str, object] = field(default_factory=dict)
    hour: int = 0
    call_ref: str | None = None
    subject: str | None = None
    held: str | None = None
    revision: bool = False
    abandoned: bool = False

    @property
    def rating(self) -> int | None:
        """Return the stars, or None."""
        value = self.signals.get("user_rating")
        return value if isinstance(value, int) else None

    @property
    def duration_s(self) -> float | None:
        """Return the call's length, or None."""
        value = self.signals.get("duration_sec")
        return float(value) if isinstance(value, int | float) else None

    def same_as(self, other: Told) -> bool:
        """Return whether two calls with one variant are told in exactly the same words.

        The length of a call is what two calls practically never share; without it, nothing can
        be said.
        """
        known = self.duration_s is not None
        return known and self.variant == other.variant and dict(self.signals) == dict(other.signals)


@dataclass(frozen=True, slots=True)
class Peer:
    """A sound reward of the same variant, whoever's.

    Attributes:
        reward: As it counts.
        subject: Its caller.
        rating: Its stars.
        duration_s: Its call's length.
        call_ref: Its call.
        here: The call ran here.
    """

    reward: float
    subject: str | None = None
    rating: int | None = None
    duration_s: float | None = None
    call_ref: str | None = None
    here: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """What is known when an event comes in; all of it is bounded.

    Attributes:
        of_call: Earlier events of the same call, held ones too, in order.
        of_subject: The caller's latest events of other calls, held ones too, the newest first;
            empty for a caller who cannot be told from others.
        of_variant: The variant's latest sound rewards, the newest first.
        call_variant: The variant that this call was given here; None for a call from elsewhere.
        calls_here: This installation holds calls itself.
    """

    of_call: Sequence[Told] = ()
    of_subject: Sequence[Told] = ()
    of_variant: Sequence[Peer] = ()
    call_variant: str | None = None
    calls_here: bool = False
