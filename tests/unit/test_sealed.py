"""Sealed files: what was written comes back, and nothing else ever does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import SealError
from apps.voice.sealed import MAX_CHUNK, SealedReader, SealedWriter, SealingKey, key_id_of

KEY, OTHER = SealingKey.of("k" * 32), SealingKey.of("o" * 32)
HEADER = 26
LABEL = b"pcm"
CHUNKS = [b"first", b"", b"the third one", b"last"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed")


def seal(path: Path, chunks: list[bytes], *, finish: bool = True) -> bytes:
    """Write a file and return its bytes."""
    writer = SealedWriter(path, KEY, LABEL)
    for number, chunk in enumerate(chunks, 1):
        writer.write(chunk, last=finish and number == len(chunks))
    writer.close()
    return path.read_bytes()


def unseal(path: Path, key: SealingKey = KEY) -> tuple[list[bytes], bool]:
    with SealedReader(path, key) as reader:
        assert reader.label == LABEL
        return list(reader.chunks()), reader.finished


def is_taken_for_whole(path: Path) -> bool:
    """Read a file that was tampered with; whatever comes out of it must be what was written."""
    number = 0
    with suppress(SealError), SealedReader(path, KEY) as reader:
        for number, chunk in enumerate(reader.chunks(), 1):
            assert chunk == CHUNKS[number - 1]
        return reader.finished
    return False


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header, and each chunk's bytes."""
    at, found = HEADER + len(LABEL), []
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5])
        found.append(data[at:end])
        at = end
    return data[: HEADER + len(LABEL)], found


@settings(max_examples=50, deadline=None)
@given(chunks=st.lists(st.binary(max_size=300), max_size=8), finish=st.booleans())
def test_what_was_sealed_comes_back(folder: Path, chunks: list[bytes], finish: bool) -> None:
    seal(folder / "a", chunks, finish=finish)
    assert unseal(folder / "a") == (chunks, finish and bool(chunks))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_wherever_it_is(folder: Path, data: st.DataObject) -> None:
    whole = bytearray(seal(folder / "a", CHUNKS))
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[at // 8] ^= 1 << at % 8
    (folder / "b").write_bytes(whole)
    # A length that now reaches beyond the end looks like a file that was cut off.
    assert not is_taken_for_whole(folder / "b")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_file_that_is_cut_off_anywhere_says_so_and_is_read_up_to_there(
    folder: Path, data: st.DataObject
) -> None:
    whole = seal(folder / "a", CHUNKS)
    cut = data.draw(st.integers(HEADER + len(LABEL), len(whole) - 1))
    (folder / "b").write_bytes(whole[:cut])
    chunks, finished = unseal(folder / "b")
    assert not finished
    assert chunks == CHUNKS[: len(chunks)]
    _, all_pieces = pieces(whole)
    complete = sum(
        HEADER + len(LABEL) + sum(map(len, all_pieces[: n + 1])) <= cut for n in range(4)
    )
    assert len(chunks) == complete


@settings(max_examples=100, deadline=None)
@given(
    order=st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(lambda o: o != [0, 1, 2, 3])
)
def test_chunks_that_are_moved_left_out_or_doubled_are_noticed(
    folder: Path, order: list[int]
) -> None:
    header, found = pieces(seal(folder / "a", CHUNKS))
    (folder / "b").write_bytes(header + b"".join(found[number] for number in order))
    assert not is_taken_for_whole(folder / "b")


def test_chunks_of_another_recording_do_not_open_in_this_one(tmp_path: Path) -> None:
    header, found = pieces(seal(tmp_path / "a", CHUNKS))
    _, others = pieces(seal(tmp_path / "b", CHUNKS))
    (tmp_path / "c").write_bytes(header + found[0] + others[1])
    with SealedReader(tmp_path / "c", KEY) as reader, pytest.raises(SealError, match="Piece 2"):
        list(reader.chunks())


def test_what_follows_the_last_chunk_is_noticed(tmp_path: Path) -> None:
    whole = seal(tmp_path / "a", CHUNKS)
    (tmp_path / "a").write_bytes(whole + b"x")
    with SealedReader(tmp_path / "a", KEY) as reader:
        with pytest.raises(SealError):
            list(reader.chunks())
        assert not reader.finished


def test_another_key_is_told_by_its_id(tmp_path: Path) -> None:
    seal(tmp_path / "a", CHUNKS)
    assert key_id_of(tmp_path / "a") == KEY.id.hex()
    with pytest.raises(SealError, match=KEY.id.hex()) as caught:
        SealedReader(tmp_path / "a", OTHER)
    assert caught.value.code == "other_key"
    assert OTHER.id.hex() in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF" + bytes(100), b"TOMREC1\n" + bytes(17)])
def test_what_is_no_sealed_file_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(SealError, match="no sealed file"):
        SealedReader(tmp_path / "a", KEY)
    assert key_id_of(tmp_path / "a") is None


def test_a_length_that_nothing_written_has_is_not_read_into_memory(tmp_path: Path) -> None:
    header, _ = pieces(seal(tmp_path / "a", CHUNKS))
    (tmp_path / "a").write_bytes(header + b"\0" + (MAX_CHUNK * 2).to_bytes(4) + bytes(100))
    with SealedReader(tmp_path / "a", KEY) as reader, pytest.raises(SealError):
        list(reader.chunks())


def test_no_two_files_are_sealed_alike(tmp_path: Path) -> None:
    assert seal(tmp_path / "a", CHUNKS)[16:] != seal(tmp_path / "b", CHUNKS)[16:]


def test_the_key_shows_in_no_log() -> None:
    assert str(KEY.key) not in repr(KEY)
    assert KEY.id != OTHER.id
