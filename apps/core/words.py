"""Words as they are compared: lower case, umlauts folded, without apostrophes."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FOLDED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "à": "a"})


def fold(text: str) -> str:
    """Return text in lower case with umlauts written out, so that ``Gebühr`` equals ``gebuehr``."""
    return text.lower().translate(_FOLDED)


def words(text: str) -> list[str]:
    """Return the folded words of a text; ``what's`` gives ``what``, ``don't`` gives ``dont``.

    Clitics say little and recognisers write them as they like, so all but ``n't`` are dropped.
    """
    found = []
    for match in _WORD.findall(fold(text)):
        stem, _, clitic = match.replace("’", "'").partition("'")
        found.append(stem + "t" if clitic == "t" else stem)
    return found
