"""The knowledge graph: what belongs together, what is alike, and what handles which objection."""
