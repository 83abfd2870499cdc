"""The adapters' own listener: what may be asked of adapters without a call."""
