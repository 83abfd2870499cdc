"""Brings the index to what lies in the folder, document by document.

The folder is the truth and the index a fold of it: there is no third place that could disagree.
Each document is put in whole or not at all, so that whoever is killed goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from apps.core.errors import ConfigError, DocumentError
from apps.core.ids import DEFAULT_TENANT
from apps.core.words import fold
from apps.knowledge.documents.folder import Look, Problem, SeenFile, scan
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.outcome import Outcome, Result
from apps.knowledge.documents.parsing import Parsed, Parser
from apps.knowledge.documents.plan import Plan, plan
from apps.knowledge.documents.reading import NO_DETECTOR, REDACTION_FAILED, Task, open_regular
from apps.knowledge.documents.rules import SpaceRules, load_rules
from apps.knowledge.index.base import Chunk, Document, Embedder, PassageIndex, Vectors

_EMBEDDED_AT_ONCE = 128
_REMOVED_AT_ONCE = 200
# A file this young may be written again without another date or size, as clocks of files tick.
_YOUNG_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Work:
    """A plan, and what is needed to do it.

    Attributes:
        plan: What is to be done.
        rules: Of each space.
        held: Which document holds which bytes, by space and SHA-256.
        again: Whether all is to be read again, changed or not.
    """

    plan: Plan
    rules: Mapping[str, SpaceRules]
    held: Mapping[tuple[str, str], str]
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document that was read; an outcome alone where nothing is to be put into the index.

    ``unclean`` is one whose indexed text nobody may get, as it cannot be looked at for names.
    """

    outcome: Outcome
    document: Document | None = None
    parsed: Parsed | None = None
    unclean: bool = False


class Ingester:
    """Keeps an index at what lies in a folder.

    Args:
        index: Where passages go.
        embedder: Makes their vectors.
        parser: Reads files.
        root: The folder of all documents, a folder a space in it.
        limits: What a document may take.
        quality_floor: Documents below it are left out.
        language: Of texts whose words do not tell.
        domain: Returns the words that a space's documents should speak of, beside its own.
        outdated: Returns documents whose vectors another embedder made, which are read again.
        detector: The fingerprint of the parser's detector of personal data; empty without one.
        tenant: Whose documents they are.
    """

    def __init__(
        self,
        index: PassageIndex,
        embedder: Embedder,
        parser: Parser,
        *,
        root: Path,
        limits: Limits,
        quality_floor: float = 0.0,
        language: str = "de",
        domain: Callable[[str], frozenset[str]] = lambda _: frozenset(),
        outdated: Callable[[], Awaitable[Collection[str]]] | None = None,
        detector: str = "",
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self._index, self._embedder, self._parser = index, embedder, parser
        self._root, self._limits = root, limits
        self._floor, self._language = quality_floor, language
        self._domain, self._outdated, self._tenant = domain, outdated, tenant
        self._detector = detector

    async def look(self, *under: str, again: bool = False) -> Work:
        """Compare the folder with the index; changes nothing.

        Args:
            under: Spaces, or paths below the folder, to see those alone; an empty one is all of it.
            again: Whether all is to be read again, changed or not.

        Raises:
            DocumentError: ``no_folder``, or ``folder_empty`` where all would be lost by that.
        """
        if not self._root.is_dir():
            raise DocumentError(
                f"There is no folder {self._root}.",
                hint="Make it, or say where it is: TOM_KB_DIR.",
                code="no_folder",
            )
        unders = frozenset(under) if under and all(under) else frozenset({""})
        looks = await asyncio.to_thread(self._scanned, unders)
        spaces = {one.partition("/")[0] for one in unders}
        space = spaces.pop() if len(spaces) == 1 else None
        indexed = await self._index.documents(tenant=self._tenant, space=space or None)
        if "" in unders and indexed and not looks:
            raise DocumentError(
                f"{self._root} is empty, and {len(indexed)} documents are indexed of it.",
                hint="Is it mounted? To empty the index: tom kb remove --all.",
                code="folder_empty",
            )
        rules, looks = self._rules(looks)
        known = [d for d in indexed if _is_under(d.id, unders)]
        stale = () if self._outdated is None else await self._outdated()
        known = [replace(d, sha256="", mtime_ns=0) if d.id in stale else d for d in known]
        done = plan(known, looks, lambda space: rules[space].recipe(self._detector), again=again)
        away = {d.id for d in done.gone} | {d.id for _, d in done.changed}
        held = {(d.space, d.sha256): d.id for d in indexed if d.id not in away}
        return Work(done, rules, held, again)

    def _scanned(self, unders: frozenset[str]) -> tuple[Look, ...]:
        found = (look for one in sorted(unders) for look in scan(self._root, self._limits, one))
        return tuple({look.id: look for look in found}.values())  # one may lie below another

    def _rules(self, looks: Sequence[Look]) -> tuple[dict[str, SpaceRules], tuple[Look, ...]]:
        """Return the spaces' rules; a space whose rules are broken is a problem as a whole."""
        rules: dict[str, SpaceRules] = {}
        problems: list[Look] = []
        for space in sorted({look.space for look in looks if isinstance(look, SeenFile)}):
            try:
                rules[space] = load_rules(self._root / space)
            except ConfigError as error:
                told = DocumentError(error.message, hint=error.hint, code="rules")
                problems.append(Problem(space, told))
        kept = (one for one in looks if isinstance(one, Problem) or one.space in rules)
        return rules, (*problems, *kept)

    async def run(self, work: Work) -> AsyncGenerator[Outcome, None]:
        """Do what was planned; yields an outcome a document as soon as it is done.

        One document is read while the one before it is put into the index.
        """
        for problem in work.plan.problems:
            yield Outcome(problem.id, Result.FAILED, error=problem.error)
        async with aclosing(self._ready(work)) as ready:
            async for one in ready:
                yield await self._finish(one)
        gone = [document.id for document in work.plan.gone]
        for at in range(0, len(gone), _REMOVED_AT_ONCE):
            batch = gone[at : at + _REMOVED_AT_ONCE]
            await self._index.remove(batch, tenant=self._tenant)
            for document_id in batch:
                yield Outcome(document_id, Result.GONE)

    async def _ready(self, work: Work) -> AsyncGenerator[_Ready, None]:
        """Yield what was read, one ahead of who asks."""
        ahead: asyncio.Queue[_Ready | None] = asyncio.Queue(maxsize=1)

        async def read_all() -> None:
            try:
                held = dict(work.held)
                for file, document in work.plan.changed:
                    await ahead.put(await self._prepare(file, document, work, held))
                for file in work.plan.new:
                    await ahead.put(await self._prepare(file, None, work, held))
            finally:
                await ahead.put(None)

        reading = asyncio.create_task(read_all())
        try:
            while (one := await ahead.get()) is not None:
                yield one
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _prepare(
        self,
        file: SeenFile,
        known: Document | None,
        work: Work,
        held: dict[tuple[str, str], str],
    ) -> _Ready:
        """Read a file as far as that is needed."""
        own = work.rules[file.space]
        recipe = own.recipe(self._detector)
        if time.time_ns() - file.mtime_ns < _YOUNG_NS:
            # No file's date, but as near to it as can be: its bytes are compared once more.
            file = replace(file, mtime_ns=file.mtime_ns - 1)
        try:
            sha256 = await asyncio.to_thread(_sha256, file.path, self._limits)
            same = known is not None and (known.sha256, known.recipe) == (sha256, recipe)
            if known is not None and same and not work.again:
                held[file.space, sha256] = file.id
                touched = replace(known, mtime_ns=file.mtime_ns)
                return _Ready(Outcome(file.id, Result.TOUCHED), touched)
            holder = held.get((file.space, sha256), file.id)
            if holder != file.id and os.path.lexists(self._root / holder):
                return _Ready(Outcome(file.id, Result.DUPLICATE, same_as=holder))
            parsed = await self._parser.parse(self._task(file, own))
        except DocumentError as error:
            unclean = self._is_unclean(error, known, recipe)
            return _Ready(Outcome(file.id, Result.FAILED, error=error), unclean=unclean)
        told = parsed.summary
        result = Result.NEW if known is None else Result.CHANGED
        if not parsed.passages or told.quality < self._floor:
            result = Result.POOR
        outcome = Outcome(file.id, result, len(parsed.passages), told.quality, dict(told.redacted))
        if result is Result.POOR:
            return _Ready(replace(outcome, passages=0))
        held[file.space, sha256] = file.id
        return _Ready(outcome, self._document(file, sha256, own, parsed), parsed)

    def _is_unclean(self, error: DocumentError, known: Document | None, recipe: str) -> bool:
        """Tell whether what is indexed of a document that cannot be read must go.

        What another recipe made may never have been looked at for names, or by a lesser detector.
        """
        if error.code == REDACTION_FAILED:
            return True
        if not self._detector or error.code == NO_DETECTOR:
            return False
        return known is not None and known.recipe != recipe

    def _task(self, file: SeenFile, rules: SpaceRules) -> Task:
        domain = {fold(word) for word in rules.domain} | self._domain(file.space)
        return Task(
            path=file.path,
            public=rules.public,
            language=rules.language_of(file.id),
            fallback_language=self._language,
            domain=tuple(sorted(domain)),
            limits=self._limits.of_size(file.size),
        )

    def _document(self, file: SeenFile, sha256: str, rules: SpaceRules, parsed: Parsed) -> Document:
        told = parsed.summary
        return Document(
            id=file.id,
            space=file.space,
            title=told.title,
            source=file.id,
            media_type=told.media_type,
            language=told.language,
            sha256=sha256,
            size=file.size,
            mtime_ns=file.mtime_ns,
            quality=told.quality,
            tenant=self._tenant,
            recipe=rules.recipe(self._detector),
        )

    async def _finish(self, ready: _Ready) -> Outcome:
        """Put what was read into the index, or take what is no more out of it."""
        outcome = ready.outcome
        if ready.document is None:
            # Its old text is not there now, or was indexed before anybody looked for names.
            if ready.unclean or outcome.result in (Result.POOR, Result.DUPLICATE):
                await self._index.remove([outcome.id], tenant=self._tenant)
        elif ready.parsed is None:
            await self._index.touch(ready.document)
        else:
            chunks = _chunks(ready.parsed)
            await self._index.replace(ready.document, chunks, await self._vectors(chunks))
        return outcome

    async def _vectors(self, chunks: Sequence[Chunk]) -> Vectors:
        """Embed passages with the headings above them, which often name what they speak of."""
        vectors = np.empty((len(chunks), self._embedder.dimensions), np.float32)
        for at in range(0, len(chunks), _EMBEDDED_AT_ONCE):
            batch = chunks[at : at + _EMBEDDED_AT_ONCE]
            texts = ["\n".join((*chunk.headings, chunk.text)) for chunk in batch]
            vectors[at : at + len(batch)] = await self._embedder.embed(texts)
        return vectors


def _is_under(document_id: str, unders: frozenset[str]) -> bool:
    """Tell whether a document is, or lies below, one of some paths; an empty one is above all."""
    above = accumulate(document_id.split("/"), "{}/{}".format)
    return "" in unders or not unders.isdisjoint(above)


def _chunks(parsed: Parsed) -> tuple[Chunk, ...]:
    language = parsed.summary.language
    return tuple(
        Chunk(position, p.text, p.headings, p.page, p.language or language)
        for position, p in enumerate(parsed.passages)
    )


def _sha256(path: str, limits: Limits) -> str:
    digest = hashlib.sha256()
    with open_regular(path, limits) as (file, _):
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()
