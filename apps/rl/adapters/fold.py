"""The registry as a fold of the store's rows; pure.

A row that this installation has not signed, or that was changed since, is never used: its adapter
is named among the damaged, and all others are untouched by that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from apps.core.errors import IllegalEvent
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.rollout.machine import Happening, Rollout, What, step
from apps.rl.adapters.signing import Signer
from apps.store.adapters import AdapterEventRow, AdapterRow


@dataclass(frozen=True, slots=True)
class Registered:
    """All adapters at one moment.

    Attributes:
        records: By id, the oldest first.
        rollouts: Where each of them stands.
        damaged: By id, why an adapter cannot be used, in a sentence.
        last_seq: The last event folded.
    """

    records: Mapping[str, AdapterRecord] = field(default_factory=dict)
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    last_seq: int = 0

    def served(self, name: str) -> AdapterRecord | None:
        """Return the adapter that is served under a name, or None."""
        return next((r for r in self.records.values() if r.served == name), None)

    def active(self, domain: str) -> AdapterRecord | None:
        """Return the adapter that new calls of a domain have, or None."""
        return next(
            (
                r
                for r in self.records.values()
                if r.state is AdapterState.ACTIVE and domain in r.domain
            ),
            None,
        )

    def learned_from(self, calls: Collection[str]) -> list[AdapterRecord]:
        """Return the adapters behind which one of these calls stands, composites of them too.

        Args:
            calls: Keyed hashes.
        """
        records, wanted = self.records, set(calls)
        reached = {name for name, r in records.items() if wanted & set(r.calls)}
        before = -1
        while len(reached) != before:  # parents may be newer than the oldest entries
            before = len(reached)
            reached |= {name for name, r in records.items() if reached & set(r.parents)}
        return [record for name, record in records.items() if name in reached]


class _Damaged(Exception):
    """Why an adapter's rows cannot be used, in a sentence."""


def fold_rows(
    rows: Iterable[AdapterRow], events: Iterable[AdapterEventRow], signer: Signer
) -> Registered:
    """Return the registry that the store's rows come to."""
    history: dict[str, list[AdapterEventRow]] = {}
    last_seq = 0
    for event in events:
        history.setdefault(event.adapter_id, []).append(event)
        last_seq = max(last_seq, event.seq)
    records, rollouts, damaged = dict[str, AdapterRecord](), dict[str, Rollout](), dict[str, str]()
    for row in rows:
        try:
            record, rollout = _one(row, history.get(row.adapter_id, []), signer)
        except _Damaged as error:
            damaged[row.adapter_id] = str(error)
        else:
            records[row.adapter_id], rollouts[row.adapter_id] = record, rollout
    return Registered(records, rollouts, damaged, last_seq)


def said_by(event: AdapterEventRow) -> dict[str, object]:
    """Return what of an event is signed."""
    return {
        "adapter_id": event.adapter_id,
        "number": event.number,
        "action": event.action,
        "why": event.why,
        "data": dict(event.data),
        "actor": event.actor,
    }


def _one(
    row: AdapterRow, events: Sequence[AdapterEventRow], signer: Signer
) -> tuple[AdapterRecord, Rollout]:
    if not signer.holds(row.record, row.signature):
        raise _Damaged("Its entry was not signed here, or was changed since.")
    rollout, metrics, hour = Rollout(), dict[str, float](), _hour(row.at_hour)
    for number, event in enumerate(events, start=1):
        if event.number != number or not signer.holds(said_by(event), event.signature):
            raise _Damaged(f"Its event {number} is missing, was not signed here, or was changed.")
        try:
            after = step(rollout, _happening(event))
        except (ValueError, IllegalEvent):
            raise _Damaged(
                f"Its event {number}, {event.action!r}, is not known to this version."
            ) from None
        if after.state is not rollout.state:
            hour = _hour(event.at_hour)
        rollout = after
        found = event.data.get("metrics")
        if isinstance(found, Mapping):
            metrics |= {str(name): float(value) for name, value in found.items()}
    try:
        record = AdapterRecord.model_validate(
            {
                **row.record,
                "signature": row.signature,
                "state": rollout.state,
                "why": rollout.why,
                "state_hour": hour,
                "registered_hour": _hour(row.at_hour),
            }
        )
    except ValidationError as error:
        raise _Damaged(f"Its entry cannot be read: {error.errors()[0]['msg']}.") from None
    if metrics:
        record = record.model_copy(update={"metrics": {**record.metrics, **metrics}})
    return record, rollout


def _happening(event: AdapterEventRow) -> Happening:
    seq, like = event.data.get("seq", 0), event.data.get("like", "")
    return Happening(
        What(event.action),
        event.why,
        event.actor,
        seq if isinstance(seq, int) else 0,
        str(like),
    )


def _hour(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%Y-%m-%dT%HZ")
