"""The process that parses documents: tasks on its standard input, passages on its output, as JSON.

It can be killed at any moment. Before it sees the first byte of a document it gives up what it does
not need: it writes no file, its memory is bounded, and so is its CPU time, document by document.
With a detector's spec as its argument it makes that first, and reads nothing where it cannot.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any

from apps.core.errors import ConfigError, DocumentError
from apps.core.privacy import DetectorSpec
from apps.core.redaction import Detector
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.reading import NO_DETECTOR, Passage, Summary, Task, read

_BATCH = 32
_MOST_OPEN_FILES = 32
_RECURSION = 500


def main(arguments: Sequence[str] = ()) -> None:
    """Read documents until the input ends.

    Args:
        arguments: The spec of a detector, as JSON, or none.
    """
    answers = _own_output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it decides
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = _address_space()
    detector = _made(arguments[0]) if arguments else None
    held = _address_space() - before
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_OPEN_FILES, _MOST_OPEN_FILES))
    sys.setrecursionlimit(_RECURSION)
    for line in sys.stdin:
        task = Task.from_dict(json.loads(line))
        _bound(task.limits, held)
        for answer in _answers(task, detector):
            answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
            answers.flush()


def _made(spec: str) -> Detector | DocumentError:
    """Return a detector, or why there is none: then every document fails by it."""
    try:
        from apps.core.privacy.presidio import PresidioDetector

        return PresidioDetector(DetectorSpec.from_json(spec))
    except ConfigError as error:
        return DocumentError(error.message, hint=error.hint, code=NO_DETECTOR)
    except Exception as error:
        return DocumentError(
            f"The detector of personal data cannot be made ({type(error).__name__}: {error}).",
            hint="TOM_PRIVACY_DETECTOR=false reads documents without it.",
            code=NO_DETECTOR,
        )


def _address_space() -> int:
    """Return how many bytes of address space this process has; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _own_output() -> IO[str]:
    """Keep the output for answers: what a library prints goes where errors go."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _bound(limits: Limits, held: int) -> None:
    """Bound the memory, and the CPU time of the next document; past it the system ends us.

    Args:
        limits: Of the document.
        held: Bytes that the detector's models hold, which no document is to blame for.
    """
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes + held, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent_s = int(used.ru_utime + used.ru_stime)
    soft = spent_s + int(limits.parse_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _answers(
    task: Task, detector: Detector | DocumentError | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a document's passages in batches, and its summary or what was wrong with it."""
    if isinstance(detector, DocumentError):
        yield {"error": detector.as_dict()}
        return
    try:
        found_in_order = read(task, detector)
        while batch := tuple(islice(found_in_order, _BATCH)):
            passages = [found for found in batch if isinstance(found, Passage)]
            yield {"passages": [[p.text, p.headings, p.page, p.language] for p in passages]}
            for found in batch:
                if isinstance(found, Summary):
                    yield {"summary": asdict(found)}
    except DocumentError as error:
        yield {"error": error.as_dict()}
    except MemoryError:
        yield {"error": _too_much().as_dict(), "spent": True}
    except RecursionError:
        too_deep = DocumentError("The document is nested too deeply.", code="too_deep")
        yield {"error": too_deep.as_dict(), "spent": True}
    except Exception as error:
        # A parser's bug: the document is at fault for everybody but its author.
        broken = DocumentError(
            f"The document cannot be parsed ({type(error).__name__}).",
            hint="Save it anew, in this format or another.",
            code="broken",
        )
        yield {"error": broken.as_dict(), "spent": True}


def _too_much() -> DocumentError:
    return DocumentError(
        "The document takes more memory than it may.",
        hint="Divide it, or raise TOM_KB_PARSE_MEMORY_MB.",
        code="too_big",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
