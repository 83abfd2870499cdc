"""What a training learns from, chosen and split before any model is loaded."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from apps.core.errors import ConfigError
from apps.core.plural import plural
from apps.rl.adapters.examples import TrainingExample, read_examples
from apps.rl.adapters.training.config import DataConfig, Objective
from apps.rl.adapters.training.processors import processor, read_sources
from apps.rl.adapters.training.split import content_hash, hold_out

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingData:
    """The examples of a training.

    Attributes:
        train: What is learned from, in the file's order.
        held_out: What is only measured on; none of its calls is in ``train``.
        reference: The file that they come from.
        sha256: Of the contents of all examples that were read, in hexadecimal.
        left_out: How many were read and are on neither side, since they say nothing here.
        calls: Keyed hashes of the calls behind ``train``.
    """

    train: tuple[TrainingExample, ...]
    held_out: tuple[TrainingExample, ...]
    reference: str
    sha256: str
    left_out: int
    calls: tuple[str, ...]


def load_data(config: DataConfig, objective: Objective, seed: int) -> TrainingData:
    """Read, choose and split.

    Raises:
        ConfigError: A file cannot be read, nothing is left to learn from, KTO has only one kind
            of rating, or a held-out file shares calls with the training's.
    """
    found = _read(config)
    told = [example for example in found if _tells(example, config, objective)]
    if not told:
        raise ConfigError(
            f"None of {len(found)} examples can be learned from.",
            hint="Look at their feedback_score, data.minimum_score and data.kto_margin.",
        )
    if config.validation is not None:
        held = tuple(e for e in read_examples(config.validation) if _right(e, config))
        train = tuple(told)
        _refuse_shared_calls(train, held)
    else:
        split = hold_out(told, config.validation_fraction, seed)
        train, held = split.train, split.held_out
    if objective == "kto":
        _refuse_one_kind(train)
    return TrainingData(
        train=train,
        held_out=held,
        reference=str(config.train or config.sources),
        sha256=data_hash(found),
        left_out=len(found) - len(told),
        calls=tuple(sorted({call for example in train for call in example.calls})),
    )


def data_hash(examples: Iterable[TrainingExample]) -> str:
    """Return the SHA-256 over the examples' own hashes, in their order."""
    total = hashlib.sha256()
    for example in examples:
        total.update(content_hash(example).encode())
    return total.hexdigest()


def kto_weights(examples: Sequence[TrainingExample]) -> tuple[float, float]:
    """Return the weights of wanted and unwanted answers, so that neither kind drowns the other.

    The larger kind keeps 1; the smaller is raised until both count the same (KTO, arXiv
    2402.01306, equation 8: the ratio of weight times count lies in [1, 4/3]).
    """
    wanted = sum(example.feedback_score > 0 for example in examples)
    unwanted = len(examples) - wanted
    if wanted >= unwanted:
        return 1.0, wanted / max(unwanted, 1)
    return unwanted / max(wanted, 1), 1.0


def mixed(examples: Sequence[T], seed: int, micro_batch: int) -> list[T]:
    """Return the examples in a drawn order, without a last one that would be alone in its batch.

    KTO compares the answers within a micro batch, and takes them in the order of the data.
    """
    order = list(examples)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    return order[:-1] if len(order) > 1 and len(order) % micro_batch == 1 else order


def _read(config: DataConfig) -> list[TrainingExample]:
    found: list[TrainingExample] = []
    if config.train is not None:
        found.extend(read_examples(config.train))
    if config.sources is not None:
        found.extend(processor(config.processor)(read_sources(config.sources)))
    unique = {content_hash(example): example for example in found}
    return list(unique.values())


def _tells(example: TrainingExample, config: DataConfig, objective: Objective) -> bool:
    if objective == "kto":
        return abs(example.feedback_score) >= config.kto_margin
    return _right(example, config)


def _right(example: TrainingExample, config: DataConfig) -> bool:
    """Whether an answer is worth imitating, and so worth measuring the loss on."""
    return example.feedback_score > 0 and example.feedback_score >= config.minimum_score


def _refuse_shared_calls(train: Iterable[TrainingExample], held: Iterable[TrainingExample]) -> None:
    learned = {call for example in train for call in example.calls}
    shared = {call for example in held for call in example.calls} & learned
    if shared:
        raise ConfigError(
            f"{plural(len(shared), 'call is', 'calls are')} both learned from and held out.",
            hint="Leave data.validation out: then whole calls are held out of data.train.",
        )


def _refuse_one_kind(train: Sequence[TrainingExample]) -> None:
    wanted = sum(example.feedback_score > 0 for example in train)
    if wanted in (0, len(train)):
        raise ConfigError(
            f"KTO needs good and bad ratings; all {len(train)} here are "
            f"{'good' if wanted else 'bad'}.",
            hint="Train with training.objective: sft on good ones, or wait for more ratings.",
        )
