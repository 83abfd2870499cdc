"""Prints how many invented figures would be spoken, and how many honest answers are stopped."""

from __future__ import annotations

import argparse
import time
from collections import Counter

from apps.llm.grounding import Sources, check
from benchmarks.grounding.answers import FRESH, HALVES, Answer, Half

MOST_BLOCKED = 0.03


def spoken(answer: Answer) -> bool:
    """Tell whether an invented figure would be spoken."""
    assert answer.invented is not None
    return not check(answer.sentences[answer.invented], Sources.of(answer.prompt))


def blocked(answer: Answer) -> bool:
    """Tell whether one of an answer's sentences would be stopped."""
    sources = Sources.of(answer.prompt)
    return any(check(sentence, sources) for sentence in answer.sentences)


def main() -> int:
    """Run the halves that are asked for; returns 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=(*HALVES, FRESH), action="append")
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    chosen = parser.parse_args()
    short = False
    for name in chosen.half or (*HALVES, FRESH):
        half = Half(name)
        invented, honest = list(half.invented()), list(half.honest())
        wrong = [answer for answer in invented if spoken(answer)]
        stopped = [answer for answer in honest if blocked(answer)]
        ways = Counter(answer.label.split()[1] for answer in invented)
        print(f"{name}: invented {len(invented)} {dict(ways)}, spoken {len(wrong)}")
        print(f"{name}: honest {len(honest)}, blocked {len(stopped)}")
        print(f"{name}: {_cost_ms(honest):.2f} ms a sentence")
        if chosen.show:
            for answer in (*wrong, *stopped):
                _show(answer)
        short |= bool(wrong) or len(stopped) > MOST_BLOCKED * len(honest)
    return int(short)


def _cost_ms(answers: list[Answer]) -> float:
    """Return what a sentence costs, its sources having been read before."""
    sentences = [(s, Sources.of(a.prompt)) for a in answers for s in a.sentences]
    began = time.perf_counter()
    for sentence, sources in sentences:
        check(sentence, sources)
    return (time.perf_counter() - began) * 1000 / len(sentences)


def _show(answer: Answer) -> None:
    sources = Sources.of(answer.prompt)
    print(f"  {answer.label}: {answer.sentences}")
    print(f"    {[check(sentence, sources) for sentence in answer.sentences]}")
    print(f"    {answer.prompt.passages[0].text}")


if __name__ == "__main__":
    raise SystemExit(main())
