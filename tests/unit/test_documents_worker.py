"""A hostile document ends the process that parses it at worst, with a code, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import zipfile
from pathlib import Path

import pytest

from apps.core.errors import DocumentError
from apps.knowledge.documents import parsing, worker
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.parsing import LocalParser, Parsed, ProcessParser
from apps.knowledge.documents.reading import Task
from tests.documents import bomb, pdf, word

GOOD = "The form is kept at the office on the first floor and it is free."
SMALL = Limits(parse_s=5, memory_bytes=512 * MIB)


@pytest.fixture
async def parser():
    parser = ProcessParser()
    yield parser
    await parser.close()


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rezipped(path: Path, name: str, content: bytes) -> Path:
    """Write a DOCX anew with another content of one of its files."""
    with zipfile.ZipFile(path) as old:
        members = {member: old.read(member) for member in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for member, data in (members | {name: content}).items():
            new.writestr(member, data)
    return path


def lying(path: Path) -> Path:
    """Write a DOCX whose table of contents says that its 64 MiB are a thousand bytes."""
    raw = bytearray(bomb(path, 32).read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return put(path, bytes(raw))


def deep_xml(path: Path) -> Path:
    return rezipped(word(path), "word/document.xml", b"<a>" * 200_000)


def entities(path: Path) -> Path:
    """Write a DOCX whose text is a billion laughs."""
    lines = [b'<!DOCTYPE d [<!ENTITY a0 "laugh laugh laugh laugh">']
    lines += [b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9)]
    space = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    said = (
        b'<w:document xmlns:w="%s"><w:body><w:p><w:r><w:t>&a8;</w:t></w:r></w:p></w:body>' % space
    )
    return rezipped(
        word(path), "word/document.xml", b"".join([*lines, b"]>", said, b"</w:document>"])
    )


HOSTILE = {
    "zip bomb": (lambda d: bomb(d / "a.docx", 32), {"bomb"}),
    "zip that lies": (lambda d: lying(d / "a.docx"), {"bomb", "broken"}),
    "zip of another kind": (lambda d: other_zip(d / "a.docx"), {"wrong_extension"}),
    "cut off docx": (
        lambda d: put(d / "a.docx", word(d / "b.docx").read_bytes()[:900]),
        {"broken"},
    ),
    "deep xml": (lambda d: deep_xml(d / "a.docx"), {"broken", "too_deep"}),
    "billion laughs": (lambda d: entities(d / "a.docx"), {"broken", "too_big", "timeout"}),
    "encrypted pdf": (lambda d: put(d / "a.pdf", pdf([["x"]], password="p")), {"encrypted"}),
    "wrong extension": (lambda d: put(d / "a.md", pdf([["x"]])), {"wrong_extension"}),
    "invalid UTF-8": (lambda d: put(d / "a.md", b"caf\xe9 " * 10), {"encoding"}),
    "a line without end": (lambda d: put(d / "a.jsonl", b'{"text": "' + b"x" * MIB), {"broken"}),
    "deep json": (lambda d: put(d / "a.jsonl", b'{"text":' + b"[" * 60_000), {"broken"}),
}


def other_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no document")
    return path


async def test_hostile_documents_give_their_codes_and_the_next_is_read(parser, tmp_path: Path):
    good = Task(str(put(tmp_path / "good.md", GOOD)), limits=SMALL)
    for number, (kind, (make, codes)) in enumerate(HOSTILE.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        task = Task(str(make(folder)), limits=SMALL)
        with pytest.raises(DocumentError) as error:
            await parser.parse(task)
        assert error.value.code in codes, kind
        assert error.value.message
        assert [p.text for p in (await parser.parse(good)).passages] == [GOOD], kind


async def test_a_page_nested_without_end_is_read_all_the_same(parser, tmp_path: Path):
    page = put(tmp_path / "a.html", "<div><b><table>" * 20_000 + GOOD)
    told = await parser.parse(Task(str(page), limits=SMALL))
    assert GOOD in told.passages[-1].text


async def test_a_gigabyte_is_refused_before_it_is_read(parser, tmp_path: Path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(DocumentError) as error:
        await parser.parse(Task(str(path)))
    assert error.value.code == "too_big"


async def test_links_and_pipes_are_not_opened(parser, tmp_path: Path):
    (tmp_path / "a.md").symlink_to(put(tmp_path / "real.md", GOOD))
    os.mkfifo(tmp_path / "b.md")
    codes = []
    for name in ("a.md", "b.md", "gone.md"):
        with pytest.raises(DocumentError) as error:
            await parser.parse(Task(str(tmp_path / name)))
        codes.append(error.value.code)
    assert codes == ["unreadable", "no_file", "unreadable"]


async def test_what_takes_too_long_is_killed(parser, tmp_path: Path, monkeypatch):
    await parser.parse(Task(str(put(tmp_path / "good.md", GOOD))))
    monkeypatch.setattr(parsing, "_STARTS_WITHIN_S", 0.2)
    # A comment that is never closed is looked through again with every megabyte.
    path = put(tmp_path / "a.html", "<!-- " * (1 << 20))
    with pytest.raises(DocumentError) as error:
        await parser.parse(Task(str(path), limits=Limits(parse_s=0.001)))
    assert error.value.code == "timeout"


async def test_what_takes_too_much_memory_says_so_and_the_process_is_fresh(parser, tmp_path: Path):
    paragraph = b"<w:p><w:r><w:t>text</w:t></w:r></w:p>"
    space = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = b'<w:document xmlns:w="%s"><w:body>%s</w:body></w:document>' % (
        space,
        paragraph * 20_000,
    )
    path = rezipped(word(tmp_path / "a.docx"), "word/document.xml", body)
    good = Task(str(word(tmp_path / "good.docx")), limits=SMALL)
    assert (await parser.parse(good)).passages
    with pytest.raises(DocumentError) as error:
        await parser.parse(Task(str(path), limits=Limits(memory_bytes=24 * MIB)))
    assert error.value.code in ("too_big", "crashed")
    assert (await parser.parse(good)).passages


async def test_a_parser_that_dies_is_started_again(parser, tmp_path: Path):
    task = Task(str(put(tmp_path / "good.md", GOOD)))
    await parser.parse(task)
    parser._process.kill()
    with pytest.raises(DocumentError) as error:
        await parser.parse(task)
    assert error.value.code == "crashed"
    assert (await parser.parse(task)).passages


async def test_a_document_that_is_given_up_leaves_nothing_for_the_next(parser, tmp_path: Path):
    task = Task(str(put(tmp_path / "good.md", GOOD)))
    await parser.start()
    waiting = asyncio.create_task(parser.parse(task))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await parser.parse(task)).passages


async def test_both_parsers_read_alike(parser, tmp_path: Path):
    task = Task(str(word(tmp_path / "a.docx")))
    read: Parsed = await parser.parse(task)
    assert read == await LocalParser().parse(task)


async def test_the_process_knows_no_keys(parser, monkeypatch):
    monkeypatch.setenv("TOM_HASH_KEY", "secret")
    await parser.start()
    environment = Path(f"/proc/{parser._process.pid}/environ")
    if environment.exists():
        assert b"secret" not in environment.read_bytes()


def test_the_program_answers_in_json_and_keeps_its_output_to_itself(tmp_path: Path, monkeypatch):
    """The worker's own loop, in this process, without its limits."""
    answers = io.StringIO()
    monkeypatch.setattr(worker, "_own_output", lambda: answers)
    monkeypatch.setattr(worker.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "setrecursionlimit", lambda _: None)
    good, bad = put(tmp_path / "a.md", GOOD), put(tmp_path / "b.md", b"\0")
    tasks = "".join(json.dumps(Task(str(path)).to_dict()) + "\n" for path in (good, bad))
    monkeypatch.setattr(sys, "stdin", io.StringIO(tasks))
    worker.main()
    told = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [next(iter(line)) for line in told] == ["passages", "summary", "error"]
    assert told[2]["error"]["code"] == "empty"


@pytest.mark.parametrize(
    ("raised", "code"),
    [(MemoryError(), "too_big"), (RecursionError(), "too_deep"), (OSError(), "broken")],
)
def test_whatever_a_parser_raises_is_an_error_of_its_document(monkeypatch, raised, code):
    def read(task, detector):
        raise raised
        yield

    monkeypatch.setattr(worker, "read", read)
    (answer,) = worker._answers(Task("/x"))
    assert (answer["error"]["code"], answer["spent"]) == (code, True)
