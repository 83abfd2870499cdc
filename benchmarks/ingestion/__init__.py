"""How fast documents become passages, how much memory that takes, and what kills leave behind."""
