"""Which line each fixed act says."""

from __future__ import annotations

from apps.dispatcher.call_state import Act, EndReason
from apps.llm.style import Line

LINES = {
    Act.NO_INPUT: Line.NO_INPUT,
    Act.REPEAT_PLEASE: Line.REPEAT_PLEASE,
    Act.APOLOGY: Line.APOLOGY,
    Act.HANDOVER: Line.HANDOVER,
    Act.NOT_TRANSFERRED: Line.NOT_TRANSFERRED,
    Act.RATING_QUESTION: Line.RATING_QUESTION,
}
CLOSINGS = {
    EndReason.TIME_LIMIT: Line.TOO_LONG,
    EndReason.SHUTDOWN: Line.GOING_AWAY,
    EndReason.OPTED_OUT: Line.NO_MORE_CALLS,
}
"""What a caller is told who did not ask for the end."""
