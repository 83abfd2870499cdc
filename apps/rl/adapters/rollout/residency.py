"""Which adapters a server should have loaded; pure.

A server has room for so many. Of those that are wanted it keeps the ones that calls asked for last
(least recently used go first), and what a call uses is never unloaded. What somebody has loaded by
hand, to try it, stays for as long as there is room beside those; and what the registry does not
know is not ours to unload.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.rollout.machine import WANTED

_FIRST = (
    AdapterState.ACTIVE,
    AdapterState.STANDBY,
    AdapterState.CANARY,
    AdapterState.SMOKE,
    AdapterState.LOADING,
    AdapterState.SHADOW,
)
"""Which goes first where none was asked for later than the other."""


@dataclass(frozen=True, slots=True)
class Residency:
    """What to load and unload, by served names, in this order: unload first."""

    unload: tuple[str, ...] = ()
    load: tuple[str, ...] = ()


def residency(
    known: Registered,
    loaded: Collection[str],
    in_use: Collection[str],
    last_asked: Mapping[str, int],
    most: int,
) -> Residency:
    """Return what brings a server to what it should have.

    Args:
        known: The registry.
        loaded: What the server has.
        in_use: What calls or answers under way use.
        last_asked: When each was asked for last, as a growing number; those never asked for lack.
        most: So many at once.
    """
    state = {record.served: record.state for record in known.records.values()}
    wanted = [name for name, at in state.items() if at in WANTED]
    wanted.sort(key=lambda name: (-last_asked.get(name, 0), _FIRST.index(state[name])))
    leaving = {
        name
        for name in loaded
        if state.get(name) in (AdapterState.DRAINING, AdapterState.UNLOADING)
    }  # these have effects of their own
    ours = [name for name in loaded if name in state and name not in leaving]
    held = [name for name in ours if name in in_use]
    room = max(most - len(leaving), 0)
    keep = set(held) | set([n for n in wanted if n not in held][: max(room - len(held), 0)])
    by_hand = [name for name in sorted(ours) if name not in keep and name not in wanted]
    keep |= set(by_hand[: max(room - len(keep), 0)])
    unload = tuple(name for name in sorted(ours) if name not in keep)
    load = tuple(name for name in wanted if name in keep and name not in loaded)
    return Residency(unload, load)
