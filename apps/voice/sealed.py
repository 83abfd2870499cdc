r"""Sealed files: data that is encrypted piece by piece as it comes, with AES-256-GCM.

A file is a header and chunks. The header names the key that it takes by an id that tells nothing
of the key, and carries the random part of the nonces. Each chunk is sealed by itself, so memory
stays bounded and a crash costs what was not sealed yet. Its place in the file and whether it is the
last are bound to it: a chunk that is changed, left out, moved, or brought from another file does
not open, and a file without its end says so.

Bytes, big-endian: ``TOMREC1\n``, key id (8), nonce prefix (8), length of the label (2), the label;
then for every chunk: last (1), length (4), sealed bytes. The nonce is the prefix and the chunk's
number (4); bound to each chunk are the header, the number and the last flag.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.core.errors import SealError

MAX_CHUNK = 1 << 22
_MAGIC = b"TOMREC1\n"
_HEAD = struct.Struct(">8s8s8sH")
_CHUNK = struct.Struct(">BI")
_BOUND = struct.Struct(">IB")
_TAG = 16
_MAX_LABEL = 1024


@dataclass(frozen=True, slots=True, repr=False)
class SealingKey:
    """A key for sealed files; no log can show it.

    Attributes:
        key: 32 bytes.
    """

    key: bytes

    @classmethod
    def of(cls, secret: str) -> SealingKey:
        """Return the key of a secret text."""
        return cls(hmac.digest(secret.encode(), b"tom recording key 1", hashlib.sha256))

    @property
    def id(self) -> bytes:
        """Eight bytes by which the key is recognised."""
        return hmac.digest(self.key, b"tom recording key id 1", hashlib.sha256)[:8]


class SealedWriter:
    """Writes one sealed file; use from one task.

    Args:
        path: The file; made anew, readable by its owner alone.
        key: Seals it.
        label: What a reader should know before it opens anything; bound, but not hidden.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path, key: SealingKey, label: bytes = b"") -> None:
        self._aead = AESGCM(key.key)
        self._prefix = os.urandom(8)
        self._header = _HEAD.pack(_MAGIC, key.id, self._prefix, len(label)) + label
        self._index = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(self._fd, self._header)
        except OSError:
            os.close(self._fd)
            raise

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Seal one chunk of at most `MAX_CHUNK` bytes.

        Raises:
            OSError: It cannot be written.
        """
        bound = self._header + _BOUND.pack(self._index, last)
        sealed = self._aead.encrypt(_nonce(self._prefix, self._index), data, bound)
        self._index += 1
        _write_all(self._fd, _CHUNK.pack(last, len(sealed)) + sealed)

    def close(self) -> None:
        """Close the file as it is; only a chunk that was written as the last one finishes it."""
        os.close(self._fd)


class SealedReader:
    """Reads one sealed file; use as a context manager.

    Args:
        path: The file.
        key: What it was sealed with.

    Attributes:
        label: The file's label; it is proven with the first chunk that opens.
        finished: Whether the end was reached and is the one that was written.

    Raises:
        SealError: It is no sealed file, or takes another key.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path, key: SealingKey) -> None:
        self.finished = False
        self._aead = AESGCM(key.key)
        self._file: BinaryIO = path.open("rb")
        try:
            self._read_header(key)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SealedReader:
        """Begin to read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield what was sealed, in order; `finished` says afterwards whether the end is there.

        Raises:
            SealError: A chunk was changed, left out or moved, or something follows the last one.
        """
        index = 0
        while not self.finished:
            head = self._file.read(_CHUNK.size)
            if len(head) < _CHUNK.size:
                return
            last, size = _CHUNK.unpack(head)
            if size > MAX_CHUNK + _TAG or last > 1:
                raise _damaged(index)
            sealed = self._file.read(size)
            if len(sealed) < size:
                return
            yield self._open(index, last, sealed)
            self.finished = bool(last)
            index += 1
        if self._file.read(1):
            self.finished = False
            raise _damaged(index)

    def _open(self, index: int, last: int, sealed: bytes) -> bytes:
        bound = self._header + _BOUND.pack(index, last)
        try:
            return self._aead.decrypt(_nonce(self._prefix, index), sealed, bound)
        except InvalidTag:
            raise _damaged(index) from None

    def _read_header(self, key: SealingKey) -> None:
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise _no_recording()
        magic, key_id, self._prefix, size = _HEAD.unpack(head)
        self.label = self._file.read(min(size, _MAX_LABEL))
        if magic != _MAGIC or len(self.label) < size:
            raise _no_recording()
        if not hmac.compare_digest(key_id, key.id):
            raise SealError(
                f"This file was sealed with another key, of the id {key_id.hex()}.",
                hint=f"The present key's id is {key.id.hex()}. Set TOM_RECORDING_KEY to the key"
                " that was in use when it was made.",
                code="other_key",
            )
        self._header = head + self.label


def key_id_of(path: Path) -> str | None:
    """Return the id of the key that a file takes, in hexadecimal; None when it is not sealed."""
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    return head[8:16].hex()


def _nonce(prefix: bytes, index: int) -> bytes:
    return prefix + index.to_bytes(4)


def _no_recording() -> SealError:
    return SealError("This is no sealed file, or one whose header was not written whole.")


def _damaged(index: int) -> SealError:
    return SealError(
        f"Piece {index + 1} of this file is not what was written: it is damaged, or was changed.",
        hint="What comes before it is whole.",
    )


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
