"""Is what the caller has said so far a whole turn? Judged from the words alone."""

from apps.voice.completeness.judge import is_backchannel, judge
from apps.voice.completeness.verdict import Completeness, Expecting

__all__ = ["Completeness", "Expecting", "is_backchannel", "judge"]
