"""How much of everything a document may take before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed, checked before a parser sees a byte where that can be.

    Attributes:
        file_bytes: Of a document's file.
        unpacked_bytes: Of all that is packed in it (DOCX).
        ratio: How much smaller than unpacked something packed may be, beyond the first MiB.
        packed_files: How many files may be packed in it.
        pages: Of a PDF.
        chunks: Passages of a document.
        parse_s: Wall-clock time, and CPU time, for one document of up to ``timed_bytes``.
        memory_bytes: Address space of the process that parses, beside its detector's.
        timed_bytes: So much of a document is read in ``parse_s``; larger ones have more.
    """

    file_bytes: int = 64 * MIB
    unpacked_bytes: int = 256 * MIB
    ratio: int = 200
    packed_files: int = 5_000
    pages: int = 5_000
    chunks: int = 50_000
    parse_s: float = 60.0
    memory_bytes: int = 1024 * MIB
    timed_bytes: int = 8 * MIB

    def of_size(self, file_bytes: int) -> Limits:
        """Return what a file of a size is allowed: one of 16 MiB has twice the time."""
        return replace(self, parse_s=self.parse_s * max(1.0, file_bytes / self.timed_bytes))
