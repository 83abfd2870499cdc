"""Learners side by side on simulated calls; see docs/simulator.md."""
