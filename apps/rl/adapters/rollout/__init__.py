"""How an adapter reaches callers, and how it is taken back: deciders, and a thin driver."""
