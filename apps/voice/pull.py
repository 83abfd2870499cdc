"""Fetches weights and voices from the Hugging Face Hub; half a download never looks whole.

Files are fetched into ``models_dir/.partial`` (where an interrupted pull goes on the next time)
and moved into place when all of them are there.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from apps.core.errors import EngineUnavailable, TomError
from apps.voice.models import (
    PiperVoice,
    missing_whisper_files,
    whisper_home,
    whisper_repository,
)

PIPER_REPOSITORY = "rhasspy/piper-voices"
_TIMEOUT_S = 10.0
_WHISPER_WANTED = ("config.json", "model.bin", "tokenizer.json", "preprocessor_config.json")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is.

    Attributes:
        file: The file that is being fetched.
        done_bytes: What has been fetched of all files.
        total_bytes: What there is to fetch.
    """

    file: str
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[Progress], None]


def pull_whisper(
    model: str, models_dir: Path, on_progress: OnProgress, *, endpoint: str | None = None
) -> Path:
    """Fetch a Whisper model's weights and return their folder. Blocks; minutes are normal.

    Args:
        model: A size such as ``small``, or a repository ``owner/name`` in CTranslate2's format.
        models_dir: Where weights lie; made when it is missing.
        on_progress: Called after each piece, in this thread.
        endpoint: The hub's address; the public one when None.

    Raises:
        ConfigError: There is no such model.
        EngineUnavailable: The hub cannot be reached, has no such model, or the disk is full.
    """
    repository = whisper_repository(model)
    unfinished = models_dir / ".partial" / whisper_home(models_dir, model).name
    with _hub_errors(repository):
        sizes = _sizes(repository, endpoint)
        wanted = [f for f in sizes if f in _WHISPER_WANTED or f.startswith("vocabulary.")]
        _fetch(repository, {f: sizes[f] for f in wanted}, unfinished, on_progress, endpoint)
        missing = missing_whisper_files(unfinished)
        if missing:
            raise EngineUnavailable(
                f"The hub's {repository} lacks {missing[0]}.",
                hint="It is no Whisper model in CTranslate2's format; choose another.",
            )
        home = whisper_home(models_dir, model)
        _drop_bookkeeping(unfinished)
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            shutil.rmtree(home)
        unfinished.rename(home)
    return home


def pull_piper(
    voice: str, models_dir: Path, on_progress: OnProgress, *, endpoint: str | None = None
) -> Path:
    """Fetch a Piper voice and return its ONNX file. Blocks.

    Args:
        voice: Its name, e.g. ``de_DE-thorsten-medium``.
        models_dir: Where voices lie; made when it is missing.
        on_progress: Called after each piece, in this thread.
        endpoint: The hub's address; the public one when None.

    Raises:
        ConfigError: It is no voice's name.
        EngineUnavailable: The hub cannot be reached, has no such voice, or the disk is full.
    """
    parsed = PiperVoice.parse(voice)
    unfinished = models_dir / ".partial" / parsed.full_name
    paths = [f"{parsed.repository_folder}/{name}" for name in parsed.files]
    with _hub_errors(PIPER_REPOSITORY):
        sizes = _sizes(PIPER_REPOSITORY, endpoint)
        if not set(paths) <= set(sizes):
            raise EngineUnavailable(
                f"The hub has no Piper voice {voice!r}.",
                hint=f"{PIPER_REPOSITORY} lists the voices that there are.",
            )
        _fetch(
            PIPER_REPOSITORY,
            {path: sizes[path] for path in paths},
            unfinished,
            on_progress,
            endpoint,
        )
        home = models_dir / "piper"
        home.mkdir(parents=True, exist_ok=True)
        # The configuration first: a voice is there once its network is.
        for path in reversed(paths):
            (unfinished / path).replace(home / Path(path).name)
        shutil.rmtree(unfinished)
    return home / parsed.files[0]


def _sizes(repository: str, endpoint: str | None) -> dict[str, int]:
    """Return a repository's files and their sizes in bytes."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=endpoint).model_info(repository, files_metadata=True, timeout=_TIMEOUT_S)
    return {s.rfilename: int(s.size or 0) for s in info.siblings or []}


def _fetch(
    repository: str,
    sizes: dict[str, int],
    folder: Path,
    on_progress: OnProgress,
    endpoint: str | None,
) -> None:
    """Fetch files, one after the other, into a folder."""
    from huggingface_hub import hf_hub_download

    total_bytes, before = sum(sizes.values()), 0
    for file, size in sizes.items():
        tell = partial(_tell, on_progress, file, before, total_bytes)
        tell(0)
        hf_hub_download(
            repository,
            file,
            local_dir=folder,
            endpoint=endpoint,
            etag_timeout=_TIMEOUT_S,
            tqdm_class=_meter(tell),
        )
        tell(size)
        before += size


def _tell(on_progress: OnProgress, file: str, before: int, total_bytes: int, now: int) -> None:
    on_progress(Progress(file, before + now, total_bytes))


def _meter(on_bytes: Callable[[int], None]) -> type[Any]:
    """Return a progress bar's class that shows nothing and tells how many bytes there are."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Meter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            on_bytes(self.n)

        # A bar that has these two is the only one; else bytes received and bytes written to
        # disk would each get a bar, and be counted twice.
        def update_transfer(self, n: float | None = 1) -> None:
            pass

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

    return Meter


def _drop_bookkeeping(folder: Path) -> None:
    """Remove what the hub's client keeps beside the files to go on with a broken download."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into an error with a sentence and a hint."""
    try:
        yield
    except TomError:
        raise
    except Exception as error:
        raise _explained(repository, error) from error


def _explained(repository: str, error: Exception) -> EngineUnavailable:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in (401, 403, 404):
        return EngineUnavailable(
            f"The hub has no {repository} that can be fetched ({status}).",
            hint="Check the name; for a gated repository set HF_TOKEN.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
        return EngineUnavailable(
            f"The weights cannot be written: {error.strerror}.",
            hint="Free some space, or set TOM_MODELS_DIR to a folder that can be written.",
        )
    return EngineUnavailable(
        f"The hub of weights cannot be reached ({type(error).__name__}).",
        hint="Check the network or set HF_ENDPOINT to a mirror; or copy the files by hand, "
        "docs/models.md says where to.",
    )
