"""What a partial transcript is judged to be, and what the call has asked for."""

from enum import StrEnum


class Expecting(StrEnum):
    """What the call has just asked the caller for."""

    ANYTHING = "anything"
    YES_NO = "yes_no"
    RATING = "rating"
    DIGITS = "digits"


class Completeness(StrEnum):
    """Whether somebody who says this and falls silent has said all of it."""

    HANGING = "hanging"
    OPEN = "open"
    COMPLETE = "complete"
