"""Several adapters as one: what may be put together, how, and what it would cost.

An adapter adds ``w * (alpha / r) * B A`` to a layer. Concatenating the matrices of several gives
their sum exactly, at the sum of their ranks; a singular value decomposition cuts that sum to a rank
that the server takes; adding the matrices themselves (``linear``) is neither, since
``(B1 + B2)(A1 + A2)`` has cross terms. PEFT does the arithmetic (``worker/compose.py``).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps.core.errors import ConfigError
from apps.rl.adapters.hashing import adapter_files, weights_hash
from apps.rl.adapters.record import TRAINED_FILE, TrainedAdapter

Kind = Literal["additive", "weighted", "sequential"]
Combination = Literal["cat", "svd", "linear"]

CONFLICT = -0.3
"""Updates of one layer that point this far against each other (their cosine) are in conflict."""


@dataclass(frozen=True)
class Parent:
    """One adapter that goes into a composite.

    Attributes:
        folder: Where it lies.
        name: Its id, or the beginning of its hash.
        record: What its training says.
        sha256: Of its files together.
        rank: Its rank.
        modules: The layers that it changes, by the end of their name.
        dora: Whether it has magnitudes of its own.
    """

    folder: Path
    name: str
    record: TrainedAdapter
    sha256: str
    rank: int
    modules: frozenset[str]
    dora: bool


@dataclass(frozen=True)
class Plan:
    """How a composite is made.

    Attributes:
        kind: What was asked for.
        combination: PEFT's name of the arithmetic.
        weights: One for each parent.
        rank: Of the outcome.
        exact: Whether the outcome is the sum itself.
        notes: What is worth knowing.
    """

    kind: Kind
    combination: Combination
    weights: tuple[float, ...]
    rank: int
    exact: bool
    notes: tuple[str, ...]


def read_parent(folder: Path, name: str = "") -> Parent:
    """Return an adapter with what is needed of its files.

    Raises:
        ConfigError: There is none, or its record cannot be read.
    """
    sha256 = weights_hash(adapter_files(folder))
    try:
        record = TrainedAdapter.model_validate_json((folder / TRAINED_FILE).read_bytes())
        shape = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        modules = shape["target_modules"]
        return Parent(
            folder=folder,
            name=name or sha256[:12],
            record=record,
            sha256=sha256,
            rank=int(shape["r"]),
            modules=frozenset([modules] if isinstance(modules, str) else modules),
            dora=bool(shape.get("use_dora")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} holds no adapter with its record ({type(error).__name__}).",
            hint=f"{TRAINED_FILE} is written by `tom adapters train`.",
        ) from None


def stacked_hash(base_model_hash: str, parent_sha256: str) -> str:
    """Return the hash of a base with an adapter merged in: of a base that no server has.

    So an adapter that learned over it passes no hash gate alone, only joined with its parent.
    """
    return hashlib.sha256(f"{base_model_hash}\n{parent_sha256}\n".encode()).hexdigest()


def plan_composite(
    kind: Kind,
    parents: Sequence[Parent],
    *,
    weights: Sequence[float] = (),
    combination: Combination | None = None,
    max_rank: int = 16,
) -> Plan:
    """Decide how adapters are put together.

    Args:
        kind: ``additive`` sums them up; ``weighted`` sums them up by weights, equal ones by
            default; ``sequential`` joins an adapter with one that learned over it.
        parents: In order; for ``sequential`` the earlier first.
        weights: For ``weighted``, one each.
        combination: The arithmetic; by default ``cat`` where the rank allows, else ``svd``.
        max_rank: The server's ``--max-lora-rank``.

    Raises:
        ConfigError: They cannot be put together; it says why.
    """
    _refuse_unlike(parents)
    told = _weights(kind, parents, weights)
    if kind == "sequential":
        _refuse_no_sequence(parents)
    else:
        _refuse_other_bases(parents)
    total = sum(parent.rank for parent in parents)
    chosen = combination or ("cat" if total <= max_rank else "svd")
    if chosen == "linear" and len({parent.rank for parent in parents}) > 1:
        raise ConfigError(
            "Adapters of different ranks cannot be added matrix by matrix.",
            hint="Leave the combination out: then they are concatenated, or cut by svd.",
        )
    if chosen == "cat" and total > max_rank:
        raise ConfigError(
            f"Together they have rank {total}; the server takes {max_rank}.",
            hint="Use svd, or serve with a larger --max-lora-rank.",
        )
    ranks = {"cat": total, "linear": parents[0].rank, "svd": min(max_rank, total)}
    return Plan(kind, chosen, told, ranks[chosen], chosen == "cat", _notes(parents, chosen))


def conflicts(cosines: dict[str, float]) -> list[str]:
    """Return the layers whose updates work against each other, the worst first."""
    found = [layer for layer, cosine in cosines.items() if cosine <= CONFLICT]
    return sorted(found, key=lambda layer: cosines[layer])


def _weights(kind: Kind, parents: Sequence[Parent], weights: Sequence[float]) -> tuple[float, ...]:
    if kind != "weighted":
        if weights:
            raise ConfigError(f"A composite of kind {kind} has no weights.", hint="Use weighted.")
        return (1.0,) * len(parents)
    told = tuple(weights) or (1.0 / len(parents),) * len(parents)
    if len(told) != len(parents):
        raise ConfigError(f"{len(parents)} adapters need as many weights; {len(told)} were given.")
    if not all(math.isfinite(weight) and weight > 0 for weight in told):
        raise ConfigError("Weights must be numbers above 0.", hint="Leave an adapter out instead.")
    return told


def _refuse_unlike(parents: Sequence[Parent]) -> None:
    if len(parents) < 2:
        raise ConfigError("A composite needs at least two adapters.")
    if len({parent.sha256 for parent in parents}) < len(parents):
        raise ConfigError("An adapter is given twice.", hint="Use weighted to make one stronger.")
    if any(parent.dora for parent in parents):
        raise ConfigError(
            "DoRA adapters cannot be put together: their magnitudes do not add up.",
            hint="Train them with adapter.method: lora.",
        )


def _refuse_other_bases(parents: Sequence[Parent]) -> None:
    for what in ("base_model_hash", "tokenizer_hash"):
        if len({getattr(parent.record, what) for parent in parents}) > 1:
            raise ConfigError(
                f"The adapters differ in their {what}: they are for different models.",
                hint="Train them on one base; for one that learned over another use sequential.",
            )


def _refuse_no_sequence(parents: Sequence[Parent]) -> None:
    if len(parents) != 2:
        raise ConfigError("A sequence has two adapters; join the first two, then the next.")
    first, second = parents
    if second.record.base_model_hash != stacked_hash(first.record.base_model_hash, first.sha256):
        raise ConfigError(
            f"{second.name} did not learn over {first.name}.",
            hint=f"Train it with adapter.parent={first.folder} and adapter.parent_mode=stack.",
        )


def _notes(parents: Sequence[Parent], chosen: Combination) -> tuple[str, ...]:
    everywhere = frozenset.intersection(*(parent.modules for parent in parents))
    notes = [
        f"Not every adapter changes {', '.join(sorted(alone))}, as {parent.name} does."
        for parent in parents
        if (alone := parent.modules - everywhere)
    ]
    if chosen == "linear":
        notes.append("Matrices are added as they are, which is a rough approximation of the sum.")
    return tuple(notes)
