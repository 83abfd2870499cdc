"""What happens to one adapter and means something for others on the same route; pure."""

from __future__ import annotations

from collections.abc import Iterator

from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.rollout.machine import Happening, What

_LEAVES = (What.DRIFTED, What.REFUSED, What.ROLLED_BACK, What.RETIRED)


def consequences(
    known: Registered, name: str, happening: Happening
) -> Iterator[tuple[str, Happening]]:
    """Yield what happens to other adapters by the same act.

    Args:
        known: The registry before it.
        name: To which adapter it happens.
        happening: What.
    """
    record = known.records[name]
    if happening.what is What.ESTABLISHED:
        why = f"{name} has taken its place on the route."
        for other in beside(known, record, AdapterState.STANDBY):
            yield other.id, Happening(What.RETIRED, why)
        for other in beside(known, record, AdapterState.ACTIVE):
            yield other.id, Happening(What.SUPERSEDED, why)
    elif happening.what is What.CONFIRMED:
        for other in beside(known, record, AdapterState.STANDBY):
            yield other.id, Happening(What.RETIRED, f"{name} is confirmed in its place.")
    elif record.state is AdapterState.ACTIVE and happening.what in _LEAVES:
        for other in beside(known, record, AdapterState.STANDBY):
            yield other.id, Happening(What.RESTORED, f"{name} was taken from the route.")


def beside(known: Registered, record: AdapterRecord, state: AdapterState) -> list[AdapterRecord]:
    """Return the other adapters in a state that are for some of the same calls."""
    mine = set(record.domain)
    return [
        other
        for other in known.records.values()
        if other.id != record.id and other.state is state and mine & set(other.domain)
    ]
