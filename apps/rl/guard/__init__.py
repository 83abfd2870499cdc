"""The deploy guard's pure parts: stages, evidence, caps, gates, and what it does by itself."""
