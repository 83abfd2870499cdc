"""Grounding: what an answer claims in figures must stand in its sources (docs/grounding.md)."""

from apps.llm.grounding.check import Sources, Violation, check
from apps.llm.grounding.facts import Kind

__all__ = ["Kind", "Sources", "Violation", "check"]
