"""How many of something, as a sentence says it."""

from __future__ import annotations


def plural(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 passage", "0 passages", "12 entries".

    Args:
        number: How many.
        one: What one of them is called, with what follows it where that changes too.
        many: The same for any other number; with an "s" where nothing is said.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
