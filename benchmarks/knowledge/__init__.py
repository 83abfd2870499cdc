"""How well the knowledge base finds what callers ask, and refuses what it does not hold."""
