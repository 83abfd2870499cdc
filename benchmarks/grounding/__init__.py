"""The grounding set: see README.md."""
