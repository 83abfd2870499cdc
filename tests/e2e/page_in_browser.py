"""Calls a real server through the call page in a real browser: `make test-page`.

Headless Chromium opens the page that `tom serve` serves. Its microphone says the demonstration's
recordings when the script wants it to; what the page plays is measured where it leaves for the
loudspeaker. Pictures of every stage are left under data/page/ to be looked at.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).parents[2]
VOICE = ROOT / "docs" / "demo" / "slt"
PICTURES = ROOT / "data" / "page"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is not this machine's own makes a page insecure without https.
    "--host-resolver-rules=MAP tom.test 127.0.0.1",
]
FIRST_WORDS_MS = 2000
SILENT_RMS = 0.003

# The real microphone is asked for, with the page's wishes, and then replaced by one that speaks
# when told to. What goes to the loudspeaker is measured, 128 samples at a time.
EARS_AND_MOUTH = """
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (ask) navigator.mediaDevices.getUserMedia = async (wishes) => {
  const real = await ask(wishes);
  window.wishes = real.getAudioTracks()[0].getSettings();
  for (const track of real.getTracks()) track.stop();
  const context = new AudioContext({ sampleRate: 16000 });
  const out = context.createMediaStreamDestination();
  window.speak = async (recording) => {
    const bytes = Uint8Array.from(atob(recording), (c) => c.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    source.connect(out);
    source.start();
    await new Promise((resolve) => (source.onended = resolve));
  };
  return out.stream;
};
const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([[x]]) {
    if (x) this.port.postMessage(Math.sqrt(x.reduce((sum, s) => sum + s * s, 0) / x.length));
    return true;
  }
});`;
const connect = AudioNode.prototype.connect;
window.levels = [];
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode && this instanceof AnalyserNode) {
    const url = URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" }));
    this.context.audioWorklet.addModule(url).then(() => {
      const recorder = new AudioWorkletNode(this.context, "recorder");
      recorder.port.onmessage = ({ data }) => levels.push([performance.now(), data]);
      connect.call(this, recorder);
      connect.call(recorder, to);
    });
  }
  return connect.call(this, to, ...rest);
};
"""


def main() -> None:
    """Run every scenario; the first that fails ends it with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tom", default=str(Path(sys.executable).with_name("tom")))
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or _find_chromium())
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, serving(options.tom) as (url, server):
        for scenario in (
            a_spoken_call_with_barge_in_and_rating,
            a_german_call_on_a_phone_in_the_dark,
            a_denied_microphone_leads_to_a_typed_call,
            an_insecure_page_leads_to_a_typed_call,
            a_busy_server_says_so_and_can_be_tried_again,
        ):
            tell_of(scenario)
            scenario(playwright, options.chromium, url)
        tell_of(a_lost_connection_is_told)
        a_lost_connection_is_told(playwright, options.chromium, url, server)
    tell(f"Every scenario passed. Pictures: {PICTURES.relative_to(ROOT)}/")


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell_of(scenario: Callable[..., None]) -> None:
    tell(f"· {scenario.__name__.replace('_', ' ')}")


def _find_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("No Chromium was found: install chromium, or set CHROMIUM to its path.")


@contextmanager
def serving(tom: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve on a free port with room for one call, and data of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready")
        environment = {
            **os.environ,
            "TOM_DATA_DIR": folder,
            "RL_FEEDBACK_DB_PATH": f"{folder}/feedback.db",
            "RL_BANDIT_STATE_PATH": f"{folder}/bandit_state.json",
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


@contextmanager
def page_at(
    playwright: Playwright,
    chromium: str,
    url: str,
    *,
    allowed: bool = True,
    measured: bool = False,
    **context: object,
) -> Iterator[Page]:
    """Open the page in a fresh browser; nothing may complain in its console."""
    flags = [*FLAGS, "--use-fake-ui-for-media-stream"] if allowed else FLAGS
    browser: Browser = playwright.chromium.launch(executable_path=chromium, args=flags)
    complaints: list[str] = []
    try:
        given = {"locale": "en-GB", "viewport": {"width": 1100, "height": 800}, **context}
        # Only the measuring needs a script of its own; the policy holds everywhere else.
        page = browser.new_context(bypass_csp=measured, **given).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda entry: complaints.append(entry.text) if entry.type == "error" else None,
        )
        if measured:
            page.add_init_script(EARS_AND_MOUTH)
        page.goto(url)
        yield page
    finally:
        browser.close()
    assert not complaints, complaints


def picture(page: Page, name: str) -> None:
    page.wait_for_timeout(400)  # until what is moving stands still
    page.screenshot(path=PICTURES / f"{name}.png")


def in_state(page: Page, *states: str) -> None:
    page.wait_for_function("states => states.includes(document.body.dataset.state)", arg=states)


def speak(page: Page, recording: str) -> None:
    """Begin to say one of the recordings; it goes on while the script does."""
    data = base64.b64encode((VOICE / f"{recording}.flac").read_bytes()).decode()
    page.evaluate("recording => void window.speak(recording)", data)


def first_sound_ms(page: Page, since: float) -> float:
    page.wait_for_function(
        "([t, silent]) => levels.some(([at, rms]) => at > t && rms > silent)",
        arg=[since, SILENT_RMS],
    )
    at = page.evaluate(
        "([t, silent]) => levels.find(([at, rms]) => at > t && rms > silent)[0]",
        [since, SILENT_RMS],
    )
    return float(at) - since


def loudest_in_next(page: Page, ms: int) -> float:
    since = page.evaluate("performance.now()")
    page.wait_for_timeout(ms)
    return float(
        page.evaluate(
            "t => Math.max(0, ...levels.filter(([at]) => at > t).map(([, rms]) => rms))", since
        )
    )


def a_spoken_call_with_barge_in_and_rating(play: Playwright, chromium: str, url: str) -> None:
    with page_at(play, chromium, f"{url}/?observe", measured=True) as page:
        picture(page, "1-idle")
        pressed = page.evaluate("performance.now()")
        page.click("#call")
        waited = first_sound_ms(page, pressed)
        tell(f"  first words heard {waited:.0f} ms after pressing")
        assert waited <= FIRST_WORDS_MS
        assert page.evaluate("wishes.echoCancellation && wishes.noiseSuppression")
        in_state(page, "listening")

        speak(page, "question")
        expect(page.locator(".caller:not(.partial)")).to_have_count(1)
        expect(page.locator(".latency").first).to_be_visible()
        tell(f"  answered after {page.locator('.latency summary').first.inner_text()}")
        in_state(page, "speaking")
        page.wait_for_timeout(800)
        assert loudest_in_next(page, 500) > SILENT_RMS, "the answer is not heard"
        picture(page, "2-answer")

        speak(page, "barge-in")
        expect(page.locator(".cut")).to_have_count(1)
        page.wait_for_timeout(100)
        assert loudest_in_next(page, 400) < SILENT_RMS, "it goes on while the caller speaks"
        picture(page, "3-barge-in")
        in_state(page, "speaking")
        in_state(page, "listening")

        speak(page, "goodbye")
        expect(page.locator("#rating")).to_be_visible()
        picture(page, "4-rating")
        in_state(page, "awaiting_rating")
        page.keyboard.press("4")
        expect(page.locator(".star.full")).to_have_count(4)
        in_state(page, "ended")
        expect(page.locator("#insight")).to_be_visible()
        picture(page, "5-ended")


def a_german_call_on_a_phone_in_the_dark(play: Playwright, chromium: str, url: str) -> None:
    phone = {"width": 390, "height": 780}
    context = {
        "locale": "de-DE",
        "color_scheme": "dark",
        "viewport": phone,
        "has_touch": True,
        "device_scale_factor": 2,
    }
    with page_at(play, chromium, url, **context) as page:
        expect(page.locator("#call")).to_have_text("Anrufen")
        picture(page, "6-phone-idle")
        page.tap("#call")
        in_state(page, "listening")
        page.fill("#typed-text", "Was kostet die Zulassung?")
        page.keyboard.press("Enter")
        expect(page.locator(".caller")).to_have_text(re.compile("Was kostet die Zulassung"))
        expect(page.locator(".assistant")).to_have_count(2)
        picture(page, "7-phone-call")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= phone["width"], "the page is wider than the phone"
        page.tap("#call")
        in_state(page, "ended")


def a_denied_microphone_leads_to_a_typed_call(play: Playwright, chromium: str, url: str) -> None:
    with page_at(play, chromium, url, allowed=False) as page:
        page.keyboard.press("Tab")
        page.locator("#call").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".note.warning")).to_contain_text("The microphone is blocked")
        expect(page.locator("#typed-text")).to_be_focused()
        page.keyboard.type("How much does it cost to register a car?")
        page.keyboard.press("Enter")
        expect(page.locator(".assistant")).to_have_count(2)
        picture(page, "8-typed")
        page.click("#call")
        expect(page.locator("#message")).to_have_text("You have hung up.")
        expect(page.locator("#call")).to_be_focused()


def an_insecure_page_leads_to_a_typed_call(play: Playwright, chromium: str, url: str) -> None:
    with page_at(play, chromium, url.replace("localhost", "tom.test")) as page:
        page.click("#call")
        expect(page.locator(".note.warning")).to_contain_text("secure pages (https) only")
        expect(page.locator(".assistant").first).to_be_visible()
        assert page.locator("body").get_attribute("data-mode") == "text"


def a_busy_server_says_so_and_can_be_tried_again(play: Playwright, chromium: str, url: str) -> None:
    with page_at(play, chromium, url) as first:
        first.click("#call")
        expect(first.locator("#clock")).to_be_visible()
        with page_at(play, chromium, url) as second:
            second.click("#call")
            expect(second.locator("#message")).to_contain_text("All lines are busy")
            expect(second.locator("#call")).to_have_text("Try again")
            picture(second, "9-busy")
            first.click("#call")
            expect(first.locator("#message")).to_be_visible()
            second.click("#call")
            expect(second.locator("#clock")).to_be_visible()


def a_lost_connection_is_told(
    play: Playwright, chromium: str, url: str, server: subprocess.Popen[bytes]
) -> None:
    with page_at(play, chromium, url) as page:
        page.click("#call")
        expect(page.locator("#clock")).to_be_visible()
        server.kill()
        expect(page.locator("#message")).to_contain_text("The connection was lost")
        expect(page.locator("#call")).to_have_text("Try again")


if __name__ == "__main__":
    main()
