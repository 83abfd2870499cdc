"""One step of the continuous loop: collect, and train where that is due. A thin shell."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from apps.core.errors import AdapterError, TomError
from apps.rl.adapters.continuous.batches import (
    Batch,
    LoopRules,
    Objective,
    Sample,
    due,
    in_sight,
    make_batch,
)
from apps.rl.adapters.continuous.collect import Collected, Collector
from apps.rl.adapters.examples import TrainingExample, write_examples
from apps.store.database import Database
from apps.store.training_pool import (
    FAILED,
    READY,
    RUNNING,
    TRAINED,
    BatchRow,
    PoolRow,
    batches_of,
    begin_batch,
    end_batch,
    mark_stable,
    pool_counts,
    pool_rows,
    stable_rows,
)

log = structlog.get_logger(__name__)


class Trainer(Protocol):
    """Trains an adapter and registers it."""

    async def __call__(self, domain: str, objective: Objective, data: Path, batch_id: str) -> str:
        """Return the new adapter's id.

        Args:
            domain: What it is for.
            objective: How it learns.
            data: A JSONL file of examples, which is removed afterwards.
            batch_id: Names the run.

        Raises:
            TomError: It cannot be trained.
        """
        ...


class LoopObserver(Protocol):
    """Told of the loop, for the metrics (seed 003's names)."""

    def sample_quality(self, domain: str, mean: float) -> None:
        """Note the mean quality of a batch's fresh samples."""
        ...

    def model_update(self, domain: str, successful: bool) -> None:
        """Count a training, and whether it made an adapter."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of one domain's training: an adapter, or why there is none."""

    domain: str
    batch: BatchRow
    adapter_id: str | None
    why: str = ""


class ContinuousLoop:
    """Collects, and trains where that is due.

    Args:
        db: The store.
        collector: Brings rated turns into the pool.
        train: Trains an adapter.
        folder: Where a batch's file lies while it is trained on.
        rules: When and on what is trained.
        observer: For the metrics; may be None.
    """

    def __init__(
        self,
        db: Database,
        collector: Collector,
        train: Trainer,
        folder: Path,
        rules: LoopRules,
        observer: LoopObserver | None = None,
    ) -> None:
        self._db, self._collector, self._train = db, collector, train
        self._folder, self._rules, self._observer = folder, rules, observer

    async def collect(self) -> Collected:
        """Bring what is new into the pool."""
        return await self._collector.collect()

    async def confirmed(self, adapter_ids: Sequence[str]) -> int:
        """Let the batches of confirmed adapters be replayed from now on."""
        return await self._db.run(mark_stable, list(adapter_ids))

    async def step(self, now: datetime, *, anyway: bool = False) -> list[Trained]:
        """Collect, and train every domain that is due.

        Args:
            now: The time.
            anyway: Train whatever there is, without waiting for number or interval.

        Raises:
            AdapterError: Another process of this machine is at it.
            StoreError: The store cannot be read or written.
        """
        with _alone(self._folder):
            return await self._stepped(now, anyway=anyway)

    async def _stepped(self, now: datetime, *, anyway: bool) -> list[Trained]:
        await self.collect()
        await self._recover()
        counts = await self._db.query(pool_counts)
        domains = sorted({domain for domain, state in counts if state == READY})
        done = [await self._of(domain, now, anyway=anyway) for domain in domains]
        return [trained for trained in done if trained is not None]

    async def _recover(self) -> None:
        """Give the examples of batches free whose process was killed, and remove their files."""
        for batch in await self._db.query(batches_of):
            if batch.state == RUNNING:
                await self._db.run(
                    end_batch, batch.batch_id, FAILED, why="The process that trained it was ended."
                )
        for left in self._folder.glob("*.jsonl"):
            left.unlink(missing_ok=True)

    async def _of(self, domain: str, now: datetime, *, anyway: bool) -> Trained | None:
        rows = await self._db.query(pool_rows, READY, domain=domain)
        buffer = in_sight([_sample(row) for row in rows], self._rules)
        last = next(
            (b for b in await self._db.query(batches_of, domain) if b.state != FAILED), None
        )
        since = None if last is None or last.at_hour is None else now - last.at_hour
        is_due = due(buffer, None if since is None else since.total_seconds(), self._rules)
        if not buffer or not (is_due or anyway):
            return None
        stable = [_sample(row) for row in await self._db.query(stable_rows, domain)]
        return await self._trained(domain, make_batch(buffer, stable, self._rules), now)

    async def _trained(self, domain: str, batch: Batch, now: datetime) -> Trained:
        row = BatchRow(
            secrets.token_hex(16),
            domain,
            self._rules.objective,
            len(batch.fresh),
            len(batch.replayed),
            round(batch.mean_quality, 6),
            at_hour=now,
        )
        await self._db.run(begin_batch, row, [s.example_id for s in batch.fresh])
        if self._observer is not None:
            self._observer.sample_quality(domain, batch.mean_quality)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = self._folder / f"{row.batch_id}.jsonl"
        try:
            write_examples(data, batch.examples)
            adapter = await self._train(domain, self._rules.objective, data, row.batch_id)
        except BaseException as error:
            why = error.message if isinstance(error, TomError) else "It was broken off."
            await self._db.run(end_batch, row.batch_id, FAILED, why=why)
            self._count(domain, successful=False)
            if not isinstance(error, TomError):
                raise
            log.warning("adapter_not_trained", domain=domain, code=error.code, reason=why)
            return Trained(domain, row, None, why)
        finally:
            data.unlink(missing_ok=True)
        await self._db.run(end_batch, row.batch_id, TRAINED, adapter_id=adapter)
        self._count(domain, successful=True)
        return Trained(domain, row, adapter)

    def _count(self, domain: str, *, successful: bool) -> None:
        if self._observer is not None:
            self._observer.model_update(domain, successful)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock beside a folder: two at once would take each other's batches for left ones."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given up with the descriptor
        except BlockingIOError:
            raise AdapterError(
                "Another process is learning from the pool now.",
                hint="Leave it to the server where TOM_ADAPTER_LEARNING is set, or wait.",
                code="learning_elsewhere",
            ) from None
        yield
    finally:
        os.close(lock)


def _sample(row: PoolRow) -> Sample:
    return Sample(row.example_id, TrainingExample.model_validate(row.example), row.seq)
