"""The device's memory: whether it ran out, how to let go of it, how much was in use."""

from __future__ import annotations

import gc
import resource

import torch

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's memory, or the machine's, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in said for sign in _SIGNS)


def let_go() -> None:
    """Give back what nothing uses any more, the GPU's cache too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_mb() -> float:
    """Return the most that was in use: of the GPU, or of this process, in MB."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
