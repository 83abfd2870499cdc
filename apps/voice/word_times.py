"""When the words of a displayed sentence are said: from an engine's marks, through how it is read.

What is read may differ from what is displayed: "30,60 €" is said "dreißig Euro sechzig". Times are
known for the words that are said, and wanted for those that are displayed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from apps.voice.word_durations import usual_ms


def marked_starts_ms(
    words: Sequence[str], language: str, marks: Mapping[int, float], end_ms: float
) -> list[float]:
    """Return where each word begins, in milliseconds of the sentence's audio.

    Args:
        words: As they are spoken.
        language: ``de`` or ``en``.
        marks: Where words begin, by index; a word that was said together with the one before it
            may be missing, and so are those whose audio has not been made yet.
        end_ms: How much audio there is.
    """
    usual = list(accumulate((usual_ms(word, language) for word in words), initial=0.0))
    known = {0: 0.0} | {word: at_ms for word, at_ms in marks.items() if 0 <= word < len(words)}
    anchors = sorted(known)
    starts: list[float] = []
    for word in range(len(words)):
        at = bisect_right(anchors, word)
        before = anchors[at - 1]
        if word == before:
            starts.append(known[word])
        elif at < len(anchors):
            after = anchors[at]
            span = usual[after] - usual[before]
            share = (usual[word] - usual[before]) / span if span else 1.0
            starts.append(known[before] + (known[after] - known[before]) * share)
        else:  # the last word that was marked may still be going on at the end of the audio
            reached = max(end_ms, known[before] + usual[before + 1] - usual[before])
            starts.append(reached + usual[word] - usual[before + 1])
    return starts


def displayed_starts_ms(
    displayed: Sequence[str],
    spoken: Sequence[str],
    starts_ms: Sequence[float],
    end_ms: float,
    language: str,
) -> list[float]:
    """Return where each displayed word begins, in milliseconds of the sentence's audio.

    Args:
        displayed: The sentence's words.
        spoken: The words that are read instead.
        starts_ms: Where each of those begins.
        end_ms: Where the last of them ends.
        language: ``de`` or ``en``.
    """
    moments = [*starts_ms, max(end_ms, starts_ms[-1] if starts_ms else 0.0)]
    if list(displayed) == list(spoken):
        return moments[:-1]
    matcher = SequenceMatcher(None, _bare(displayed), _bare(spoken), autojunk=False)
    starts: list[float] = []
    for _, first, last, spoken_first, spoken_last in matcher.get_opcodes():
        begin, end = moments[spoken_first], moments[spoken_last]
        if last - first == spoken_last - spoken_first:
            starts += moments[spoken_first:spoken_last]
        elif first < last:  # a few words for a few others: in proportion to their lengths
            lengths = [1.0 + usual_ms(word, language) for word in displayed[first:last]]
            before = accumulate(lengths[:-1], initial=0.0)
            starts += [begin + (end - begin) * each / sum(lengths) for each in before]
    return starts


def words_begun(starts_ms: Sequence[float], end_ms: float, played_ms: float) -> int:
    """Return how many words were heard: those of which more than half was played.

    Args:
        starts_ms: Where each word begins.
        end_ms: Where the last one ends.
        played_ms: How much of the sentence was played.
    """
    ends_ms = [*starts_ms[1:], max([end_ms, *starts_ms[-1:]])]
    for heard, (start_ms, word_end_ms) in enumerate(zip(starts_ms, ends_ms, strict=True)):
        if played_ms <= (start_ms + word_end_ms) / 2:
            return heard
    return len(starts_ms)


def _bare(words: Sequence[str]) -> list[str]:
    return [re.sub(r"\W", "", word.casefold()) or word for word in words]
