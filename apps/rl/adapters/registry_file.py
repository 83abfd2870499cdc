"""``metadata/adapter_registry.json``: the registry for other programs, for audits and backups.

The store is the truth, and the file a fold of it that is written anew after each change: whole or
not at all, by one process at a time. A file that says what the store does not know is never lost:
it is put aside before it is replaced.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from apps.core.errors import AdapterError
from apps.core.files import write_new, write_whole
from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterRecord
from apps.rl.adapters.signing import Signer

log = structlog.get_logger(__name__)

FILE_NAME = "adapter_registry.json"
VERSION: Final = 1


class RegistryFile(BaseModel):
    """What the file holds.

    Attributes:
        version: Of this form.
        store: The id of the database that it is a fold of.
        last_seq: The last event folded.
        adapters: All of them, the oldest first.
        signature: Of all the above, as ``signing.Signer`` makes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    store: str
    last_seq: int
    adapters: tuple[AdapterRecord, ...]
    signature: str = ""


def registry_schema() -> str:
    """Return the file's JSON Schema, as docs/schemas/adapter_registry.schema.json has it."""
    schema = RegistryFile.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | schema, indent=2, sort_keys=True) + "\n"


def document(known: Registered, store: str, signer: Signer) -> RegistryFile:
    """Return the signed file of a registry."""
    file = RegistryFile(
        store=store, last_seq=known.last_seq, adapters=tuple(known.records.values())
    )
    return file.model_copy(update={"signature": signer.sign(_said(file))})


def read_file(path: Path, signer: Signer) -> RegistryFile:
    """Return what a registry's file says.

    Raises:
        AdapterError: It cannot be read (``adapter_file``), is of a newer version of TOM
            (``adapter_file_newer``), or is not what this installation wrote
            (``adapter_file_changed``).
    """
    hint = "`tom adapters verify` compares it with the store, and `--repair` writes it anew."
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data["version"]
        if isinstance(version, int) and version > VERSION:
            raise AdapterError(
                f"{path} is of a newer TOM: version {version}, and this one knows {VERSION}.",
                hint="Run that one; this one leaves the file as it is.",
                code="adapter_file_newer",
            )
        file = RegistryFile.model_validate(data)
    except OSError as error:
        raise AdapterError(
            f"{path} cannot be read: {error.strerror}.", hint=hint, code="adapter_file"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AdapterError(
            f"{path} is no registry: {where}: {first['msg']}.", hint=hint, code="adapter_file"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AdapterError(
            f"{path} is damaged: it is no registry in JSON.", hint=hint, code="adapter_file"
        ) from None
    if not signer.holds(_said(file), file.signature):
        raise AdapterError(
            f"{path} is not what this installation wrote.", hint=hint, code="adapter_file_changed"
        )
    return file


def write_file(path: Path, new: RegistryFile, signer: Signer) -> bool:
    """Write the registry's file, if it says anything else; call it under ``locked``.

    Returns:
        Whether it was written.

    Raises:
        AdapterError: It cannot be written, or the one there is of a newer TOM.
    """
    try:
        if path.exists():
            try:
                old = read_file(path, signer)
            except AdapterError as error:
                if error.code == "adapter_file_newer":
                    raise
                _put_aside(path, error.message)
            else:
                if old == new:
                    return False
                unknown = {r.id for r in old.adapters} - {r.id for r in new.adapters}
                if unknown:
                    _put_aside(path, f"it names {len(unknown)} adapters the store does not know")
        write_whole(path, new.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise AdapterError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Give TOM's user write access to TOM_DATA_DIR.",
            code="adapter_file",
        ) from error
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside the file, over all processes of this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # given up with the descriptor
        yield
    finally:
        os.close(descriptor)


def _put_aside(path: Path, why: str) -> None:
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    kept = write_new(path.with_name("adapter_registry.kept.json"), _writable(text))
    log.warning("adapter_registry_put_aside", kept=kept.name, why=why)


def _writable(text: str) -> str:
    """Return a text that UTF-8 can say: bytes that are none become what shows them."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _said(file: RegistryFile) -> dict[str, object]:
    return file.model_dump(mode="json", exclude={"signature"})
