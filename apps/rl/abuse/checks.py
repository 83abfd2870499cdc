"""The rules by which an event is held; each is a question to the event and what came before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from apps.rl.abuse.evidence import History, Limits, Reason, Told

DAY_H = 24

Check = Callable[[Told, History, Limits], bool]


def calls_of(events: Sequence[Told]) -> list[Told]:
    """Return the last word on each call, the newest first: a revision hides what it revises."""
    seen: set[str] = set()
    last = []
    for event in events:
        if event.call_ref is None or event.call_ref not in seen:
            last.append(event)
        if event.call_ref is not None:
            seen.add(event.call_ref)
    return last


def same_call(event: Told, history: History, limits: Limits) -> bool:
    """Return whether another event of this call counts already."""
    return not event.revision and any(other.held is None for other in history.of_call)


def other_variant(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the call is known here, with another variant."""
    return history.call_variant is not None and history.call_variant != event.variant


def unknown_call(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the call ran elsewhere, and such calls have their share already."""
    if history.call_variant is not None or not history.calls_here or event.revision:
        return False
    calls = {peer.call_ref or n for n, peer in enumerate(history.of_variant) if not peer.here}
    return len(calls) + 1 > limits.elsewhere * (len(history.of_variant) + 1)


def held_before(event: Told, history: History, limits: Limits) -> bool:
    """Return whether what is revised does not count itself."""
    return event.revision and not any(other.held is None for other in history.of_call)


def burst(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the caller's hour is fuller than anybody's who telephones."""
    within = sum(other.hour == event.hour for other in calls_of(history.of_subject))
    return not event.revision and within >= limits.per_hour


def too_many(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the caller's rewards of the last 24 hours are used up."""
    within = sum(
        other.held is None and abs(event.hour - other.hour) < DAY_H
        for other in calls_of(history.of_subject)
    )
    return not event.revision and within >= limits.per_day


def share(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the caller's share of the variant's latest rewards is used up."""
    if event.subject is None or event.revision:
        return False
    calls = {
        peer.call_ref or number
        for number, peer in enumerate(history.of_variant)
        if peer.subject == event.subject
    }
    most = max(limits.share_least, limits.share * (len(history.of_variant) + 1))
    return len(calls) + 1 > most


def identical(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the same caller told exactly the same before."""
    return any(event.same_as(other) for other in calls_of(history.of_subject))


def copied(event: Told, history: History, limits: Limits) -> bool:
    """Return whether many others told exactly the same of the variant's latest calls."""
    if event.duration_s is None:
        return False
    alike = sum(
        peer.duration_s == event.duration_s
        and peer.rating == event.rating
        and (peer.call_ref is None or peer.call_ref != event.call_ref)
        for peer in history.of_variant
    )
    return alike >= limits.copies


def partisan(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the caller's ratings praise or damn one variant, and nothing else.

    That is: all ratings are one or five stars, both occur, each variant has always got the same,
    and one of the two was for a single variant alone.
    """
    rated = [other for other in (event, *calls_of(history.of_subject)) if other.rating is not None]
    if event.rating is None or len(rated) < limits.partisan_ratings:
        return False
    stars: dict[str, set[int]] = defaultdict(set)
    for other in rated:
        assert other.rating is not None
        stars[other.variant].add(other.rating)
    praised = [variant for variant, given in stars.items() if given == {5}]
    damned = [variant for variant, given in stars.items() if given == {1}]
    if len(praised) + len(damned) < len(stars) or not praised or not damned:
        return False
    # One praised and all others damned is a campaign. The opposite may be a content caller's one
    # bad call, until it happens twice.
    twice = sum(other.variant == damned[0] for other in rated) >= 2
    return len(praised) == 1 or (len(damned) == 1 and twice)


def regular(event: Told, history: History, limits: Limits) -> bool:
    """Return whether most of the caller's calls are as long as another one of theirs."""
    if event.duration_s is None:
        return False
    last = [event, *calls_of(history.of_subject)][: 2 * limits.regular_calls]
    lengths = [other.duration_s for other in last if other.duration_s is not None]
    return len(lengths) >= limits.regular_calls and median(gaps(lengths)) <= limits.regular_gap


def left_before(event: Told, history: History, limits: Limits) -> bool:
    """Return whether the caller left before a first answer already, whatever the variant.

    A variant's first words tell it from others: who hangs up on one each time is one voice only.
    Who hangs up on each (a dialling machine) must not count anew for every variant that is new.
    """
    return any(other.abandoned and other.held is None for other in calls_of(history.of_subject))


def gaps(lengths: Sequence[float]) -> list[float]:
    """Return each length's relative distance to the nearest other one; at least two are given."""
    ordered = sorted(lengths)
    between = [b - a for a, b in pairwise(ordered)]
    nearest = map(min, zip([between[0], *between], [*between, between[-1]], strict=True))
    return [gap / max(length, 1.0) for gap, length in zip(nearest, ordered, strict=True)]


CHECKS: tuple[tuple[Reason, Check], ...] = (
    (Reason.SAME_CALL, same_call),
    (Reason.OTHER_VARIANT, other_variant),
    (Reason.UNKNOWN_CALL, unknown_call),
    (Reason.HELD_BEFORE, held_before),
    (Reason.IDENTICAL, identical),
    (Reason.COPIED, copied),
    (Reason.PARTISAN, partisan),
    (Reason.REGULAR, regular),
    (Reason.BURST, burst),
    (Reason.TOO_MANY, too_many),
    (Reason.SHARE, share),
)
"""In the order in which they are asked: what says most about the event comes first."""

CHECKS_OF_ABANDONED: tuple[tuple[Reason, Check], ...] = (
    (Reason.SAME_CALL, same_call),
    (Reason.OTHER_VARIANT, other_variant),
    (Reason.IDENTICAL, left_before),
    (Reason.BURST, burst),
    (Reason.TOO_MANY, too_many),
)
"""Of a call that ended before its first answer: it moves no posterior, but may trip a
breaker."""
