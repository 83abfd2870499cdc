"""Retrieval in two stages: found by words and by vectors, fused, then looked at more closely."""
