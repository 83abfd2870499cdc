"""Held-out loss: the mean over all answer tokens, whatever the batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from apps.rl.adapters.training.events import Evaluated
from apps.rl.adapters.training.tokens import IGNORED, Tokens
from apps.rl.adapters.training.worker.memory import let_go, out_of_memory


def held_out_loss(
    model: Any, examples: Sequence[Tokens], pad: int, batch: int, what: str
) -> Evaluated:
    """Return loss and perplexity per answer token.

    Args:
        model: In any mode; it is in the same one afterwards.
        examples: At least one.
        pad: The pad token's id.
        batch: Examples at a time; halved when memory runs out.
        what: What is evaluated, for the event.
    """
    training = model.training
    model.eval()
    try:
        total, count = _total(model, examples, pad, batch)
    finally:
        model.train(training)
    loss = total / max(count, 1)
    return Evaluated(
        what=what,
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
        examples=len(examples),
        tokens=count,
    )


def _total(model: Any, examples: Sequence[Tokens], pad: int, batch: int) -> tuple[float, int]:
    total, count = 0.0, 0
    try:
        with torch.inference_mode():
            for start in range(0, len(examples), batch):
                nll, tokens = _batch_loss(model, examples[start : start + batch], pad)
                total += nll
                count += tokens
        return total, count
    except Exception as error:
        if batch == 1 or not out_of_memory(error):
            raise
    let_go()
    return _total(model, examples, pad, batch // 2)


def _batch_loss(model: Any, examples: Sequence[Tokens], pad: int) -> tuple[float, int]:
    longest = max(len(example.input_ids) for example in examples)
    place = next(model.parameters()).device

    def filled(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
        padded = [[*row, *[filler] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=place)

    ids = filled([e.input_ids for e in examples], pad)
    labels = filled([e.labels for e in examples], IGNORED)
    mask = filled([[1] * len(e.input_ids) for e in examples], 0)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = labels[:, 1:]
    # In float32, since bfloat16 has too few digits for a sum over a vocabulary.
    nll = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return float(nll), int((targets != IGNORED).sum())
