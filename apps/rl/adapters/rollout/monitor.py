"""Is an adapter surely worse than what it is held against? By windows, valid at every look; pure.

Four signals of a call are compared, each as a number in [-1, 1]: its reward; the share of its
answers that did nothing that must not be done (quality); how much of them stands in their passages
(confidence); and how soon they began (latency). Each call went to the adapter with a chance that
was logged before it began, so each signal is a ``Contest`` of the deploy guard
(``guard/confidence.py``): whatever both sides have in common, a slow hour or a noisy line, cancels.

All calls since the state began are one window; after each ``BLOCK`` calls of its own a second one
begins anew beside it, which tells an adapter that was good and turned bad. The error is spent over
signals and windows, so that it bounds all of them together at all times.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import log

from apps.rl.guard.confidence import Contest, spend
from apps.rl.guard.mixture import log_wealth

BLOCK = 200
"""Own calls of a recent window."""

RECENT = 0.25
"""Share of a signal's error that its recent windows have together."""

SLOW_MS = 4000.0
"""An answer that begins this late, or later, is as bad as latency can be."""


class Signal(StrEnum):
    """What of a call is compared."""

    REWARD = "reward"
    QUALITY = "quality"
    CONFIDENCE = "confidence"
    LATENCY = "latency"


IN_CANARY = (Signal.QUALITY, Signal.CONFIDENCE, Signal.LATENCY)
"""An arm's rewards are the deploy guard's to judge."""


@dataclass(frozen=True, slots=True)
class DriftRules:
    """How sure one must be, and what is tolerated.

    Attributes:
        alpha: The chance that an adapter which is no worse is ever taken back by these signals.
        margins: How much worse it may be, in each signal's own unit of [-1, 1].
        confirm_alpha: The chance that an adapter is confirmed though it is worse by more than...
        confirm_margin: ...this, in rewards.
    """

    alpha: float = 0.05
    margins: Mapping[Signal, float] = field(
        default_factory=lambda: {
            Signal.REWARD: 0.0,
            Signal.QUALITY: 0.05,
            Signal.CONFIDENCE: 0.1,
            Signal.LATENCY: 0.1,  # 200 ms
        }
    )
    confirm_alpha: float = 0.1
    confirm_margin: float = 0.15


@dataclass(frozen=True, slots=True)
class WatchedCall:
    """One ended call of an adapter or of what it is held against.

    Attributes:
        seq: Its feedback event's.
        own: It had the adapter.
        chance: Of that, given that it had one of the two, as logged before it began.
        values: Its signals, each in [-1, 1]; what is not known is left out.
        unsafe: The assistant was about to say in it what must not be said.
    """

    seq: int
    own: bool
    chance: float
    values: Mapping[Signal, float] = field(default_factory=dict)
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class Windows:
    """One signal's contests: of all calls, and of a recent block; an incremental fold."""

    whole: Contest = field(default_factory=Contest)
    recent: Contest = field(default_factory=Contest)
    block: int = 0

    def add(self, value: float, *, own: bool, chance: float) -> Windows:
        """Return the windows with one more call."""
        whole = self.whole.add(value, own=own, chance=chance)
        recent, block = self.recent, self.block
        if block:
            recent = recent.add(value, own=own, chance=chance)
        if own and whole.calls % BLOCK == 0:
            recent, block = Contest(), block + 1
        return Windows(whole, recent, block)

    def worse(self, alpha: float, margin: float) -> tuple[Contest, float] | None:
        """Return the window that is surely worse by more than a margin, with its error; or None."""
        if _surely_worse(self.whole, share := alpha * (1.0 - RECENT), margin):
            return self.whole, share
        if self.block and _surely_worse(
            self.recent, share := spend(alpha * RECENT, self.block), margin
        ):
            return self.recent, share
        return None


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen of one adapter in its present state; frozen, an incremental fold.

    Attributes:
        adapter: Its id.
        windows: By signal.
        calls: Ended calls of its own.
        unsafe: How many of them were unsafe.
        last_seq: The last event folded.
    """

    adapter: str
    windows: Mapping[Signal, Windows] = field(default_factory=dict)
    calls: int = 0
    unsafe: int = 0
    last_seq: int = 0

    def add(self, call: WatchedCall) -> Watch:
        """Return the watch with one more call; one that it knows, or sure of its side, adds none.

        Where a side was certain nothing can be compared, but an unsafe call counts all the same.
        """
        if call.seq <= self.last_seq:
            return self
        windows = dict(self.windows)
        if 0.0 < call.chance < 1.0:
            for signal, value in call.values.items():
                before = windows.get(signal, Windows())
                windows[signal] = before.add(value, own=call.own, chance=call.chance)
        return replace(
            self,
            windows=windows,
            calls=self.calls + call.own,
            unsafe=self.unsafe + (call.own and call.unsafe),
            last_seq=call.seq,
        )

    def read_to(self, seq: int) -> Watch:
        """Return the watch that knows of all calls up to an event."""
        return replace(self, last_seq=max(self.last_seq, seq))

    def drift(self, signals: Collection[Signal], rules: DriftRules | None = None) -> str | None:
        """Return why the adapter must be taken back, in a sentence; None if it need not be.

        Args:
            signals: Those that decide.
            rules: How sure one must be.
        """
        rules = rules or DriftRules()
        if self.unsafe:
            return f"A call with {self.adapter} was flagged as unsafe."
        alpha = rules.alpha / len(Signal)
        for signal in signals:
            found = self.windows.get(signal, Windows()).worse(alpha, rules.margins[signal])
            if found is not None:
                contest, share = found
                low, high = contest.difference(share)
                return (
                    f"The {signal} of {self.adapter} is surely worse than the control's after "
                    f"{contest.calls} calls: {_told(signal, low, high)}."
                )
        return None

    def confirmed(self, rules: DriftRules | None = None) -> bool:
        """Return whether its rewards are surely not worse than the control's by the margin."""
        rules = rules or DriftRules()
        contest = self.windows.get(Signal.REWARD, Windows()).whole
        return contest.surely_not_worse(rules.confirm_alpha, rules.confirm_margin)

    def difference(self, signal: Signal, rules: DriftRules | None = None) -> tuple[float, float]:
        """Return an interval of a signal's difference to the control, valid at all times."""
        rules = rules or DriftRules()
        share = rules.alpha / len(Signal) * (1.0 - RECENT)
        return self.windows.get(signal, Windows()).whole.difference(share)


def values_of(reward: float | None, context: Mapping[str, object]) -> dict[Signal, float]:
    """Return a call's signals, each in [-1, 1], from its reward and what was known at its end."""
    values: dict[Signal, float] = {}
    if reward is not None:
        values[Signal.REWARD] = reward
    for signal, name in (
        (Signal.QUALITY, "answer_quality"),
        (Signal.CONFIDENCE, "answer_confidence"),
    ):
        share = context.get(name)
        if isinstance(share, int | float):
            values[signal] = _within(2.0 * share - 1.0)
    late = context.get("latency_ms")
    if isinstance(late, int | float):
        values[Signal.LATENCY] = _within(1.0 - 2.0 * late / SLOW_MS)
    return values


def _surely_worse(contest: Contest, alpha: float, margin: float) -> bool:
    """As ``Contest.surely_worse``, by more than a margin."""
    total = contest.worse.total - margin * contest.worse.weight
    return log_wealth(total, contest.worse.spread) >= -log(alpha)


def _told(signal: Signal, low: float, high: float) -> str:
    if signal is Signal.LATENCY:
        half = -SLOW_MS / 2.0
        return f"it answers {high * half:.0f} to {low * half:.0f} ms later"
    return f"the difference lies in [{low:+.2f}, {high:+.2f}]"


def _within(value: float) -> float:
    return min(max(value, -1.0), 1.0)
