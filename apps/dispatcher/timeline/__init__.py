"""One call drawn in time, so that somebody sees why it felt slow: records in, a page out."""

from apps.dispatcher.timeline.page import timeline

__all__ = ["timeline"]
