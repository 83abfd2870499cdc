"""How an adapter gets its id and its folder, and comes into the registry."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from apps.core.errors import AdapterError
from apps.rl.adapters.gate import folder_of
from apps.rl.adapters.hashing import adapter_files
from apps.rl.adapters.record import (
    TRAINED_FILE,
    AdapterRecord,
    TrainedAdapter,
    adapter_id,
    version_of,
)

if TYPE_CHECKING:
    from apps.rl.adapters.registry import AdapterRegistry

MAX_VERSIONS = 9999


def reserve(root: Path, domain: str, method: str, rank: int) -> tuple[str, Path]:
    """Return the next free id, with its folder, which is made: so it is nobody else's.

    Args:
        root: The adapters' folder.
        domain: The first of the adapter's.
        method: How it was made.
        rank: Its rank.

    Raises:
        ConfigError: These make no id.
        AdapterError: The folder cannot be made.
    """
    for version in range(1, MAX_VERSIONS + 1):
        name = adapter_id(domain, method, rank, version)
        version_of(name)
        folder = folder_of(name, root)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise AdapterError(
                f"{folder} cannot be made: {error.strerror}.",
                hint="Give TOM's user write access to TOM_ADAPTER_DIR.",
            ) from error
        return name, folder
    raise AdapterError(f"There are {MAX_VERSIONS} versions of {domain}/{method}-r{rank}.")


def adopt(
    registry: AdapterRegistry, folder: Path, trained: TrainedAdapter, why: str = ""
) -> AdapterRecord:
    """Enter an adapter that lies elsewhere, as the next version: its files are copied.

    The same weights are entered once: another try returns what is there.

    Args:
        registry: Where it is entered.
        folder: Where training has put it.
        trained: What its training says.
        why: Kept with it.

    Raises:
        AdapterError: The registry's folder cannot be written.
        ConfigError: The files are not there.
    """
    files = adapter_files(folder)
    for record in registry.known().records.values():
        if record.files == files and record.base_model_hash == trained.base_model_hash:
            return record
    name, home = reserve(registry.root, trained.domain[0], trained.method, trained.rank)
    try:
        for file in (*files, TRAINED_FILE):
            if (folder / file).is_file():
                shutil.copyfile(folder / file, home / file)
    except OSError as error:
        shutil.rmtree(home, ignore_errors=True)
        raise AdapterError(
            f"{folder} cannot be copied to {home}: {error.strerror}.",
            hint="Is there room on the disk of TOM_ADAPTER_DIR?",
        ) from error
    return registry.register(name, trained, why)
