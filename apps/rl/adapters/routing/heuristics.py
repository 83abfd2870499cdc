"""The first phase of routing: what a prompt's own words say, without any model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.core.words import words
from apps.rl.adapters.routing.domains import Domain


def by_keywords(prompt: str, domains: Mapping[str, Domain]) -> dict[str, float]:
    """Return how surely a prompt belongs to each domain, in [0, 1], by its keywords.

    Keywords are independent hints, of which one is enough: the score is one less the product of
    what each leaves open (noisy or: Pearl, Probabilistic Reasoning in Intelligent Systems, 1988,
    section 4.3.2). Each is counted once, however often it is said.
    """
    said = words(prompt)
    scores = {}
    for name, domain in domains.items():
        left_open = 1.0
        for keyword, weight in domain.keywords.items():
            if _says(said, keyword):
                left_open *= 1.0 - weight
        scores[name] = 1.0 - left_open
    return scores


def _says(said: Sequence[str], keyword: str) -> bool:
    """Tell whether the words of a keyword stand in a row."""
    open_end = keyword.endswith("*")
    wanted = words(keyword)
    if not wanted:
        return False
    for begin in range(len(said) - len(wanted) + 1):
        window = said[begin : begin + len(wanted)]
        *firsts, last = wanted
        if window[:-1] == firsts and (
            window[-1].startswith(last) if open_end else window[-1] == last
        ):
            return True
    return False
