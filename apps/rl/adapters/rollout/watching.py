"""From ended calls to what an adapter is compared by; and one process's watches. Pure but for it.

An arm is held against the base variant, by the variants' logged probabilities; an adapter on the
route against the route's control, by the chance of that draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.rollout.monitor import Watch, WatchedCall, values_of
from apps.store.adapter_calls import AdapterCallRow
from apps.store.feedback import Flag

WATCHED = (AdapterState.CANARY, AdapterState.ACTIVE)


def as_arm(row: AdapterCallRow, arm: str, base: str) -> WatchedCall | None:
    """Return a call as an arm is compared by it; None for one that was neither's."""
    if row.variant not in (arm, base):
        return None
    mine, bases = row.propensities.get(arm, 0.0), row.propensities.get(base, 0.0)
    if mine <= 0.0:
        return None
    return _watched(row, row.variant == arm, mine / (mine + bases))


def as_arms(row: AdapterCallRow, arm: str, other: str) -> WatchedCall | None:
    """Return a call as two arms are compared with each other by it: an A/B test."""
    return as_arm(row, arm, other)


def on_route(row: AdapterCallRow, served: str) -> WatchedCall | None:
    """Return a call as the active adapter of a route is compared by it; None for another route's.

    Args:
        row: The call.
        served: The active adapter's served name.
    """
    if row.route != served or row.route_chance is None:
        return None
    own = row.adapter == served
    return _watched(row, own, row.route_chance if own else 1.0 - row.route_chance)


def _watched(row: AdapterCallRow, own: bool, chance: float) -> WatchedCall:
    unsafe = Flag.UNSAFE.value in row.flags
    return WatchedCall(row.seq, own, chance, values_of(row.reward, row.context), unsafe)


@dataclass(slots=True)
class Watches:
    """The watches over all adapters that calls have, as far as the store goes.

    Attributes:
        base: The base variant, which arms are held against.
        watches: By adapter and the number of the happening that brought it where it stands.
        last_seq: The last feedback event folded; a new watch reads from its own beginning.
    """

    base: str
    watches: dict[str, tuple[tuple[AdapterState, int], Watch]] = field(default_factory=dict)

    def since(self, known: Registered) -> int | None:
        """Return after which event calls must be read; None when nobody is watched."""
        self._renew(known)
        return min((watch.last_seq for _, watch in self.watches.values()), default=None)

    def take(self, known: Registered, rows: Sequence[AdapterCallRow]) -> Mapping[str, Watch]:
        """Fold all calls after ``since``, or the first of them; return the watches by adapter."""
        self._renew(known)
        for row in rows:
            for name, (at, watch) in self.watches.items():
                record = known.records[name]
                if record.state is AdapterState.ACTIVE:
                    call = on_route(row, record.served)
                else:
                    call = as_arm(row, record.served, self.base)
                if call is not None:
                    self.watches[name] = (at, watch.add(call))
        if rows:  # other adapters' calls are not read again either
            for name, (at, watch) in self.watches.items():
                self.watches[name] = (at, watch.read_to(rows[-1].seq))
        return {name: watch for name, (_, watch) in self.watches.items()}

    def _renew(self, known: Registered) -> None:
        """Begin anew where an adapter has come into another state."""
        now = {
            name: (record.state, known.rollouts[name].since)
            for name, record in known.records.items()
            if record.state in WATCHED
        }
        for name, at in now.items():
            if name not in self.watches or self.watches[name][0] != at:
                self.watches[name] = (at, Watch(name, last_seq=at[1]))
        self.watches = {name: found for name, found in self.watches.items() if name in now}
