"""The history of TOM's tables; one file per step in ``versions``."""
