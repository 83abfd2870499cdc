"""Which examples a training gets, and when there is one. Pure.

Seed 003, section 5: a bounded live buffer with a quality filter, ranked by feedback score times
importance; a training when enough is there and enough time has passed; old batches that turned out
well are mixed in, so that what was learned before is not forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from apps.rl.adapters.examples import TrainingExample

Objective = Literal["sft", "kto"]


@dataclass(frozen=True, slots=True)
class LoopRules:
    """When and on what is trained.

    Attributes:
        objective: ``sft`` repeats good answers; ``kto`` learns from good and bad ones.
        quality_threshold: Of a feedback score: from here on an answer is good. For ``kto`` one of
            at most minus this is bad, and what lies between says nothing.
        min_samples: Fewer fresh examples train nothing.
        interval_s: So long after the last training of a domain.
        buffer: At most so many fresh examples of a domain are kept in sight.
        batch: At most so many of them are trained on at once.
        replay: So many old ones for each fresh one.
    """

    objective: Objective = "kto"
    quality_threshold: float = 0.3
    min_samples: int = 50
    interval_s: float = 86_400.0
    buffer: int = 1000
    batch: int = 400
    replay: float = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """An example of the pool.

    Attributes:
        example_id: Its key there.
        example: The example.
        seq: Its place in the pool; later ones are higher.
    """

    example_id: str
    example: TrainingExample
    seq: int

    @property
    def rank(self) -> float:
        """Feedback score times importance; of bad answers the badness counts."""
        return abs(self.example.feedback_score) * self.example.importance


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training gets.

    Attributes:
        fresh: Examples that no training had.
        replayed: Of batches that turned out well.
    """

    fresh: tuple[Sample, ...]
    replayed: tuple[Sample, ...]

    @property
    def examples(self) -> tuple[TrainingExample, ...]:
        """All of them, in an order that does not depend on when they came."""
        every = sorted((*self.fresh, *self.replayed), key=lambda s: _shuffled(s, "order"))
        return tuple(sample.example for sample in every)

    @property
    def mean_quality(self) -> float:
        """Mean feedback score of the fresh examples."""
        return sum(s.example.feedback_score for s in self.fresh) / max(len(self.fresh), 1)


def teaches(example: TrainingExample, rules: LoopRules) -> bool:
    """Tell whether an example passes the quality filter."""
    score = example.feedback_score
    if rules.objective == "sft":
        return score >= rules.quality_threshold
    return abs(score) >= rules.quality_threshold


def in_sight(fresh: Sequence[Sample], rules: LoopRules) -> tuple[Sample, ...]:
    """Return the live buffer: the latest examples that teach, best first."""
    good = [sample for sample in fresh if teaches(sample.example, rules)]
    latest = sorted(good, key=lambda s: -s.seq)[: rules.buffer]
    return tuple(sorted(latest, key=lambda s: (-s.rank, s.seq)))


def due(buffer: Sequence[Sample], since_last_s: float | None, rules: LoopRules) -> bool:
    """Tell whether a training is due.

    Args:
        buffer: See ``in_sight``.
        since_last_s: Seconds since the last training of this domain; None when there was none.
        rules: When it is.
    """
    enough = len(buffer) >= rules.min_samples
    if enough and rules.objective == "kto":
        # A loss that only knows one side learns to say nothing else.
        good = sum(sample.example.feedback_score > 0 for sample in buffer)
        enough = 0 < good < len(buffer)
    return enough and (since_last_s is None or since_last_s >= rules.interval_s)


def make_batch(buffer: Sequence[Sample], stable: Sequence[Sample], rules: LoopRules) -> Batch:
    """Return a batch: the best of the buffer, and old ones that turned out well.

    Which old ones is decided by their hash with the batch's size, so that the same pool gives the
    same batch, and later batches get others.
    """
    fresh = tuple(buffer[: rules.batch])
    again = sorted(
        (sample for sample in stable if teaches(sample.example, rules)),
        key=lambda s: _shuffled(s, str(max((f.seq for f in fresh), default=0))),
    )
    return Batch(fresh, tuple(again[: round(rules.replay * len(fresh))]))


def _shuffled(sample: Sample, salt: str) -> bytes:
    return sha256(f"{salt}\0{sample.example_id}".encode()).digest()
