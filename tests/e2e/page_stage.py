"""What the call page is tried out with: a server, a browser, a microphone that speaks on demand."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, Playwright, expect

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VOICE = ROOT / "docs" / "demo" / "slt"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream=device-count=2",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is not this machine's own makes a page insecure without https.
    "--host-resolver-rules=MAP tom.test 127.0.0.1",
]
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
SIDEWAYS = PHONE | {"viewport": {"width": 740, "height": 360}}
SILENT_RMS = 0.003
QUESTION = "How much does it cost to register a car?"
FIRST_WORDS_MS = 2000
# Pressing the button again sooner is taken for a double click.
NO_DOUBLE_CLICK_MS = 700
ANSWER_MS = 60_000
"""No answer of the demonstration's takes longer to say."""


@dataclass
class Stage:
    """Where a scenario plays.

    Attributes:
        play: Playwright.
        chromium: Where the browser stands.
        url: The server's address, by the name that browsers trust.
        server: Its process.
        pictures: Where pictures go.
    """

    play: Playwright
    chromium: str
    url: str
    server: subprocess.Popen[bytes]
    pictures: Path

    @contextmanager
    def page(
        self,
        path: str = "/",
        *,
        allowed: bool = True,
        measured: bool = False,
        early: str = "",
        mishaps: tuple[str, ...] = (),
        **context: object,
    ) -> Iterator[Page]:
        """Open the page in a fresh browser.

        Args:
            path: Of the address; a whole address for another name of the server.
            allowed: Whether the microphone is.
            measured: Whether a microphone speaks on demand and levels are taken.
            early: A script that runs before the page's own.
            mishaps: Parts of the complaints that belong to the scenario; there must be no others.
            context: Of Playwright's context: language, scheme, size.
        """
        given = {"locale": "en-GB", **DESKTOP, **context}
        permission = ["--use-fake-ui-for-media-stream"] if allowed else []
        browser: Browser = self.play.chromium.launch(
            executable_path=self.chromium, args=[*FLAGS, *permission]
        )
        complaints: list[str] = []
        try:
            page = browser.new_context(**given).new_page()  # type: ignore[arg-type]
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda said: complaints.append(said.text) if said.type == "error" else None,
            )
            if measured:
                for script in ("page_microphone.js", "page_levels.js"):
                    page.add_init_script(path=HERE / script)
            page.add_init_script(early or "0")
            page.goto(path if "://" in path else self.url + path)
            yield page
        finally:
            browser.close()
        unexpected = [x for x in complaints if not any(mishap in x for mishap in mishaps)]
        assert not unexpected, unexpected

    def picture(self, page: Page, name: str) -> None:
        """Leave a picture to be looked at."""
        page.wait_for_timeout(400)  # until what is moving stands still
        page.screenshot(path=self.pictures / f"{name}.png")


@contextmanager
def serving(tom: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve on a free port with room for one call, and data of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready")
        environment = {
            **os.environ,
            "TOM_DATA_DIR": folder,
            "TOM_CACHE_DIR": str(ROOT / "data" / "cache"),
            "RL_FEEDBACK_DB_PATH": f"{folder}/feedback.db",
            "RL_BANDIT_STATE_PATH": f"{folder}/bandit_state.json",
            "RL_CANDIDATES_PATH": f"{folder}/candidates",
            "TOM_MAX_CALLS": "1",
        }
        command = [tom, "serve", "--port", "0", "--ready-file", str(ready)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            for _ in range(1800):
                if ready.exists() or server.poll() is not None:
                    break
                time.sleep(0.1)
            assert ready.exists(), "the server did not start within three minutes"
            yield ready.read_text("utf-8").replace("127.0.0.1", "localhost"), server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            server.wait(60)


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def find_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("No Chromium was found: install chromium, or set CHROMIUM to its path.")


def in_state(page: Page, *states: str) -> None:
    script = "states => states.includes(document.body.dataset.state)"
    page.wait_for_function(script, arg=list(states), timeout=ANSWER_MS)


def carried_by(page: Page, transport: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-transport", transport)


def speak(page: Page, recording: str) -> None:
    """Begin to say one of the recordings; it goes on while the script does."""
    data = base64.b64encode((VOICE / f"{recording}.flac").read_bytes()).decode()
    page.evaluate("recording => void window.speak(recording)", data)


def write(page: Page, text: str) -> None:
    page.fill("#typed-text", text)
    page.keyboard.press("Enter")


def first_sound_ms(page: Page, since: float) -> float:
    script = "([t, silent]) => levels.find(([at, rms]) => at > t && rms > silent)"
    page.wait_for_function(script, arg=[since, SILENT_RMS])
    return float(page.evaluate(f"({script})", [since, SILENT_RMS])[0]) - since


def loudest_in_next(page: Page, ms: int) -> float:
    since = page.evaluate("performance.now()")
    page.wait_for_timeout(ms)
    script = "t => Math.max(0, ...levels.filter(([at]) => at > t).map(([, rms]) => rms))"
    return float(page.evaluate(script, since))


def press_and_hear(page: Page) -> None:
    pressed = page.evaluate("performance.now()")
    page.click("#call")
    waited = first_sound_ms(page, pressed)
    tell(f"  first words heard {waited:.0f} ms after pressing")
    assert waited <= FIRST_WORDS_MS


def hang_up(page: Page) -> None:
    page.wait_for_timeout(NO_DOUBLE_CLICK_MS)
    page.click("#call")
    expect(page.locator("body")).to_have_attribute("data-phase", "ended")


def until_nobody_calls(stage: Stage, seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while live_calls(stage):
        assert time.monotonic() < deadline, "the server still thinks that somebody is there"
        time.sleep(0.1)


def live_calls(stage: Stage) -> int:
    try:
        with urlopen(f"{stage.url}/readyz") as answer:
            return int(json.load(answer)["live_calls"])
    except HTTPError as full:  # there is room for one call alone
        return int(json.load(full)["live_calls"])
