"""Which combinations are worth trying, and the file that offers them to the deploy guard."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from apps.core.clock import utc_hour
from apps.core.errors import StoreError
from apps.core.files import EVERYBODYS, write_new
from apps.core.policy import PolicySlots
from apps.rl.trainer.calls import Source
from apps.rl.trainer.grid import Score
from apps.rl.variants import PolicyVariant

_HEAD = """\
# Candidates of the offline trainer (docs/offline-trainer.md). The deploy guard takes them in as
# `offline`: no call gets one before it is promoted. An id belongs to its slots for good.
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a combination must reach to be offered.

    Attributes:
        better: Least probability that it earns more than the base variant.
        best: Least probability that it earns more than the variant that is thought the best.
        caution: Candidates are ranked by their gain less so many of its standard deviations.
    """

    better: float = 0.85
    best: float = 0.1
    caution: float = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination that is offered.

    Attributes:
        variant: As the policy file would have it.
        score: What speaks for it.
    """

    variant: PolicyVariant
    score: Score


def candidate_id(slots: PolicySlots) -> str:
    """Return a combination's lasting id: ``c-`` and eight hex digits of its slots' hash."""
    said = "/".join(f"{slot}={value}" for slot, value in slots.as_dict().items())
    return f"c-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def cautious(score: Score, bar: Bar) -> float:
    """Return the gain that candidates are ranked by: its lower bound."""
    return score.gain - bar.caution * score.gain_error


def veto(score: Score, bar: Bar) -> str | None:
    """Return why a combination is not offered, in a sentence, or None."""
    if score.served:
        return f"It is served already, as {', '.join(score.variants)}."
    if score.better < bar.better:
        return f"It is better than the base variant with {score.better:.0%} only."
    if score.best < bar.best:
        return f"It is better than the best variant served with {score.best:.0%} only."
    seen = score.off_policy
    if seen is not None and seen.interval is not None and seen.interval.high < 0.0:
        return "The log itself, slot by slot, says that it is worse than the base variant."
    if score.preferred + 2.0 * score.preferred_error < 0.0:
        return "In pairs of calls its slots lose against the base variant's."
    return None


def choose(scores: Sequence[Score], bar: Bar, most: int) -> tuple[Candidate, ...]:
    """Return up to ``most`` combinations to offer, the best lower bound first."""
    fit = [score for score in scores if veto(score, bar) is None]
    fit.sort(key=lambda score: (-cautious(score, bar), candidate_id(score.slots)))
    return tuple(Candidate(_variant(score), score) for score in fit[:most])


def waiting(
    offered: Mapping[str, PolicySlots], served: Collection[str], known: Mapping[str, PolicySlots]
) -> list[str]:
    """Return the candidates offered before that no call has had yet, and no operator took over.

    Args:
        offered: Candidates of earlier trainings.
        served: Variants that decisions chose.
        known: The policy file's own variants.
    """
    taken = set(known.values())
    return sorted(i for i, slots in offered.items() if i not in served and slots not in taken)


def to_yaml(
    candidates: Sequence[Candidate], source: Source, *, base: str, level: float, made: datetime
) -> str:
    """Return the candidates' file.

    Args:
        candidates: In the order of their rank.
        source: What they were learned from.
        base: The base variant, which gains are against.
        level: Of the intervals.
        made: When; cut to the hour.
    """
    variants = {
        c.variant.id: {
            "name": c.variant.name,
            "description": c.variant.description,
            "parameters": dict(c.variant.parameters),
        }
        for c in candidates
    }
    provenance = {
        "trained_on": source.store,
        "up_to_feedback": source.last_feedback,
        "up_to_decision": source.last_decision,
        "made": utc_hour(made).isoformat(timespec="minutes"),
        "base_variant": base,
        "level": level,
        "scores": {c.variant.id: _score(c.score) for c in candidates},
    }
    body = yaml.safe_dump(
        {"variants": variants, "provenance": provenance}, sort_keys=False, allow_unicode=True
    )
    return _HEAD + "\n" + body


def file_name(source: Source, made: datetime) -> str:
    """Return the file's name: the hour, and how far the store had come."""
    return f"{utc_hour(made):%Y-%m-%dT%H}-{source.last_feedback}.yaml"


def export(folder: Path, name: str, text: str) -> Path:
    """Write a file whole or not at all, and never over another.

    Returns:
        Where it is: under the next free number when the name was taken.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        return write_new(folder / name, text, mode=EVERYBODYS)
    except OSError as error:
        raise StoreError(
            f"The candidates cannot be written to {folder}: {error.strerror}.",
            hint="Set RL_CANDIDATES_PATH, or --out, to a folder that TOM may write to.",
        ) from error


def _variant(score: Score) -> PolicyVariant:
    slots = score.slots.as_dict()
    greeting, tone, length, inquiry, sensitivity = slots.values()
    return PolicyVariant(
        id=candidate_id(score.slots),
        name=f"Candidate: {' '.join(slots.values())}",
        parameters=slots,
        description=(
            f"Greets {greeting}, {tone} tone, {length} answers, inquiry {inquiry}, barge-in"
            f" sensitivity {sensitivity}. Expected {score.gain:+.3f} against the base variant."
        ),
    )


def _score(score: Score) -> dict[str, object]:
    said: dict[str, object] = {
        "reward": round(score.mean, 4),
        "interval": [round(score.low, 4), round(score.high, 4)],
        "gain": round(score.gain, 4),
        "better_than_base": round(score.better, 4),
        "better_than_best_served": round(score.best, 4),
    }
    seen = score.off_policy
    if seen is not None and seen.interval is not None and seen.value is not None:
        said["off_policy_gain"] = round(seen.value, 4)
        said["off_policy_interval"] = [round(seen.interval.low, 4), round(seen.interval.high, 4)]
    elif seen is not None:
        said["off_policy_refused"] = seen.refusal
    return said
