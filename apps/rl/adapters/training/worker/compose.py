"""Composites by PEFT, with what they lose and where their parts disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import TrainingExample, read_examples
from apps.rl.adapters.record import TRAINED_FILE, TrainedAdapter
from apps.rl.adapters.training.checkpoints import aside
from apps.rl.adapters.training.composites import Parent, Plan, conflicts
from apps.rl.adapters.training.config import BaseConfig, DataConfig, Objective
from apps.rl.adapters.training.dataset import load_data
from apps.rl.adapters.training.events import Composed, Evaluated, LossRow, Note
from apps.rl.adapters.training.tokens import Tokens, fitting, tokenise
from apps.rl.adapters.training.worker.base import Base, Tell, load_base
from apps.rl.adapters.training.worker.loss import held_out_loss
from apps.rl.adapters.training.worker.recording import environment

REPORT_FILE = "composite.json"
"""Lies beside a composite's weights: its evaluation."""

_BATCH = 8


@dataclass(frozen=True)
class Update:
    """What adapters do to one layer: ``B A`` with its scale, never multiplied out."""

    a: torch.Tensor
    b: torch.Tensor

    def dot(self, other: Update) -> float:
        """Return the inner product of two updates, by their small factors."""
        return float(((self.b.T @ other.b) * (self.a @ other.a.T)).sum())


def compose(
    plan: Plan, parents: Sequence[Parent], out: Path, tell: Tell, held_out: Mapping[str, Path]
) -> None:
    """Make a composite in ``out``, whole or not at all, and evaluate it.

    Args:
        plan: How.
        parents: Of what.
        out: The composite's folder.
        tell: Told how it went; ``Composed`` is the last.
        held_out: JSONL files to evaluate on, by parent's name; for others their own held-out
            examples are found again where the data still are what they were.

    Raises:
        TomError: The base cannot be loaded, or is not the parents'.
    """
    for note in plan.notes:
        tell(Note(text=note))
    base = base_of(parents[0].record, tell)
    model = _joined(base.model, plan, parents)
    cosines, error = _arithmetic(model, plan, len(parents))
    sets = {p.name: _examples(p, base, held_out.get(p.name), tell) for p in parents}
    rows = _rows(model, base, parents, {name: t for name, t in sets.items() if t}, tell)
    record = _record(plan, parents, base, rows, error)
    found = Composed(
        folder=str(out),
        adapter=record,
        combination=plan.combination,
        relative_error=error,
        conflicts=tuple(conflicts(cosines)),
        cosines=cosines,
        losses=tuple(rows),
    )
    with aside(out) as draft:
        model.save_pretrained(draft, selected_adapters=["default"])
        (draft / "README.md").unlink(missing_ok=True)
        (draft / TRAINED_FILE).write_text(record.model_dump_json(indent=1) + "\n", "utf-8")
        (draft / REPORT_FILE).write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    tell(found)


def base_of(record: TrainedAdapter, tell: Tell) -> Base:
    """Load the base that an adapter was trained on.

    Raises:
        TomError: It cannot be loaded, or is not what it was.
    """
    base = load_base(_base_config(record), tell)
    if base.model_hash != record.base_model_hash:
        raise ConfigError(
            f"{record.base_model} is not the base that the adapter was trained on.",
            code="other_base",
            hint="Give the base's folder as it was; what learned over another adapter must be "
            "joined with it first (a sequential composite).",
        )
    return base


def _base_config(record: TrainedAdapter) -> BaseConfig:
    template, revision = (record.config.get(name) for name in ("chat_template", "base_revision"))
    return BaseConfig(
        model=record.base_model,
        revision=str(revision) if revision else None,
        chat_template=Path(str(template)) if template else None,
    )


def _joined(model: Any, plan: Plan, parents: Sequence[Parent]) -> Any:
    """Return the base with each parent as ``parent_N`` and the composite as ``default``."""
    joined = PeftModel.from_pretrained(model, parents[0].folder, adapter_name="parent_0")
    for number, parent in enumerate(parents[1:], start=1):
        joined.load_adapter(parent.folder, adapter_name=f"parent_{number}")
    options: dict[str, Any] = {}
    if plan.combination == "svd":
        options = {"svd_rank": plan.rank, "svd_full_matrices": False}
    joined.add_weighted_adapter(
        adapters=[f"parent_{number}" for number in range(len(parents))],
        weights=list(plan.weights),
        adapter_name="default",
        combination_type=plan.combination,
        **options,
    )
    joined.set_adapter("default")
    return joined


def _arithmetic(model: Any, plan: Plan, count: int) -> tuple[dict[str, float], float]:
    """Return each layer's lowest cosine between parents, and the composite's relative error.

    The error is the Frobenius norm of what differs from the weighted sum, over that of the sum, for
    all layers together.
    """
    cosines: dict[str, float] = {}
    lost = whole = 0.0
    for name, layer in model.named_modules():
        if not hasattr(layer, "lora_A") or "default" not in layer.lora_A:
            continue
        parts = [_update(layer, f"parent_{number}") for number in range(count)]
        there = [part for part in parts if part is not None]
        pairs = [(p, q) for i, p in enumerate(there) for q in there[i + 1 :]]
        if pairs:
            cosines[name.removeprefix("base_model.model.")] = min(_cosine(p, q) for p, q in pairs)
        weighted = [
            Update(part.a * weight, part.b)
            for part, weight in zip(parts, plan.weights, strict=True)
            if part is not None
        ]
        total = Update(torch.cat([w.a for w in weighted]), torch.cat([w.b for w in weighted], 1))
        made = _update(layer, "default")
        assert made is not None
        whole += total.dot(total)
        lost += max(total.dot(total) - 2 * total.dot(made) + made.dot(made), 0.0)
    return cosines, (lost / whole) ** 0.5 if whole else 0.0


def _update(layer: Any, name: str) -> Update | None:
    if name not in layer.lora_A:
        return None
    a = layer.lora_A[name].weight.detach().double() * layer.scaling[name]
    return Update(a, layer.lora_B[name].weight.detach().double())


def _cosine(one: Update, other: Update) -> float:
    norms = (one.dot(one) * other.dot(other)) ** 0.5
    return one.dot(other) / norms if norms > 0 else 0.0


def _examples(parent: Parent, base: Base, given: Path | None, tell: Tell) -> list[Tokens]:
    """Return a parent's held-out examples: those given, or those of its training once more."""
    longest = int(parent.record.config.get("max_length") or 1024)
    if given is not None:
        found = tuple(example for example in read_examples(given) if example.feedback_score > 0)
    else:
        found = _found_again(parent.record)
        if not found:
            tell(Note(text=f"The held-out examples of {parent.name} are not there any more."))
    return fitting([tokenise(example, base.tokenizer) for example in found], longest)


def _found_again(record: TrainedAdapter) -> tuple[TrainingExample, ...]:
    """Return what a training held out, where its data still are what they were."""
    told = record.config
    validation = told.get("validation")
    try:
        config = DataConfig(
            train=Path(record.dataset_ref or "none"),
            validation=Path(str(validation)) if validation else None,
            validation_fraction=float(told.get("validation_fraction") or 0.0),
            minimum_score=float(told.get("minimum_score") or 0.0),
            kto_margin=float(told.get("kto_margin") or 0.2),
        )
        objective: Objective = "kto" if told.get("objective") == "kto" else "sft"
        data = load_data(config, objective, int(told.get("seed") or 0))
    except ConfigError:
        return ()
    if data.sha256 != record.dataset_sha256:
        return ()
    return tuple(example for example in data.held_out if example.feedback_score > 0)


def _rows(
    model: Any,
    base: Base,
    parents: Sequence[Parent],
    sets: Mapping[str, list[Tokens]],
    tell: Tell,
) -> list[LossRow]:
    """Return the loss of base, parents and composite on each parent's held-out set."""

    def loss(examples: Sequence[Tokens], what: str) -> Evaluated:
        return held_out_loss(model, examples, base.tokenizer.pad_token_id, _BATCH, what)

    rows = []
    for name, examples in sets.items():
        with model.disable_adapter():
            before = loss(examples, f"base on {name}")
        alone = {}
        for number, parent in enumerate(parents):
            model.set_adapter(f"parent_{number}")
            alone[parent.name] = loss(examples, f"{parent.name} on {name}").loss
        model.set_adapter("default")
        after = loss(examples, f"composite on {name}")
        tell(before)
        tell(after)
        rows.append(
            LossRow(
                held_out=name,
                tokens=after.tokens,
                base=before.loss,
                parents=alone,
                composite=after.loss,
            )
        )
    return rows


def _record(
    plan: Plan, parents: Sequence[Parent], base: Base, rows: Sequence[LossRow], error: float
) -> TrainedAdapter:
    first = parents[0].record
    tokens = sum(row.tokens for row in rows)
    metrics = {"relative_error": error}
    if tokens:
        metrics |= {
            "loss_dev_before": sum(row.base * row.tokens for row in rows) / tokens,
            "loss_dev": sum(row.composite * row.tokens for row in rows) / tokens,
        }
    return TrainedAdapter(
        domain=tuple(dict.fromkeys(d for parent in parents for d in parent.record.domain)),
        method=plan.kind,
        rank=plan.rank,
        precision=first.precision,
        base_model=first.base_model,
        base_model_hash=base.model_hash,
        tokenizer_hash=base.tokenizer_hash,
        metrics=metrics,
        calls=tuple(sorted({call for parent in parents for call in parent.record.calls})),
        parents=tuple(parent.name for parent in parents),
        environment=environment(),
        config={
            "combination": plan.combination,
            "weights": ",".join(f"{weight:g}" for weight in plan.weights),
            "base_revision": first.config.get("base_revision"),
            "chat_template": first.config.get("chat_template"),
        },
    )
