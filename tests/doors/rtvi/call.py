"""Calls a real server by Pipecat's JavaScript client in headless Chromium.

The page comes from another origin than the server's, as applications do. Its microphone says the
demonstration's recordings; what the client reports and what it plays decide. README.md says how to
run it.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
E2E = HERE.parents[1] / "e2e"
sys.path.insert(0, str(E2E))

from page_stage import FLAGS, find_chromium, serving, speak  # noqa: E402

SPEAKING_RMS = 0.01


def main() -> None:
    """Hold the calls; the first thing that is wrong ends it with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tom", default=str(Path(sys.executable).with_name("tom")))
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM"))
    parser.add_argument("--bundle", type=Path, default=HERE / "page.bundle.js")
    options = parser.parse_args()
    with page_server(options.bundle) as origin, always_open() as profiles:
        os.environ |= {"TOM_ALLOWED_ORIGINS": origin, "TOM_PROFILE_DIR": profiles}
        with sync_playwright() as play, serving(options.tom) as (url, _):
            browser = play.chromium.launch(
                executable_path=options.chromium or find_chromium(),
                args=[*FLAGS, "--use-fake-ui-for-media-stream"],
            )
            for scenario in (a_spoken_call, a_hand_over):
                page = browser.new_context().new_page()
                page.add_init_script(path=E2E / "page_microphone.js")
                page.goto(f"{origin}/page.html")
                scenario(page, f"{url}/api/offer")
                page.close()
                sys.stdout.write(f"{scenario.__name__}: passed\n")


@contextmanager
def always_open() -> Iterator[str]:
    """Lay out the sample profile with an office that is open all week, so that it hands over."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("profiles", "knowledge"):
            shutil.copytree(E2E.parents[1] / "docs" / part, Path(folder, part))
        profile = Path(folder, "profiles", "kfz.yaml")
        days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        hours = "".join(f'  {day}: ["00:00-23:59"]\n' for day in days)
        opening = r"(?m)^opening_hours:\n  timezone: (.*)\n(  \w+day: .*\n)+"
        text = re.sub(
            opening, rf"opening_hours:\n  timezone: \1\n{hours}", profile.read_text("utf-8")
        )
        profile.write_text(text, "utf-8")
        yield folder


@contextmanager
def page_server(bundle: Path) -> Iterator[str]:
    """Serve the page and its bundle on a free port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return str(bundle if path.endswith(".js") else HERE / "page.html")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()


def happened(page: Page, kind: str) -> list[Any]:
    script = "kind => happened.filter(h => h.kind === kind).map(h => h.data ?? null)"
    return page.evaluate(script, kind)


def wait_for(page: Page, kind: str, count: int = 1, seconds: float = 40) -> None:
    script = "([kind, count]) => happened.filter(h => h.kind === kind).length >= count"
    try:
        page.wait_for_function(script, arg=[kind, count], timeout=seconds * 1000)
    except Exception:
        sys.stderr.write(json.dumps(page.evaluate("happened"), indent=1)[-6000:])
        raise


def dial(page: Page, endpoint: str) -> None:
    page.evaluate("([url, wanted]) => call(url, wanted)", [endpoint, {"language": "en"}])
    [ready] = happened(page, "botReady")
    assert ready["version"].startswith("2."), ready


def a_spoken_call(page: Page, endpoint: str) -> None:
    """Greeting, a spoken question, its answer, a typed goodbye, and the rating as a request."""
    dial(page, endpoint)
    wait_for(page, "botStoppedSpeaking")
    assert max(page.evaluate("levels")) > SPEAKING_RMS, "the greeting was not heard"
    speak(page, "question")
    wait_for(page, "userStoppedSpeaking")
    wait_for(page, "botStartedSpeaking", 2)
    finals = [said for said in happened(page, "userTranscript") if said["final"]]
    assert finals, "no final transcript"
    wait_for(page, "metrics")
    [metrics] = happened(page, "metrics")
    assert 0 < metrics["ttfb"][0]["value"] < 5
    wait_for(page, "botStoppedSpeaking", 2)
    assert any(said["spoken_status"] == "completed" for said in happened(page, "botOutput"))
    page.evaluate("client.sendText('thank you, goodbye')")
    wait_for(page, "botStoppedSpeaking", 3)
    refused = page.evaluate("client.sendClientRequest('dance').catch(e => e.data)")
    assert refused["code"] == "unknown_message", refused
    response = page.evaluate("client.sendClientRequest('rating', { stars: 5 })")
    assert response["ok"] is True, response
    wait_for(page, "botDisconnected")
    told = [message["type"] for message in happened(page, "serverMessage")]
    assert {"call.started", "state", "rating.asked", "rating", "call.ended"} <= set(told), told
    page.evaluate("client.disconnect()")


def a_hand_over(page: Page, endpoint: str) -> None:
    """A key of the menu asks for a person: the page's function is called with the summary."""
    dial(page, endpoint)
    wait_for(page, "botStoppedSpeaking")
    page.evaluate("client.sendText('i want to speak to a human agent please')")
    wait_for(page, "asked to transfer", seconds=60)
    [arguments] = happened(page, "asked to transfer")
    assert arguments["target"], arguments
    wait_for(page, "botDisconnected")
    page.evaluate("client.disconnect()")


if __name__ == "__main__":
    main()
