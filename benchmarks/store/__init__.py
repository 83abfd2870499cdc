"""How fast several processes share one store, and that none of their updates is lost."""
