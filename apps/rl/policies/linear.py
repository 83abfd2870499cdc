"""The two policies over slots and context: Thompson sampling, and an upper confidence bound.

One regression explains all rewards (features.py, regression.py). A variant's score is its own part
of the prediction, less the mean of those that compete: what is common to all of them cannot change
the choice, and its uncertainty must not either. With ``n`` competing, a contrast to the mean has
``1 - 1 / n`` of the variance of independent effects; the scores are widened by that, so that the
choice between two variants is drawn from exactly the law of their difference.

It forgets slowly, by ``half_life``, and at once where the monitor finds that a segment's rewards
have dropped below their forecasts: then half of the means stays as a guess, and no sureness.

Each score is drawn from its own marginal law, independently of the others', and the probabilities
are those of these draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from apps.rl.policies.features import (
    Feature,
    Scales,
    Segment,
    of_context,
    of_variant,
    on_average,
    segment_of,
)
from apps.rl.policies.laws import Laws
from apps.rl.policies.monitor import Monitor
from apps.rl.policies.policy import (
    Context,
    Estimate,
    Floats,
    OtherSettings,
    Outcome,
    Slots,
    discount_of,
)
from apps.rl.policies.regression import Ints, Noise, Regression

MAX_FEATURES = 512
"""Beyond these, further profiles and variants have no effects of their own."""

MAX_MEMO = 256
"""Contrasts remembered."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which feature stands where in the regression; grows, and never changes otherwise.

    Attributes:
        place: By the feature's name.
        memo: Contrasts made before, by what they are of; forgotten when the columns grow.
    """

    place: Mapping[str, int] = field(default_factory=dict)
    memo: dict[object, Contrasts] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Contrasts:
    """How some variants differ from their mean.

    Attributes:
        at: The coordinates involved, shape (m,).
        flat: The same pairwise, as places in the flattened covariance, shape (m * m,).
        rows: Shape (variants, m).
        unseen: Variance of what is in no coordinate yet, in units of the prior noise's.
    """

    at: Ints
    flat: Ints
    rows: Floats
    unseen: Floats


@dataclass(frozen=True, slots=True)
class LinearPolicy:
    """Thompson sampling over slots and context.

    Attributes:
        half_life: Rewards after which one counts half; None forgets nothing.
        scales: The effects' priors.
        noise: The noise's prior.
        width: Standard deviations of the scores are multiplied by this; 1 is the posterior.
        monitor: Looks for changes, segment by segment.
        kept: How much of the means stays as a guess after a change.
        slots: By variant.
        taught: The slots by which each variant was learned.
        columns: Where the features are.
        regression: What is known.
    """

    half_life: float | None = None
    scales: Scales = field(default_factory=Scales)
    noise: Noise = field(default_factory=Noise)
    width: float = 0.35
    monitor: Monitor = field(default_factory=Monitor)
    kept: float = 0.5
    slots: Slots = field(default_factory=dict)
    taught: Slots = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)
    regression: Regression = field(default_factory=lambda: Regression.empty(np.zeros(0)))

    kind: ClassVar[str] = "linear"

    @property
    def stale(self) -> bool:
        """Return whether a variant was learned by other slots than it has."""
        return any(was != self.slots.get(name, {}) for name, was in self.taught.items())

    def knowing(self, slots: Slots) -> Self:
        """Return the same policy, told what the variants set."""
        return replace(self, slots=slots, columns=Columns(self.columns.place))

    def learned(self, outcome: Outcome) -> Self:
        """Return the policy after one more outcome."""
        slots = self.slots.get(outcome.variant, {})
        segment = segment_of(outcome.context)
        features = of_context(outcome.context, self.scales)
        features += of_variant(outcome.variant, slots, segment, self.scales)
        columns, regression = self._admitted(features)
        known = [f for f in features if f.name in columns.place]
        at = np.array([columns.place[f.name] for f in known], np.intp)
        x = np.array([f.value for f in known])
        if outcome.revises is None:
            monitor, regression = self._observed(regression, at, x, outcome.reward, segment)
        else:
            monitor = self.monitor
            remembered = discount_of(self.half_life) ** outcome.age * monitor.remembers(outcome.age)
            regression = regression.revised(at, x, outcome.revises, outcome.reward, remembered)
        taught = self.taught
        if outcome.variant not in taught:
            taught = {**taught, outcome.variant: dict(slots)}
        return replace(self, monitor=monitor, taught=taught, columns=columns, regression=regression)

    def laws(self, names: Sequence[str], context: Context) -> Laws:
        """Return the laws of the named variants' scores."""
        contrasts = self._contrasts(tuple(names), segment_of(context))
        known, m = self.regression, len(contrasts.at)
        covariance = known.covariance.ravel().take(contrasts.flat).reshape(m, m)
        rows = contrasts.rows
        variance = ((rows @ covariance) * rows).sum(axis=1) + contrasts.unseen
        sd, degrees = known.noise(self.noise)
        wider = self.width * sd * (len(names) / max(len(names) - 1, 1)) ** 0.5
        scale = wider * np.sqrt(np.maximum(variance, 1e-18))
        return Laws.student(rows @ known.mean[contrasts.at], scale, np.full(len(names), degrees))

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return a draw from each named variant's law."""
        return self.laws(names, context).draw(rng)

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return the probability of each named variant to have the highest draw."""
        return self.laws(names, context).chances()

    def estimate(self, name: str) -> Estimate:
        """Return where a variant's true mean reward lies, over the contexts seen."""
        known = self.regression
        means = dict(zip(self.columns.place, known.total / max(known.weight, 1.0), strict=True))
        features = on_average(name, self.slots.get(name, {}), means, self.scales)
        place = self.columns.place
        x = np.zeros(len(known))
        for f in features:
            if f.name in place:
                x[place[f.name]] = f.value
        unseen = sum(self._variance(f) * f.value**2 for f in features if f.name not in place)
        sd, degrees = known.noise(self.noise)
        scale = sd * (float(x @ known.covariance @ x) + unseen) ** 0.5
        laws = Laws.student(np.array([x @ known.mean]), np.array([scale]), np.array([degrees]))
        values = (laws.location, laws.quantile(0.025), laws.quantile(0.975))
        return Estimate(*(float(np.clip(value[0], -1.0, 1.0)) for value in values))

    def to_json(self) -> dict[str, Any]:
        """Return what it knows, and by which settings it was learned."""
        return {
            **self._learned_by(),
            "features": list(self.columns.place),
            "monitor": self.monitor.to_json(),
            "taught": {name: dict(slots) for name, slots in self.taught.items()},
            "regression": self.regression.to_json(),
        }

    def from_json(self, data: Mapping[str, Any]) -> Self:
        """Return a policy of these settings with what another one had written."""
        if any(data[name] != value for name, value in self._learned_by().items()):
            raise OtherSettings("learned by another kind of policy, or with other settings")
        place = {str(name): i for i, name in enumerate(data["features"])}
        regression = Regression.from_json(data["regression"])
        if len(place) != len(regression):
            raise ValueError("as many features as coefficients")
        taught = {str(name): dict(slots) for name, slots in data["taught"].items()}
        found = replace(
            self,
            monitor=self.monitor.from_json(data["monitor"]),
            taught=taught,
            columns=Columns(place),
            regression=regression,
        )
        if found.stale:
            raise OtherSettings("learned when variants had other slots")
        return found

    def _learned_by(self) -> dict[str, Any]:
        """Return what the knowledge depends on, apart from the outcomes."""
        return {
            "kind": self.kind,
            "half_life": self.half_life,
            "alarm": [self.monitor.threshold, self.monitor.shift, self.kept],
            "scales": asdict(self.scales),
            "noise": asdict(self.noise),
        }

    def _observed(
        self, known: Regression, at: Ints, x: Floats, reward: float, segment: Segment
    ) -> tuple[Monitor, Regression]:
        """Return monitor and regression after a reward."""
        forgotten = 1.0 - discount_of(self.half_life)
        if forgotten > 0.0:
            known = known.loosened(forgotten)
        expected, variance = known.forecast(at, x)
        sd, _ = known.noise(self.noise)
        place = "/".join(word or "" for word in segment)
        monitor = self.monitor.after(place, (reward - expected) / (sd * variance**0.5))
        known = known.observed(at, x, reward, forgotten)
        return monitor, known if monitor.since else known.loosened(1.0, self.kept)

    def _admitted(self, features: Sequence[Feature]) -> tuple[Columns, Regression]:
        """Return columns and regression with places for these features, as long as there are."""
        place = self.columns.place
        new = {f.name: f for f in features if f.name not in place}
        admitted = list(new.values())[: MAX_FEATURES - len(place)]
        if not admitted:
            return self.columns, self.regression
        wider = dict(place) | {f.name: i for i, f in enumerate(admitted, start=len(place))}
        prior = np.array([self._variance(f) for f in admitted])
        return Columns(wider), self.regression.widened(prior)

    def _variance(self, feature: Feature) -> float:
        return (feature.sd / self.noise.sd) ** 2

    def _contrasts(self, names: tuple[str, ...], segment: Segment) -> Contrasts:
        key = (names, segment)
        found = self.columns.memo.get(key)
        if found is None:
            found = self._new_contrasts(names, segment)
            if len(self.columns.memo) >= MAX_MEMO:
                self.columns.memo.clear()
            self.columns.memo[key] = found
        return found

    def _new_contrasts(self, names: Sequence[str], segment: Segment) -> Contrasts:
        each = [of_variant(n, self.slots.get(n, {}), segment, self.scales) for n in names]
        distinct = {f.name: f for features in each for f in features}
        column = {name: j for j, name in enumerate(distinct)}
        rows = np.zeros((len(names), len(column)))
        for row, features in zip(rows, each, strict=True):
            row[[column[f.name] for f in features]] = [f.value for f in features]
        rows -= rows.mean(axis=0)
        place = self.columns.place
        known = np.array([name in place for name in distinct], np.bool_)
        at = np.array([place[name] for name in distinct if name in place], np.intp)
        flat = (at[:, None] * len(self.regression) + at).ravel()
        prior = np.array([self._variance(f) for f in distinct.values()])
        full = len(place) >= MAX_FEATURES  # then they are neutral, and are not explored for ever
        unseen = (rows[:, ~known] ** 2) @ prior[~known] * (0.0 if full else 1.0)
        return Contrasts(at, flat, rows[:, known], unseen)


@dataclass(frozen=True, slots=True)
class LinearUcbPolicy(LinearPolicy):
    """Chooses the highest upper confidence bound: the score plus ``optimism`` of its deviations.

    Attributes:
        optimism: How many standard deviations are added.
    """

    width: float = 1.0
    optimism: float = 2.5

    kind: ClassVar[str] = "linear-ucb"

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return each named variant's bound; which of equal ones comes first is left to chance."""
        laws = self.laws(names, context)
        bounds: Floats = laws.location + self.optimism * laws.scale
        best = bounds >= bounds.max() - _TIE
        return np.where(best, bounds.max() + rng.random(len(names)) * _TIE, bounds)

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return 1 for the highest bound, in equal shares where there are several."""
        laws = self.laws(names, context)
        bounds = laws.location + self.optimism * laws.scale
        best = (bounds >= bounds.max() - _TIE).astype(float)
        shares: Floats = best / best.sum()
        return shares


_TIE = 1e-9
