"""Feedback events: checked, stripped of what leads to a person, stored once, counted, let go of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import InvalidFeedback
from apps.core.ids import DEFAULT_TENANT, keyed_hash
from apps.rl import defaults
from apps.rl.abuse import Limits, Sieve
from apps.rl.reward_calc import RewardCalculator
from apps.rl.signals import Signals
from apps.rl.variants import VariantId
from apps.store.calls import purge_before
from apps.store.database import Database
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    VariantCounts,
    append_feedback,
    counts_by_variant,
)
from apps.store.letting_go import Kept


class FeedbackEvent(BaseModel):
    """What is told about one ended call; ``docs/schemas/feedback_event.json`` is made from this.

    It has no free text, so nothing personal can slip in; the call's id and the time are replaced
    by a keyed hash and the hour before anything is stored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, title="Feedback event")

    call_id: str = Field(
        min_length=1, max_length=128, description="The call's id; stored as a keyed hash alone."
    )
    policy_variant: VariantId = Field(description="The prompt variant that the call had.")
    profile: VariantId = Field("kfz", description="The profile that answered.")
    signals: Signals = Field(
        default_factory=Signals, description="What the reward is made of; unknown ones left out."
    )
    abandoned: bool = Field(
        False, description="Ended before the first answer: counted, not rewarded."
    )
    rating_offered: bool = Field(False, description="The caller was asked for a rating.")
    rating_answered: bool = Field(False, description="The caller said something to that.")
    event_id: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Makes the event idempotent; by default there is one event per call.",
    )
    timestamp: AwareDatetime = Field(
        default_factory=utc_now, description="When; stored cut to the hour."
    )

    @field_validator("timestamp")
    @classmethod
    def _when_there_were_calls(cls, moment: datetime) -> datetime:
        if moment.year < 1970:
            raise ValueError("it lies before 1970")
        return moment

    @model_validator(mode="before")
    @classmethod
    def _a_rating_is_an_answer(cls, data: Any) -> Any:
        signals = data.get("signals") if isinstance(data, Mapping) else None
        rated = (
            signals.user_rating is not None
            if isinstance(signals, Signals)
            else isinstance(signals, Mapping) and signals.get("user_rating") is not None
        )
        return {**data, "rating_offered": True, "rating_answered": True} if rated else data


@dataclass(frozen=True, slots=True)
class FeedbackStatistics:
    """What the feedback store holds, administrative events left out.

    Attributes:
        feedback: Rewarded calls.
        abandoned: Calls that ended before their first answer.
        rated: Calls with a rating.
        mean_rating: Of those alone; None when there is none.
        variants: The same by variant.
    """

    feedback: int
    abandoned: int
    rated: int
    mean_rating: float | None
    variants: Mapping[str, VariantCounts]

    @property
    def answer_rate(self) -> float | None:
        """Return the share of rewarded calls that gave a rating; None when there is none."""
        return self.rated / self.feedback if self.feedback else None


class FeedbackCollector:
    """Takes feedback from outside of a live call into the store.

    (A live call's own end goes through ``PolicySelector.learn``, which knows its facts.)

    Args:
        db: The store; that of the settings when None.
        key: The installation's hashing key; that of the settings when None.
        calculator: Makes the rewards.
        learns: Whether the bandit counts what is collected; as the settings say when None.
        tenant: Whose feedback it is.
        limits: What is held; as the settings say when None.
    """

    def __init__(
        self,
        db: Database | None = None,
        *,
        key: bytes | None = None,
        calculator: RewardCalculator | None = None,
        learns: bool | None = None,
        tenant: str = DEFAULT_TENANT,
        limits: Limits | None = None,
    ) -> None:
        self._db = db or defaults.default_database()
        self._key = defaults.default_hash_key() if key is None else key
        self._calculator = calculator or RewardCalculator()
        self._learns = defaults.learning_enabled() if learns is None else learns
        self._tenant = tenant
        self._sieve = Sieve(defaults.feedback_limits() if limits is None else limits)

    def collect(self, event: FeedbackEvent | Mapping[str, object]) -> bool:
        """Check, anonymise and store one event; it is on disk when this returns.

        Returns:
            False when it was there already: nothing changes.

        Raises:
            InvalidFeedback: The event is not sound; the field is named.
            StoreError: It cannot be stored.
        """
        checked = event if isinstance(event, FeedbackEvent) else check_event(event)
        row = self._anonymised(checked)
        with self._db.transaction() as conn:
            return append_feedback(conn, self._sieve.sift(conn, row))

    def statistics(self) -> FeedbackStatistics:
        """Return what is stored, by variant and together."""
        with self._db.reading() as conn:
            variants = counts_by_variant(conn, tenant=self._tenant)
        rated = sum(v.rated for v in variants.values())
        stars = sum(v.mean_rating * v.rated for v in variants.values() if v.mean_rating is not None)
        return FeedbackStatistics(
            feedback=sum(v.feedback for v in variants.values()),
            abandoned=sum(v.abandoned for v in variants.values()),
            rated=rated,
            mean_rating=stars / rated if rated else None,
            variants=variants,
        )

    def cleanup(self, older_than_days: int, *, now: datetime | None = None) -> Kept:
        """Let go of everything older: calls are deleted, and their feedback is cut loose.

        The rewards stay, as numbers that lead to no call and no caller.

        Args:
            older_than_days: How many days are kept; at least 1.
            now: The present; the clock's when None.

        Raises:
            InvalidFeedback: The number of days cannot be.
        """
        if older_than_days < 1:
            raise InvalidFeedback(f"Feedback cannot be kept for {older_than_days} days.")
        cutoff = (now or utc_now()) - timedelta(days=older_than_days)
        with self._db.transaction() as conn:
            return purge_before(conn, cutoff, tenant=self._tenant)

    def _anonymised(self, event: FeedbackEvent) -> FeedbackRow:
        call_ref = keyed_hash(event.call_id, self._key)
        event_id = f"call-{call_ref}"  # the same as a live call's own: one feedback per call
        if event.event_id is not None:
            event_id = "event-" + keyed_hash(event.event_id, self._key, purpose="event")
        reward = None if event.abandoned else self._calculator.calculate(event.signals)
        return FeedbackRow(
            event_id=event_id,
            kind=FeedbackKind.ABANDONED if event.abandoned else FeedbackKind.FEEDBACK,
            variant=event.policy_variant,
            reward=None if reward is None else reward.value,
            call_ref=call_ref,
            profile=event.profile,
            rating=event.signals.user_rating,
            rating_offered=event.rating_offered,
            rating_answered=event.rating_answered,
            signals=event.signals.model_dump(),
            components={} if reward is None else reward.components,
            missing=() if reward is None else reward.missing,
            learns=self._learns,
            tenant=self._tenant,
            # What lies in the future would never be old enough to be let go of.
            at_hour=utc_hour(min(event.timestamp, utc_now()).astimezone(UTC)),
        )


def check_event(data: Mapping[str, object]) -> FeedbackEvent:
    """Return an event that is sound.

    Raises:
        InvalidFeedback: It is not; the field is named, its value is not repeated.
    """
    try:
        return FeedbackEvent.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "event"
        raise InvalidFeedback(
            f"The feedback's {name} cannot be used: {first['msg']}.",
            hint="docs/schemas/feedback_event.json says what is expected.",
        ) from None


def event_schema() -> str:
    """Return the JSON schema of a feedback event, as it stands in ``docs/schemas``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | FeedbackEvent.model_json_schema(), indent=2) + "\n"
