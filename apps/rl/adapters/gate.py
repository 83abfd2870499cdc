"""The hash gate: only what was registered is served, and only by the base it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from apps.core.errors import AdapterError
from apps.rl.adapters.hashing import adapter_files, base_model_hash, tokenizer_hash, weights_hash
from apps.rl.adapters.record import AdapterRecord, served_name


@dataclass(frozen=True, slots=True)
class Base:
    """The base model that a server serves.

    Attributes:
        model_hash: See ``hashing.base_model_hash``.
        tokenizer_hash: See ``hashing.tokenizer_hash``.
    """

    model_hash: str
    tokenizer_hash: str

    def __call__(self) -> Base:
        """Return itself: it is known already."""
        return self


class BaseFolder:
    """The base in a folder; its hashes are taken once, when they are first asked for.

    Args:
        folder: Where model and tokenizer lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._found: Base | None = None

    def __call__(self) -> Base:
        """Return the base.

        Raises:
            ConfigError: There is none in the folder.
        """
        with self._lock:  # who comes second waits, and reads nothing
            if self._found is None:
                self._found = Base(base_model_hash(self._folder), tokenizer_hash(self._folder))
            return self._found


def folder_of(record_id: str, root: Path) -> Path:
    """Return an adapter's folder.

    Raises:
        AdapterError: It lies, or a link leads, outside the adapters' folder.
    """
    folder = root / record_id
    if not folder.resolve().is_relative_to(root.resolve()):
        raise AdapterError(
            f"{record_id} is not in the adapters' folder.",
            hint="Adapters are served from TOM_ADAPTER_DIR alone.",
            code="adapter_outside",
        )
    return folder


def check_base(record: AdapterRecord, base: Base | None) -> None:
    """Refuse an adapter that was made for another base model or tokenizer.

    Args:
        record: The adapter.
        base: What is served; None when that is not known.

    Raises:
        AdapterError: It does not fit (``adapter_base``), nobody said what is served, or no server
            loads adapters of its kind (``adapter_kind``).
    """
    if "dora" in (record.method, record.config.get("method")):
        raise AdapterError(
            f"{record.id} is a DoRA adapter, which neither vLLM nor Ollama loads.",
            hint="Serve it merged, as a model of its own: tom adapters export --merged.",
            code="adapter_kind",
        )
    if base is None:
        raise AdapterError(
            f"Nobody said which base model is served, so {record.id} may not fit it.",
            hint="Set TOM_ADAPTER_BASE to the folder of the base model that the server serves.",
            code="adapter_base_unknown",
        )
    for what, made_for, served in (
        ("base model", record.base_model_hash, base.model_hash),
        ("tokenizer", record.tokenizer_hash, base.tokenizer_hash),
    ):
        if made_for != served:
            raise AdapterError(
                f"{record.id} was made for another {what}: {made_for[:12]}, and "
                f"{served[:12]} is served.",
                hint="Serve the base that it was made for, or train it anew.",
                code="adapter_base",
            )


def check_files(record: AdapterRecord, root: Path) -> Path:
    """Return an adapter's folder, if its files are what was registered.

    Args:
        record: The adapter.
        root: The adapters' folder.

    Raises:
        AdapterError: They are not (``adapter_changed``), or lie elsewhere.
        ConfigError: They are not there.
    """
    folder = folder_of(record.id, root)
    found = adapter_files(folder)
    changed = sorted(
        name for name in {*found, *record.files} if found.get(name) != record.files.get(name)
    )
    whole = weights_hash(found)
    if changed or whole != record.sha256 or record.served != served_name(record.id, whole):
        raise AdapterError(
            f"The files of {record.id} are not what was registered: {', '.join(changed)}.",
            hint="Restore them from a backup, or register them as a new version.",
            code="adapter_changed",
        )
    return folder
