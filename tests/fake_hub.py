"""A hub of weights on loopback: as much of its HTTP interface as a pull needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Repositories = dict[str, dict[str, bytes]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves repositories of files.

    Attributes:
        url: Its address.
        repositories: The files by path by repository; may be changed meanwhile.
        asked: The paths that were asked for, in order.
    """

    def __init__(self, repositories: Repositories, url: str) -> None:
        self.repositories = repositories
        self.url = url
        self.asked: list[str] = []

    def file(self, path: str) -> bytes | None:
        """Return the file of a path like ``owner/name/resolve/main/file``."""
        repository, _, rest = path.partition("/resolve/")
        return self.repositories.get(repository, {}).get(rest.partition("/")[2])


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.asked.append(path)
            if path.startswith("api/models/"):
                self.listing(path.removeprefix("api/models/"))
            else:
                self.content(path, with_body=True)

        def do_HEAD(self) -> None:
            self.content(unquote(urlsplit(self.path).path).strip("/"), with_body=False)

        def listing(self, repository: str) -> None:
            files = hub.repositories.get(repository)
            if files is None:
                self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            body = {"id": repository, "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def content(self, path: str, *, with_body: bool) -> None:
            data = hub.file(path)
            if data is None:
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            etag = hashlib.sha1(data).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            start = 0
            if wanted := self.headers.get("Range", ""):
                start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
            self.answer(206 if start else 200, data[start:], headers, with_body)

        def answer(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str],
            with_body: bool = True,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


@contextmanager
def fake_hub(repositories: Repositories) -> Iterator[FakeHub]:
    """Serve repositories, given as files by path by repository."""
    hub = FakeHub(repositories, "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
