"""Calls as numbers: slots, pairs of slots, context, slots with context, and the variant itself.

Every choice among k values becomes k - 1 columns of an orthonormal contrast. A coefficient's size
does not depend on which value comes first, and equal shrinkage of the columns is equal shrinkage of
the values' effects, which sum to zero.

Signals of a call are no features: a variant brings them about, and for a combination that nobody
has heard yet there are none. They are what is predicted instead, term by term (``components``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from apps.core.policy import BargeInSensitivity, Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.rl.trainer.calls import TrainingCall

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

KINDS = {
    "greeting": Greeting,
    "tone": Tone,
    "length": Length,
    "inquiry_mode": InquiryMode,
    "barge_in_sensitivity": BargeInSensitivity,
}
ALL_SLOTS: tuple[PolicySlots, ...] = tuple(
    PolicySlots(*values)  # type: ignore[arg-type]  # each value is of its slot's kind
    for values in product(*KINDS.values())
)
"""Every combination there is: 3^5 = 243."""

CATEGORIES = ("profile", "language", "time_of_day", "returning", "adapter")
NUMBERS = ("stt_confidence", "latency_ms", "noise_db")
MET_WITH_SLOTS = ("profile", "language", "returning")
"""Parts of the context whose callers may like other slots than the rest."""

_RAREST = 10  # calls; a rarer value of a category counts as the middle of all


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which columns belong together; each block is shrunk by an amount of its own."""

    intercept: slice
    context: slice
    slots: slice
    pairs: slice
    met: slice
    variants: slice

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.variants.stop)

    def groups(self) -> dict[str, slice]:
        """Return the shrunk blocks that have any columns, by name."""
        named = {
            "context": self.context,
            "slots": self.slots,
            "pairs of slots": self.pairs,
            "slots with context": self.met,
            "variants": self.variants,
        }
        return {name: block for name, block in named.items() if block.stop > block.start}


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Turns slots and contexts into columns.

    Attributes:
        categories: The values of each category of the context that are common enough.
        centre: Mean of each number of the context.
        scale: Its standard deviation.
        variants: The variants with an effect of their own, beyond what their slots say.
    """

    categories: Mapping[str, tuple[str, ...]]
    centre: Mapping[str, float]
    scale: Mapping[str, float]
    variants: tuple[str, ...]

    @classmethod
    def of(cls, calls: Sequence[TrainingCall]) -> Encoder:
        """Return the encoder that fits these calls."""
        categories, centre, scale = {}, {}, {}
        for name in CATEGORIES:
            told = [str(c.context[name]) for c in calls if c.context.get(name) is not None]
            values, counts = np.unique(told, return_counts=True)
            common = tuple(str(v) for v, n in zip(values, counts, strict=True) if n >= _RAREST)
            if len(common) > 1:
                categories[name] = common
        for name in NUMBERS:
            numbers = [x for c in calls if (x := _number(c.context.get(name))) is not None]
            if len(numbers) > 1 and np.std(numbers) > 1e-9:
                centre[name], scale[name] = float(np.mean(numbers)), float(np.std(numbers))
        return cls(categories, centre, scale, tuple(sorted({c.variant for c in calls})))

    @property
    def blocks(self) -> Blocks:
        """Return where which columns are."""
        slots, pairs = 2 * len(KINDS), 4 * len(KINDS) * (len(KINDS) - 1) // 2
        widths = (1, self._context, slots, pairs, slots * self._meeting, len(self.variants))
        ends = np.cumsum(widths).tolist()
        return Blocks(*(slice(end - width, end) for end, width in zip(ends, widths, strict=True)))

    @property
    def _context(self) -> int:
        return sum(len(values) - 1 for values in self.categories.values()) + len(self.centre)

    @property
    def _meeting(self) -> int:
        return sum(len(self.categories[n]) - 1 for n in MET_WITH_SLOTS if n in self.categories)

    def contexts(self, calls: Sequence[TrainingCall]) -> Floats:
        """Return the context's columns, those that meet slots first, shape (calls, context).

        What is not known of a call counts as the middle of all.
        """
        columns = [self._category(name, calls) for name in self._ordered()]
        columns += [self._numbers(name, calls) for name in self.centre]
        return np.hstack([np.zeros((len(calls), 0)), *columns])

    def design(
        self, slots: Floats, contexts: Floats, variants: Sequence[str | None] | None = None
    ) -> Floats:
        """Return the rows of a regression, shape (rows, ``blocks.width``).

        Args:
            slots: ``slot_columns`` of each row, shape (rows, 10).
            contexts: ``contexts`` of each row.
            variants: Each row's variant; None, or an unknown one, has no effect of its own.
        """
        n = len(slots)
        own = np.zeros((n, len(self.variants)))
        places = {name: i for i, name in enumerate(self.variants)}
        for row, name in enumerate(variants or ()):
            if name in places:
                own[row, places[name]] = 1.0
        met = (contexts[:, : self._meeting, None] * slots[:, None, :]).reshape(n, -1)
        return np.hstack([np.ones((n, 1)), contexts, slots, pair_columns(slots), met, own])

    def table(self, weights: Floats, slots: Floats, contexts: Floats) -> Floats:
        """Return what coefficients say of every context with every combination of slots.

        The same as ``design`` times the coefficients, without a variant's own effect, but fast.

        Args:
            weights: Coefficients, shape (``blocks.width``,).
            slots: Columns of k combinations, shape (k, 10).
            contexts: n encoded contexts.

        Returns:
            Shape (n, k).
        """
        blocks = self.blocks
        by_slots = slots @ weights[blocks.slots] + pair_columns(slots) @ weights[blocks.pairs]
        met = contexts[:, : self._meeting] @ weights[blocks.met].reshape(self._meeting, -1)
        alone = contexts @ weights[blocks.context] + weights[0]
        found: Floats = alone[:, None] + by_slots + met @ slots.T
        return found

    def rows(self, calls: Sequence[TrainingCall]) -> Floats:
        """Return the calls' own rows."""
        slots = slot_columns([call.slots for call in calls])
        return self.design(slots, self.contexts(calls), [call.variant for call in calls])

    def _ordered(self) -> list[str]:
        return sorted(self.categories, key=lambda name: name not in MET_WITH_SLOTS)

    def _category(self, name: str, calls: Sequence[TrainingCall]) -> Floats:
        values = self.categories[name]
        table = np.vstack([contrast(len(values)), np.zeros(len(values) - 1)])
        place = {value: i for i, value in enumerate(values)}
        at = [place.get(str(call.context.get(name)), len(values)) for call in calls]
        columns: Floats = table[np.array(at, np.intp)]
        return columns

    def _numbers(self, name: str, calls: Sequence[TrainingCall]) -> Floats:
        centre, scale = self.centre[name], self.scale[name]
        known = [_number(call.context.get(name)) for call in calls]
        filled = np.array([centre if x is None else x for x in known])
        # A number that is far out says no more than that it is far out.
        return np.clip((filled - centre) / scale, -3.0, 3.0)[:, None]


def contrast(k: int) -> Floats:
    """Return k values as k - 1 columns: orthonormal, orthogonal to the constant, shape (k, k-1)."""
    helmert = np.zeros((k, k - 1))
    for column in range(1, k):
        helmert[:column, column - 1] = 1.0
        helmert[column, column - 1] = -column
    columns: Floats = helmert / np.sqrt(np.square(helmert).sum(axis=0))
    return columns


def slot_columns(slots: Sequence[PolicySlots]) -> Floats:
    """Return slots as two columns each, shape (rows, 10)."""
    found = [_COLUMNS[each] for each in slots]
    return np.array(found, float).reshape(len(found), 2 * len(KINDS))


def pair_columns(slots: Floats) -> Floats:
    """Return the products of each two slots' columns, shape (rows, 40)."""
    parts = [slots[:, 2 * i : 2 * i + 2] for i in range(len(KINDS))]
    pairs = [
        (a[:, :, None] * b[:, None, :]).reshape(len(slots), 4) for a, b in combinations(parts, 2)
    ]
    return np.hstack(pairs)


def caller_numbers(calls: Sequence[TrainingCall]) -> Ints:
    """Return a number for each caller, shape (calls,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(c.caller, len(numbers)) for c in calls], np.intp)


def _row(slots: PolicySlots) -> Floats:
    values = slots.as_dict()
    three = contrast(3)
    return np.concatenate(
        [three[[v.value for v in kind].index(values[name])] for name, kind in KINDS.items()]
    )


_COLUMNS = {slots: _row(slots) for slots in ALL_SLOTS}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)
