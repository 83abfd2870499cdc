"""How the word lists are written: plain words with blanks between, read in folded spelling."""

from apps.core.words import fold


def words(text: str) -> frozenset[str]:
    """The words of a list, as `apps.core.words.fold` spells them."""
    return frozenset(fold(text).split())
