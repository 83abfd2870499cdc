"""Headless Chromium as a caller's browser, driven over its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-port=0",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-GB",
    "--mute-audio",
)
START_S = 30.0


def find() -> str | None:
    """Return where Chromium stands on this machine, or None; CHROMIUM says it first."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Page:
    """One page of the browser.

    Attributes:
        complaints: Errors of its scripts and of its console, in order.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while (message := json.loads(self._socket.recv(timeout=30))).get("id") != self._last_id:
            self._note(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(str(details.get("exception", details)))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error"} as entry}}:
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    def run(self, script: str) -> Any:
        """Return what a JavaScript expression comes to; a promise is waited for."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.do("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 20.0) -> Any:
        """Return what an expression comes to as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"it did not come: {script}\n{self.complaints}"
            time.sleep(0.05)
        return found

    def press(self, key: str) -> None:
        """Press one key: a character, or a name such as Tab or Enter."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, ord(key[0].upper()))
        named = {"key": key, "windowsVirtualKeyCode": code}
        down = "keyDown" if text else "rawKeyDown"
        self.do("Input.dispatchKeyEvent", type=down, text=text, **named)
        self.do("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.do("Input.insertText", text=text)


@contextmanager
def browsing(url: str, chromium: str, *flags: str, early: str = "") -> Iterator[Page]:
    """Open a page in a fresh browser.

    Args:
        url: The page's address.
        chromium: Where the browser stands.
        flags: More of its flags.
        early: A script that runs before the page's own.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [chromium, *FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with connect(_page_address(Path(folder)), max_size=None) as socket:
                page = Page(socket)
                page.do("Page.addScriptToEvaluateOnNewDocument", source=early)
                page.do("Page.navigate", url=url)
                page.until("document.readyState === 'complete' && location.protocol !== 'about:'")
                yield page
        finally:
            process.terminate()
            process.wait(20)


def _page_address(folder: Path) -> str:
    """Return where the DevTools of the browser's only page listen."""
    deadline, port = time.monotonic() + START_S, folder / "DevToolsActivePort"
    while not (port.exists() and port.read_text().count("\n")):
        assert time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
        time.sleep(0.05)
    targets = httpx.get(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list").json()
    address: str = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
    return address
