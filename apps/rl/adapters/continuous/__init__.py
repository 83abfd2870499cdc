"""The continuous loop: rated turns into a pool, the pool into batches, batches into adapters."""
