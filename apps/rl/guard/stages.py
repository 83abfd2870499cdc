"""A variant's life, and what operators and the guard have set: folds of their acts.

offline → shadow → new → uncertain → established. Variants of the policy file begin at new,
candidates of the trainer at offline. Acts move a variant up to new, or out of service; from new on
it is what was seen of it that decides (``standing.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from apps.core.errors import ConfigError
from apps.rl.variants import PolicyVariant
from apps.store.deployment import DeploymentRow


class Stage(StrEnum):
    """How far a variant has come."""

    BASE = "base"
    """Always there; never blacklisted."""
    ESTABLISHED = "established"
    """Surely not worse than the base variant by more than the margin: competes freely."""
    UNCERTAIN = "uncertain"
    """Seen some, but not surely good enough."""
    NEW = "new"
    """Hardly seen yet."""
    SHADOW = "shadow"
    """Answers real turns, which nobody hears."""
    OFFLINE = "offline"
    """A candidate that nothing was done with yet."""
    PAUSED = "paused"
    """Stopped by a breaker until an operator lets it go on."""
    BLACKLISTED = "blacklisted"
    """Gets no call any more."""
    REMOVED = "removed"
    """Taken out of the deployment by hand."""


SERVING = (Stage.BASE, Stage.ESTABLISHED, Stage.UNCERTAIN, Stage.NEW)
"""The stages whose variants calls may get."""


class Act(StrEnum):
    """What an operator, or the guard by itself, can do."""

    ADD = "add"
    REMOVE = "remove"
    PROMOTE = "promote"
    """A candidate goes to the stage in the act's data."""
    PAUSE = "pause"
    BLACKLIST = "blacklist"
    REINSTATE = "reinstate"
    """Ends a pause or a blacklisting: the variant is judged by what comes after."""
    ROLLBACK = "rollback"
    """All calls get the base variant."""
    RESUME = "resume"
    """Ends a rollback and clears its alarm."""
    ALARM = "alarm"
    """The experiment itself is not as it should be; says which check found it in its data."""
    EXHAUST = "exhaust"
    """The regret budget is spent: the base variant alone, until it has recovered."""
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Promotion:
    """Where acts have brought a candidate, and what it was then.

    The variant stands in the act itself, so that every process knows it, and no later file can
    give what was promoted another meaning.
    """

    stage: Stage
    variant: PolicyVariant


@dataclass(frozen=True, slots=True)
class Holds:
    """What all acts together have set.

    Attributes:
        base_only: Everything is rolled back to the base variant, and why.
        exhausted: The regret budget is spent, and why; None while it lasts.
        alarms: What the guard found wrong with the experiment as a whole, by check.
        blacklisted: Variants blacklisted, and why.
        paused: Variants that a breaker has stopped, and why.
        removed: Variants taken out, and why.
        promoted: Candidates brought on.
        restarts: After which feedback ``seq`` the judging of a variant began anew, in the acts'
            order; that of the experiment as a whole stands under ``EVERYTHING``.
        epochs: How often a variant, or everything, was given another chance: what the guard does
            by itself it does once in an epoch.
        last_seq: The last act folded.
    """

    base_only: str | None = None
    exhausted: str | None = None
    alarms: Mapping[str, str] = field(default_factory=dict)
    blacklisted: Mapping[str, str] = field(default_factory=dict)
    paused: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    promoted: Mapping[str, Promotion] = field(default_factory=dict)
    restarts: tuple[tuple[int, str], ...] = ()
    epochs: Mapping[str, int] = field(default_factory=dict)
    last_seq: int = 0

    def act_id(self, act: Act, variant: str | None, check: str = "") -> str:
        """Return the id under which several processes store one act of the guard once."""
        key = variant or EVERYTHING
        name = f"guard {act} {check} {key} {self.epochs.get(key, 0)}"
        return hashlib.sha256(name.encode()).hexdigest()  # 64 characters, however long the name


EVERYTHING = "*"
"""Stands for the whole deployment where a variant's id would; no id can be it."""


def fold_acts(holds: Holds, acts: Iterable[DeploymentRow]) -> Holds:
    """Return what is set after further acts."""
    for act in acts:
        holds = replace(_after(holds, act), last_seq=max(holds.last_seq, act.seq))
    return holds


def _after(holds: Holds, act: DeploymentRow) -> Holds:
    variant = act.variant or EVERYTHING
    match act.action:
        case Act.ADD:
            return replace(holds, removed=_without(holds.removed, variant))
        case Act.REMOVE:
            return replace(holds, removed={**holds.removed, variant: act.why})
        case Act.BLACKLIST:
            return replace(holds, blacklisted={**holds.blacklisted, variant: act.why})
        case Act.PAUSE:
            return replace(holds, paused={**holds.paused, variant: act.why})
        case Act.PROMOTE:
            brought = Promotion(Stage(str(act.data["to"])), _variant_in(variant, act.data))
            return replace(holds, promoted={**holds.promoted, variant: brought})
        case Act.REINSTATE:
            return _anew(
                replace(
                    holds,
                    blacklisted=_without(holds.blacklisted, variant),
                    paused=_without(holds.paused, variant),
                ),
                act,
            )
        case Act.ROLLBACK:
            return replace(holds, base_only=act.why)
        case Act.RESUME:
            return _anew(replace(holds, base_only=None, exhausted=None, alarms={}), act)
        case Act.ALARM:
            check = str(act.data.get("check", "experiment"))
            return replace(holds, alarms={**holds.alarms, check: act.why})
        case Act.EXHAUST:
            return replace(holds, exhausted=act.why)
        case Act.RECOVER:
            epochs = {**holds.epochs, EVERYTHING: holds.epochs.get(EVERYTHING, 0) + 1}
            return replace(holds, exhausted=None, epochs=epochs)
    return holds  # an act of a later version: it changes nothing that is known here


def _anew(holds: Holds, act: DeploymentRow) -> Holds:
    """Begin a new epoch: what is judged now is what comes after the act."""
    key, seq = act.variant or EVERYTHING, act.data.get("seq", 0)
    return replace(
        holds,
        restarts=(*holds.restarts, (seq if isinstance(seq, int) else 0, key)),
        epochs={**holds.epochs, key: holds.epochs.get(key, 0) + 1},
    )


def promotion_data(to: Stage, variant: PolicyVariant) -> dict[str, object]:
    """Return what a promotion's act keeps, as ``fold_acts`` reads it."""
    return {
        "to": to.value,
        "name": variant.name,
        "description": variant.description,
        "parameters": dict(variant.parameters),
        **({"adapter": variant.adapter} if variant.adapter else {}),
    }


def _variant_in(variant: str, data: Mapping[str, Any]) -> PolicyVariant:
    found = PolicyVariant(
        variant,
        str(data.get("name", variant)),
        {str(k): str(v) for k, v in dict(data.get("parameters", {})).items()},
        str(data.get("description", "")),
        str(data["adapter"]) if data.get("adapter") else None,
    )
    try:
        _ = found.slots
    except ConfigError:  # of a later version, with slots not known here: the base variant's
        return replace(found, parameters={})
    return found


def _without(held: Mapping[str, str], variant: str) -> dict[str, str]:
    return {name: why for name, why in held.items() if name != variant}
