"""When a failed attempt is made again."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST_S = 60.0


def waits(attempts: int, first_s: float, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Yield the wait before each further attempt, in seconds: doubled each time, up to a limit.

    Args:
        attempts: All attempts, the first included.
        first_s: The first wait.
        longest_s: No wait is longer.
    """
    for attempt in range(attempts - 1):
        yield min(first_s * 2**attempt, longest_s)


def worth_retrying(error: BaseException) -> bool:
    """Whether another attempt could go better: for what has to do with the network alone.

    A file that is missing or damaged stays so. A hub's errors are told by their class's name,
    since its library need not be installed here.
    """
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError"}:
        return False
    return bool(names & _PASSING)


_PASSING = {
    *("TimeoutError", "ConnectionError", "ConnectError", "ReadError", "RemoteProtocolError"),
    *("Timeout", "TimeoutException", "HfHubHTTPError", "LocalEntryNotFoundError"),
}
