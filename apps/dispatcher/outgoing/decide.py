"""Whether somebody may be called now, and when to try again: pure functions of what is known.

The order of the checks is that of their weight: what is no number is told before what may not be
called at all, and that before what may be called later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apps.core.errors import ConfigError
from apps.dispatcher.outgoing.numbers import begins_with, is_zone, read_target, zones_of
from apps.dispatcher.profile import CallingHours, Profile
from apps.store.consents import Standing

_STEP = timedelta(minutes=15)
_LOOK_AHEAD = timedelta(days=15)
RETRIED = ("busy", "no_answer", "machine", "no_line")
"""Results after which it is worth trying again: nobody was talked to, and nobody declined."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A call that somebody wants to be made.

    Attributes:
        to: Whom to call, as it was written.
        profile: Who calls.
        language: ``de``, ``en``, or empty for the profile's own.
        purpose: Why, by its name in the profile; empty for the profile's first.
        via: By which dialer; empty for the first there is.
        timezone: The callee's, where the number does not tell it.
    """

    to: str
    profile: str = ""
    language: str = ""
    purpose: str = ""
    via: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set for all outgoing calls.

    Attributes:
        prefixes: Beginnings of the numbers that may be called; all may when empty.
        holidays: Days without calls, as ``2026-12-25`` or, each year, ``12-25``.
        max_per_day: Attempts per number and day.
        retries: Further attempts at one call.
        retry_s: The wait before the first of them; each further one waits twice as long.
    """

    prefixes: tuple[str, ...] = ()
    holidays: frozenset[str] = frozenset()
    max_per_day: int = 3
    retries: int = 2
    retry_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a call is to be made.

    Attributes:
        profile: The profile that is to call; None when there is no such.
        dialers: The dialers that stand, the preferred one first.
        standing: Whether the callee agreed, or is on the do-not-call list.
        dialled_today: How often they were dialled today already.
        on_the_line: Whether they are being called right now.
        room: Whether there is a free line.
        draining: Whether the server is going away.
    """

    profile: Profile | None
    dialers: tuple[str, ...]
    standing: Standing
    dialled_today: int = 0
    on_the_line: bool = False
    room: bool = True
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Dial:
    """The call may be made, now."""

    target: str
    profile: Profile
    language: str
    purpose: str
    via: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call may not be made.

    Attributes:
        code: Why, for programs.
        why: Why, in a sentence without anything personal.
        not_before: When it may be made, where time alone stands against it.
    """

    code: str
    why: str
    not_before: datetime | None = None


REFUSALS = (
    "bad_number",
    "unknown_profile",
    "unknown_purpose",
    "no_dialer",
    "number_not_allowed",
    "do_not_call",
    "no_consent",
    "unknown_time_zone",
    "outside_hours",
    "too_many_attempts",
    "already_calling",
    "draining",
    "busy",
)


def decide(request: OutgoingRequest, facts: Facts, rules: Rules, now: datetime) -> Dial | Refuse:
    """Decide whether a call is made now.

    Args:
        request: What somebody wants.
        facts: What is known.
        rules: What is set.
        now: An aware moment.
    """
    dial = _read(request, facts)
    if isinstance(dial, Refuse):
        return dial
    return _forbidden(dial, facts, rules) or _not_now(request, dial, facts, rules, now) or dial


def purpose_of(request: OutgoingRequest, profile: Profile | None) -> str:
    """Return the purpose of a call: the one asked for, or the profile's first."""
    return request.purpose or next(iter(profile.purposes if profile else ()), "")


def day_start(request: OutgoingRequest, profile: Profile | None, now: datetime) -> datetime:
    """Return when the callee's day began; in UTC where their zone is not known."""
    zones = _zones(request, profile)
    zone = ZoneInfo(zones[0]) if zones else UTC
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def retry_at(result: str, attempt: int, rules: Rules, now: datetime) -> datetime | None:
    """Return when to try again after an attempt, counted from 1; None for never."""
    if result not in RETRIED or attempt > rules.retries:
        return None
    return now + timedelta(seconds=rules.retry_s * 2 ** (attempt - 1))


def read_holidays(text: str) -> frozenset[str]:
    """Read days from a list with commas: ``2026-12-25``, or ``12-25`` for each year.

    Raises:
        ConfigError: One of them is no day.
    """
    days = frozenset(part.strip() for part in text.split(",") if part.strip())
    for day in days:
        try:
            datetime.strptime(day if len(day) > 5 else f"2024-{day}", "%Y-%m-%d").replace(
                tzinfo=UTC
            )
        except ValueError:
            raise ConfigError(
                f"{day!r} is no day.", hint="A holiday is 2026-12-25, or 12-25 for each year."
            ) from None
    return days


# --- the checks


def _read(request: OutgoingRequest, facts: Facts) -> Dial | Refuse:
    profile = facts.profile
    target = read_target(request.to)
    if target is None:
        return Refuse("bad_number", "This is neither a number like +49891234567 nor a SIP address.")
    language = profile.language(request.language) if profile else None
    if profile is None or language is None:
        return Refuse("unknown_profile", "There is no such profile in this language.")
    purpose = purpose_of(request, profile)
    if profile.purpose(purpose, language) is None:
        return Refuse("unknown_purpose", "The profile has no such purpose of a call.")
    via = request.via or next(iter(facts.dialers), "")
    if via not in facts.dialers:
        return Refuse("no_dialer", "No such way to dial out is set up.")
    return Dial(target, profile, language, purpose, via)


def _forbidden(dial: Dial, facts: Facts, rules: Rules) -> Refuse | None:
    if not begins_with(dial.target, rules.prefixes):
        return Refuse("number_not_allowed", "Numbers of this kind are not called.")
    if facts.standing.blocked:
        return Refuse("do_not_call", "This number is on the do-not-call list.")
    if facts.standing.consent is None:
        return Refuse("no_consent", "No consent to be called for this purpose is recorded.")
    return None


def _not_now(
    request: OutgoingRequest, dial: Dial, facts: Facts, rules: Rules, now: datetime
) -> Refuse | None:
    zones = _zones(request, dial.profile)
    if not zones:
        return Refuse("unknown_time_zone", "The callee's time zone is not known; give it.")
    hours = dial.profile.calling_hours
    if not _decent(hours, zones, rules.holidays, now):
        later = _next_decent(hours, zones, rules.holidays, now)
        return Refuse("outside_hours", "Nobody is called at this hour.", later)
    if facts.dialled_today >= rules.max_per_day:
        tomorrow = day_start(request, dial.profile, now) + timedelta(days=1)
        later = _next_decent(hours, zones, rules.holidays, tomorrow)
        return Refuse("too_many_attempts", "This number was called often enough today.", later)
    if facts.on_the_line:
        return Refuse("already_calling", "This number is being called already.")
    if facts.draining:
        return Refuse("draining", "The server is going away.")
    if not facts.room:
        return Refuse("busy", "All lines are busy.")
    return None


def _zones(request: OutgoingRequest, profile: Profile | None) -> tuple[str, ...]:
    if request.timezone:
        return (request.timezone,) if is_zone(request.timezone) else ()
    target = read_target(request.to)
    default = profile.calling_hours.timezone if profile else "UTC"
    return zones_of(target, default) if target else ()


def _decent(
    hours: CallingHours, zones: Iterable[str], holidays: frozenset[str], moment: datetime
) -> bool:
    """Tell whether a moment is within the hours, and on no holiday, in each of the zones."""
    for zone in zones:
        local = moment.astimezone(ZoneInfo(zone))
        if {f"{local:%Y-%m-%d}", f"{local:%m-%d}"} & holidays:
            return False
        if not hours.model_copy(update={"timezone": zone}).open_at(moment):
            return False
    return True


def _next_decent(
    hours: CallingHours, zones: tuple[str, ...], holidays: frozenset[str], after: datetime
) -> datetime | None:
    """Return the first quarter of an hour from which on calls are made; None if there is none."""
    at = after.astimezone(UTC).replace(second=0, microsecond=0)
    at += timedelta(minutes=-at.minute % 15)
    end = at + _LOOK_AHEAD
    while at < end:
        if _decent(hours, zones, holidays, at):
            return at
        at += _STEP
    return None
