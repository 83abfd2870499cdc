"""Calls that TOM makes: whether it may, the dialling, who answered, and what became of it."""
