"""What the linear policies see of a call and a variant: named features, each with its prior.

Features of the context alone (profile, language, hour, how well one hears) explain what no variant
can help, so that a slow hour does not blame a prompt. Those of the variant make the score: its
slots, its own deviation from them, and how both differ by profile and language. All are pulled to
0 by their priors: a new profile begins with what the others know, a new variant with what its slots
are known for, and each can turn out to be otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, log

from apps.rl.policies.policy import Context


@dataclass(frozen=True, slots=True)
class Scales:
    """Prior standard deviations of the effects, in rewards.

    Attributes:
        level: Of the general level.
        context: Of a profile, a language, a time of day, a caller who returns.
        speech: Of the recogniser's confidence, the latency, the noise, each a usual deviation off.
        slot: Of a slot's value.
        variant: Of a variant beyond its slots.
        slot_by: Of a slot's value beyond that, by profile and by language.
        variant_by: Of a variant beyond that, by profile and by language.
    """

    level: float = 0.5
    context: float = 0.15
    speech: float = 0.1
    slot: float = 0.12
    variant: float = 0.1
    slot_by: float = 0.07
    variant_by: float = 0.1


@dataclass(frozen=True, slots=True)
class Feature:
    """One that is not zero.

    Attributes:
        name: The same for the same effect, for ever.
        value: What its effect is multiplied with.
        sd: Prior standard deviation of its effect, in rewards.
    """

    name: str
    value: float
    sd: float


SEGMENTS = ("profile", "language")
"""What of the context variants' effects differ by."""

Segment = tuple[str | None, ...]
"""Their values; None for what is not known."""

_SPEECH: Mapping[str, Callable[[float], float]] = {
    "stt_confidence": lambda value: (value - 0.8) / 0.1,
    "latency_ms": lambda value: log(max(value, 1.0) / 500.0) / 0.3,
    "noise_db": lambda value: (value - 52.0) / 6.0,
}

_OF_CONTEXT = {"level", *SEGMENTS, "time_of_day", "returning", *_SPEECH}


def segment_of(context: Context) -> Segment:
    """Return the call's segment."""
    return tuple(_word(context.get(kind)) for kind in SEGMENTS)


def of_context(context: Context, scales: Scales) -> list[Feature]:
    """Return the features that are the same whatever the variant is."""
    features = [Feature("level", 1.0, scales.level)]
    for kind in (*SEGMENTS, "time_of_day"):
        word = _word(context.get(kind))
        if word is not None:
            features.append(Feature(f"{kind}={word}", 1.0, scales.context))
    returning = context.get("returning")
    if isinstance(returning, bool):
        features.append(Feature("returning", 0.5 if returning else -0.5, scales.context))
    for kind, scaled in _SPEECH.items():
        number = context.get(kind)
        if isinstance(number, int | float) and isfinite(number):
            value = min(max(scaled(float(number)), -3.0), 3.0)
            features.append(Feature(kind, value, scales.speech))
    return features


def of_variant(
    variant: str, slots: Mapping[str, str], segment: Segment, scales: Scales
) -> list[Feature]:
    """Return the features that make a variant's score in a segment.

    Args:
        variant: Its id.
        slots: Its slot values; empty when they are not known.
        segment: See ``segment_of``.
        scales: The effects' priors.
    """
    values = [f"{slot}={value}" for slot, value in slots.items()]
    features = [Feature(value, 1.0, scales.slot) for value in values]
    features.append(Feature(f"variant={variant}", 1.0, scales.variant))
    for kind, word in zip(SEGMENTS, segment, strict=True):
        if word is not None:
            by = f" & {kind}={word}"
            features += [Feature(value + by, 1.0, scales.slot_by) for value in values]
            features.append(Feature(f"variant={variant}{by}", 1.0, scales.variant_by))
    return features


def on_average(
    variant: str, slots: Mapping[str, str], means: Mapping[str, float], scales: Scales
) -> list[Feature]:
    """Return a variant's features in the mean of all contexts seen.

    Args:
        variant: Its id.
        slots: Its slot values.
        means: Mean value of every feature seen, by name.
        scales: The effects' priors.
    """
    known = {name: mean for name, mean in means.items() if name.partition("=")[0] in _OF_CONTEXT}
    features = [Feature(name, mean, 0.0) for name, mean in known.items()]
    features += of_variant(variant, slots, (None,) * len(SEGMENTS), scales)
    for place, kind in enumerate(SEGMENTS):
        for name, mean in known.items():
            if name.startswith(f"{kind}="):
                word = name.partition("=")[2]
                segment = tuple(word if k == place else None for k in range(len(SEGMENTS)))
                both = of_variant(variant, slots, segment, scales)
                features += [Feature(f.name, mean, f.sd) for f in both if " & " in f.name]
    return features


def _word(value: object) -> str | None:
    """Return a category's value, or None for what is none."""
    return value if isinstance(value, str) and value else None
