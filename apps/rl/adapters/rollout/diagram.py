"""Writes the roll-out's parts of docs/adapters.md from its table: the page cannot differ."""

from __future__ import annotations

from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.rollout.machine import DUE, TABLE, Effect, What

_NOT_DRAWN = (What.ROLLED_BACK, What.RETIRED)
"""Drawn, these would hide the rest: they leave nearly every state, for draining."""


def rollout_mermaid() -> str:
    """Return the state diagram: every change of state but an operator's way out."""
    arrows: dict[tuple[AdapterState, AdapterState], list[str]] = {}
    for (state, what), found in TABLE.items():
        if found.to is not state and what not in _NOT_DRAWN:
            arrows.setdefault((state, found.to), []).append(what.value)
    for end in _ends():
        arrows[(AdapterState.UNLOADING, end)] = [What.UNLOADED.value]
    lines = ["stateDiagram-v2", f"    [*] --> {AdapterState.TRAINED}"]
    lines += [f"    {a} --> {b} : {'<br/>'.join(labels)}" for (a, b), labels in arrows.items()]
    return "\n".join([*lines, *(f"    {end} --> [*]" for end in _ends())])


def rollout_table() -> str:
    """Return the table: state, what is due in it, and what leads where."""
    lines = ["| state | due | what happens → where it stands then |", "|---|---|---|"]
    for state in AdapterState:
        leads = [
            f"`{what}` → `{found.to}`" + (f", to end `{found.ends}`" if found.ends else "")
            for (at, what), found in TABLE.items()
            if at is state
        ]
        effects = ", ".join(f"`{effect}`" for effect in DUE[state])
        lines.append(f"| `{state}` | {effects} | {'; '.join(leads)} |")
    return "\n".join(lines)


def effects_list() -> str:
    """Return what each effect is."""
    return "\n".join(f"- `{effect}`: {_told(effect)}" for effect in Effect)


def _ends() -> list[AdapterState]:
    return list(dict.fromkeys(found.ends for found in TABLE.values() if found.ends))


def _told(effect: Effect) -> str:
    return _EFFECTS[effect]


_EFFECTS = {
    Effect.EVALUATE: "wait for `tom adapters eval`.",
    Effect.LOAD: "pass the hash gate, and have the server load it, as long as there is room.",
    Effect.SMOKE_TEST: "ask it something, and look at the answer.",
    Effect.OFFER_SHADOW: "make it an arm of the deploy guard, in the shadow; watch its gate.",
    Effect.OFFER_CALLS: "let the arm have calls within the guard's caps; watch it.",
    Effect.ROUTE: "give it to the calls of its domain, but to the control share; watch it.",
    Effect.HOLD: "keep it loaded, for the control share and for the way back.",
    Effect.WITHDRAW: "give it to no new call; wait until none has it.",
    Effect.UNLOAD: "have the server let go of it.",
}
