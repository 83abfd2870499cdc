"""What a server says on /metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator


def values(text: str, name: str, **labels: str) -> Iterator[float]:
    """Yield the values of a metric's series that have these labels."""
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        found = dict(re.findall(r'(\w+)="([^"]*)"', series))
        if series.partition("{")[0] == name and labels.items() <= found.items():
            yield float(value)
