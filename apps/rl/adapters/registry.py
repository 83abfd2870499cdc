"""The registry of adapters: what there is, where each stands, and whether it may be served.

The store is the truth: adapters as they were registered, and append-only what happened to them,
each signed. Where an adapter stands is a fold of that (``fold.py``); the JSON file is a fold, too
(``registry_file.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from sqlalchemy import Connection

from apps.core.errors import AdapterError, TomError
from apps.rl.adapters.entry import reserve
from apps.rl.adapters.fold import Registered, fold_rows, said_by
from apps.rl.adapters.gate import Base, check_base, check_files, folder_of
from apps.rl.adapters.hashing import adapter_files, weights_hash
from apps.rl.adapters.record import (
    AdapterRecord,
    TrainedAdapter,
    adapter_id,
    served_name,
    version_of,
)
from apps.rl.adapters.registry_file import document, locked, read_file, write_file
from apps.rl.adapters.rollout.machine import Happening, step
from apps.rl.adapters.rollout.pairs import consequences
from apps.rl.adapters.signing import Signer
from apps.store.adapters import (
    AdapterEventRow,
    AdapterRow,
    add_adapter,
    append_adapter_event,
    load_adapter_events,
    load_adapters,
)
from apps.store.database import Database
from apps.store.feedback import last_feedback_seq, store_id

log = structlog.get_logger(__name__)

_TRIES = 8
"""How often a step is tried again that other processes' steps came before."""


class AdapterRegistry:
    """All adapters of one installation; safe to share between threads and processes.

    Args:
        db: The store.
        root: The adapters' folder: an adapter lies in ``<root>/<its id>``.
        file: The JSON file.
        secret: The installation's hashing key, from which the signatures' is derived.
        base: Tells what the language server serves; None when nobody said.
    """

    def __init__(
        self,
        db: Database,
        root: Path,
        file: Path,
        secret: bytes,
        base: Callable[[], Base] | None = None,
    ) -> None:
        self.db, self.root, self.file, self.base = db, root, file, base
        self.signer = Signer(secret)

    def read(self, conn: Connection) -> Registered:
        """Return all adapters as of now; for ``Database.query`` too."""
        return fold_rows(load_adapters(conn), load_adapter_events(conn), self.signer)

    def known(self) -> Registered:
        """Return all adapters as of now."""
        with self.db.reading() as conn:
            return self.read(conn)

    def record(self, found: str) -> AdapterRecord:
        """Return an adapter by its id or its served name.

        Raises:
            AdapterError: There is none, or its entry is damaged.
        """
        return _found(self.known(), found)

    def reserve(self, domain: str, method: str, rank: int) -> tuple[str, Path]:
        """Return the next free id, with its folder; see ``entry.reserve``."""
        return reserve(self.root, domain, method, rank)

    def register(self, name: str, trained: TrainedAdapter, why: str = "") -> AdapterRecord:
        """Enter an adapter whose files lie in its folder.

        The same files under the same id are entered once; the entry that is there is returned.

        Args:
            name: Its id, as ``reserve`` gave it.
            trained: What its training says.
            why: Kept with it.

        Raises:
            AdapterError: The id does not fit what was trained, or is another adapter's.
            ConfigError: The files are not there.
        """
        fits = adapter_id(name.partition("/")[0], trained.method, trained.rank, version_of(name))
        if name != fits or name.partition("/")[0] not in trained.domain:
            raise AdapterError(
                f"{name} is not the id of a {trained.method} of rank {trained.rank} for "
                f"{', '.join(trained.domain)}."
            )
        files = adapter_files(folder_of(name, self.root))
        whole = weights_hash(files)
        said = {
            **trained.model_dump(mode="json"),
            "id": name,
            "served": served_name(name, whole),
            "sha256": whole,
            "files": files,
        }
        row = AdapterRow(name, str(said["served"]), said, self.signer.sign(said))
        with self.db.transaction() as conn:
            fresh = add_adapter(conn, row)
        record = self.record(name)
        if not fresh and record.sha256 != whole:
            raise AdapterError(
                f"{name} is registered with other weights.",
                hint="A registered version never changes: reserve the next one.",
            )
        if fresh:
            log.info("adapter_registered", adapter=name, served=record.served, why=why)
        self.publish()
        return record

    def happened(
        self,
        name: str,
        happening: Happening,
        data: Mapping[str, object] | None = None,
        *,
        number: int | None = None,
    ) -> bool:
        """Store what happened to an adapter, and write the file.

        Args:
            name: Its id.
            happening: What happened.
            data: Kept with it; ``metrics`` are the adapter's from then on.
            number: What the adapter's running number must be by then; None for whichever it is.

        Returns:
            False when something else has happened meanwhile: nothing was stored.

        Raises:
            AdapterError: There is no such adapter, or it is damaged.
            IllegalEvent: It cannot happen to it now.
        """
        for _ in range(_TRIES):
            with self.db.transaction() as conn:
                stored = self.append(conn, name, happening, data, number=number)
            if stored:
                self.publish()
            if stored or number is not None:
                return stored
        raise AdapterError(f"Too much happens to {name} at once.", hint="Try again.")

    def append(
        self,
        conn: Connection,
        name: str,
        happening: Happening,
        data: Mapping[str, object] | None = None,
        *,
        number: int | None = None,
    ) -> bool:
        """Store what happened, and what follows for other adapters, inside a write transaction.

        As ``happened`` does, but it writes no file.
        """
        known = self.read(conn)
        name = _found(known, name).id
        if not self._append(conn, known, name, happening, data or {}, number):
            return False
        for other, then in consequences(known, name, happening):
            self._append(conn, known, other, then, {}, None)
        return True

    def _append(
        self,
        conn: Connection,
        known: Registered,
        name: str,
        happening: Happening,
        data: Mapping[str, object],
        number: int | None,
    ) -> bool:
        after = step(known.rollouts[name], happening)
        if number is not None and after.number != number:
            return False
        told: dict[str, object] = {"seq": happening.seq or last_feedback_seq(conn)}
        if happening.like:
            told["like"] = happening.like
        event = AdapterEventRow(
            name,
            after.number,
            happening.what.value,
            happening.why,
            {**told, **data},
            happening.actor,
        )
        signed = AdapterEventRow(
            **{n: getattr(event, n) for n in said_by(event)},
            signature=self.signer.sign(said_by(event)),
        )
        if not append_adapter_event(conn, signed):
            return False
        log.info(
            "adapter_stepped",
            adapter=name,
            what=happening.what.value,
            state=after.state.value,
            actor=happening.actor,
            why=happening.why,
        )
        return True

    def admit(self, record: AdapterRecord) -> Path:
        """Return the folder of an adapter that may be served: the hash gate.

        Raises:
            AdapterError: It was made for another base, its files were changed, or lie elsewhere.
            ConfigError: Its files are not there.
        """
        check_base(record, self.base and self.base())
        return check_files(record, self.root)

    def export(self) -> bool:
        """Write the JSON file, where it is not what the store comes to.

        Returns:
            Whether it was written.

        Raises:
            AdapterError: It cannot be written, or is a newer TOM's.
            StoreError: The store cannot be read.
        """
        with locked(self.file), self.db.reading() as conn:
            new = document(self.read(conn), store_id(conn), self.signer)
            return write_file(self.file, new, self.signer)

    def publish(self) -> None:
        """Write the JSON file; where that fails it is logged, since the store has it all."""
        try:
            self.export()
        except AdapterError as error:
            log.error("adapter_registry_not_written", code=error.code, reason=error.message)

    def verify(self) -> list[str]:
        """Return, each in a sentence, what is not as it should be."""
        known = self.known()
        found = [f"{name}: {why}" for name, why in known.damaged.items()]
        for record in known.records.values():
            try:
                check_files(record, self.root)
            except TomError as error:
                found.append(error.message)
        try:
            file = read_file(self.file, self.signer)
        except AdapterError as error:
            if known.records or self.file.exists():
                found.append(error.message)
        else:
            if file.adapters != tuple(known.records.values()):
                found.append(f"{self.file} does not say what the store says.")
        return found


def _found(known: Registered, name: str) -> AdapterRecord:
    record = known.records.get(name) or known.served(name)
    if record is not None:
        return record
    if name in known.damaged:
        raise AdapterError(
            f"{name} cannot be used: {known.damaged[name]}",
            hint="Restore the store from a backup, or register the files as a new version.",
            code="adapter_damaged",
        )
    raise AdapterError(
        f"There is no adapter {name!r}.",
        hint="`tom adapters list` shows all of them.",
        code="adapter_unknown",
    )
