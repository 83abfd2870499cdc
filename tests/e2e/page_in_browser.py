"""Calls a real server through the call page in a real browser: `make test-page`.

Headless Chromium opens the page that `tom serve` serves. Its microphone says the demonstration's
recordings when a scenario wants it to; what the page plays is measured where it leaves for the
loudspeaker. Pictures of every stage are left under data/page/ to be looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.request import urlopen

from page_stage import (
    PHONE,
    ROOT,
    SIDEWAYS,
    SILENT_RMS,
    Stage,
    carried_by,
    find_chromium,
    first_sound_ms,
    in_state,
    loudest_in_next,
    serving,
    speak,
    write,
)
from playwright.sync_api import Page, expect, sync_playwright

FIRST_WORDS_MS = 2000
FALLBACK_MS = 6000
QUESTION = "How much does it cost to register a car?"
SMALLEST_FIELD_PX = """Math.min(...[...document.querySelectorAll("input[type=text], select")].map(
    (field) => parseFloat(getComputedStyle(field).fontSize)))"""
REFUSED = ("Failed to load resource",)
UNTRUSTED = ("Cross-Origin-Opener-Policy",)
# Pressing the button again sooner is taken for a double click.
NO_DOUBLE_CLICK_MS = 700
GONE_S = 40
"""After that the server knows of a browser that was closed in the middle of a call."""
# A browser that may use a relay alone, where there is none: no connection comes about.
NO_ADDRESSES = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  setConfiguration(given) {
    super.setConfiguration({ ...given, iceTransportPolicy: "relay" });
  }
};
"""


def main() -> None:
    """Run every scenario; the first that fails ends it with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tom", default=str(Path(sys.executable).with_name("tom")))
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM"))
    parser.add_argument("--pictures", type=Path, default=ROOT / "data" / "page")
    parser.add_argument("--only", default="", help="part of a scenario's name")
    options = parser.parse_args()
    options.pictures.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=20_000)
    with sync_playwright() as play, serving(options.tom) as (url, server):
        chromium = options.chromium or find_chromium()
        stage = Stage(play, chromium, url, server, options.pictures)
        for name, scenario in SCENARIOS.items():
            if options.only in name:
                tell(f"· {name}")
                scenario(stage)
                if stage.server.poll() is None:
                    until_nobody_calls(stage, GONE_S)
    tell(f"Every scenario passed. Pictures: {options.pictures}")


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def press_and_hear(page: Page) -> None:
    pressed = page.evaluate("performance.now()")
    page.click("#call")
    waited = first_sound_ms(page, pressed)
    tell(f"  first words heard {waited:.0f} ms after pressing")
    assert waited <= FIRST_WORDS_MS


def a_spoken_call(stage: Stage, transport: str) -> None:
    """Two spoken turns, a barge-in, and a spoken rating."""
    path = f"/?observe&transport={transport}"
    with stage.page(path, measured=True) as page:
        press_and_hear(page)
        carried_by(page, transport)
        assert page.evaluate("wishes.echoCancellation && wishes.noiseSuppression")
        in_state(page, "listening")

        speak(page, "question")
        expect(page.locator(".caller:not(.partial)")).to_have_count(1)
        expect(page.locator(".latency").first).to_be_visible()
        tell(f"  answered after {page.locator('.latency summary').first.inner_text()}")
        in_state(page, "speaking")
        page.wait_for_timeout(800)
        assert loudest_in_next(page, 500) > SILENT_RMS, "the answer is not heard"
        stage.picture(page, f"call-{transport}-1-answer")

        speak(page, "barge-in")
        expect(page.locator(".cut")).to_have_count(1)
        page.wait_for_timeout(200)
        assert loudest_in_next(page, 400) < SILENT_RMS, "it goes on while the caller speaks"
        stage.picture(page, f"call-{transport}-2-barge-in")
        in_state(page, "speaking")
        in_state(page, "listening")

        speak(page, "goodbye")
        expect(page.locator("#rating")).to_be_visible()
        stage.picture(page, f"call-{transport}-3-rating")
        in_state(page, "awaiting_rating")
        speak(page, "rating")
        expect(page.locator(".star.full")).not_to_have_count(0)
        expect(page.locator("body")).to_have_attribute("data-phase", "ended")
        expect(page.locator("#insight-title")).to_contain_text("reward")
        stage.picture(page, f"call-{transport}-4-ended")


def no_way_through_for_webrtc(stage: Stage) -> None:
    """The call goes on over WebSocket, says so, and the next one does not wait again."""
    with stage.page(measured=True, early=NO_ADDRESSES) as page:
        pressed = page.evaluate("performance.now()")
        page.click("#call")
        waited = first_sound_ms(page, pressed)
        tell(f"  first words heard {waited:.0f} ms after pressing")
        assert waited <= FALLBACK_MS
        carried_by(page, "websocket")
        expect(page.locator(".note.warning")).to_contain_text("no direct connection")
        in_state(page, "listening")
        stage.picture(page, "fallback")
        speak(page, "question")
        expect(page.locator(".caller:not(.partial)")).to_have_count(1)
        hang_up(page)
        page.wait_for_timeout(NO_DOUBLE_CLICK_MS)
        press_and_hear(page)
        hang_up(page)


def a_server_without_webrtc(stage: Stage) -> None:
    with stage.page(mishaps=REFUSED) as page:
        page.route(re.compile("/whip"), lambda route: route.fulfill(status=404, body="{}"))
        page.click("#call")
        expect(page.locator(".note.warning")).to_contain_text("no direct connection")
        carried_by(page, "websocket")
        hang_up(page)


def another_microphone_in_the_middle(stage: Stage) -> None:
    for transport in ("webrtc", "websocket"):
        with stage.page(f"/?transport={transport}") as page:
            page.click("#call")
            carried_by(page, transport)
            in_state(page, "listening", "hearing")
            names = page.locator("#microphones option")
            assert names.count() >= 3, names.all_inner_texts()
            page.select_option("#microphones", index=2)
            page.wait_for_timeout(500)
            expect(page.locator(".note.warning")).to_have_count(0)
            # Its beeps are heard in the page's meter.
            script = "() => Number(document.getElementById('level').ariaValueNow) > 20"
            page.wait_for_function(script)
            hang_up(page)


def by_keyboard_alone(stage: Stage) -> None:
    with stage.page("/?transport=websocket", measured=True) as page:
        tab_to(page, "#call")
        ring = page.evaluate("getComputedStyle(document.querySelector('.disc')).outlineStyle")
        assert ring == "solid", "the focus is not seen"
        page.keyboard.press("Enter")
        in_state(page, "listening")
        expect(page.locator("#call")).to_be_focused()
        tab_to(page, "#keys")
        page.keyboard.press("Enter")
        expect(page.locator("#keypad")).to_be_visible()
        page.keyboard.press("5")
        expect(page.locator(".note")).to_have_text("Key 5")
        page.keyboard.press("Escape")
        expect(page.locator("#keypad")).to_be_hidden()
        expect(page.locator("#keys")).to_be_focused()
        tab_to(page, "#typed-text")
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        expect(page.locator(".caller")).to_have_count(1)
        in_state(page, "speaking")
        page.keyboard.type("Goodbye")
        page.keyboard.press("Enter")
        expect(page.locator("#rating")).to_be_visible()
        tab_to(page, ".star:nth-child(4)")
        stage.picture(page, "keyboard-rating")
        page.keyboard.press("Enter")
        expect(page.locator("#rating")).to_be_focused()
        expect(page.locator("#rating-hint")).to_contain_text("4 of 5")
        expect(page.locator("#call")).to_have_text("Call again")


def tab_to(page: Page, selector: str) -> None:
    """Go on with Tab until something has the focus, at most once around the page."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement?.matches(s)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def every_look(stage: Stage) -> None:
    """Both schemes, both languages, three sizes: a picture of each stage, none too wide."""
    for size, look in (("desktop", {}), ("phone", PHONE), ("sideways", SIDEWAYS)):
        for scheme, locale in (("light", "de-DE"), ("dark", "en-GB")):
            look = {**look, "color_scheme": scheme, "locale": locale, "reduced_motion": "reduce"}
            with stage.page(measured=True, **look) as page:
                a_typed_call(stage, page, f"{size}-{scheme}-{locale[:2]}")


def a_typed_call(stage: Stage, page: Page, name: str) -> None:
    german = name.endswith("de")
    expect(page.locator("#call")).to_have_text("Anrufen" if german else "Call")
    stage.picture(page, f"{name}-1-idle")
    page.click("#call")
    in_state(page, "greeting")
    write(page, "Was kostet die Zulassung?" if german else QUESTION)
    expect(page.locator(".assistant")).to_have_count(2)
    in_state(page, "speaking")
    stage.picture(page, f"{name}-2-answer")
    page.click("#keys")
    stage.picture(page, f"{name}-3-keypad")
    expect(page.get_by_role("button", name=re.compile("(Raute|Hash)"))).to_be_in_viewport()
    page.click("#keys")
    write(page, "Auf Wiedersehen" if german else "Goodbye")
    expect(page.locator("#rating")).to_be_visible()
    stage.picture(page, f"{name}-4-rating")
    page.locator(".star").nth(4).click()
    expect(page.locator(".star.full")).to_have_count(5)
    expect(page.locator("body")).to_have_attribute("data-phase", "ended")
    stage.picture(page, f"{name}-5-ended")
    wide, fits = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= fits, f"{name} is wider than its screen"
    assert page.evaluate(SMALLEST_FIELD_PX) >= 16, "a phone would zoom in on a field"


def a_denied_microphone(stage: Stage) -> None:
    with stage.page(allowed=False) as page:
        page.locator("#call").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".note.warning")).to_contain_text("The microphone is blocked")
        expect(page.locator("#typed-text")).to_be_focused()
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        expect(page.locator(".assistant")).to_have_count(2)
        stage.picture(page, "denied")
        hang_up(page)
        expect(page.locator("#message")).to_have_text("You have hung up.")
        expect(page.locator("#call")).to_be_focused()


def an_insecure_page(stage: Stage) -> None:
    with stage.page(stage.url.replace("localhost", "tom.test"), mishaps=UNTRUSTED) as page:
        page.click("#call")
        expect(page.locator(".note.warning")).to_contain_text("secure pages (https) only")
        expect(page.locator(".assistant").first).to_be_visible()
        assert page.locator("body").get_attribute("data-mode") == "text"


def an_operators_link_from_elsewhere(stage: Stage) -> None:
    elsewhere = stage.url.replace("localhost", "tom.test")
    with stage.page() as page:
        made = page.request.post(f"{stage.url}/v1/token", data={"observe": True})
        token = made.json()["token"]
    with stage.page(f"{elsewhere}/#operator={token}", mishaps=UNTRUSTED) as page:
        page.click("#call")
        expect(page.locator("#insight-title")).to_contain_text("propensity")
        hang_up(page)
        expect(page.locator("#insight-title")).to_contain_text("reward")
        page.click("#insight summary")
        stage.picture(page, "operator")
    with stage.page(f"{elsewhere}/?observe", mishaps=UNTRUSTED) as page:
        page.click("#call")
        expect(page.locator("#message")).to_contain_text("This link does not allow the call")


def a_busy_server(stage: Stage) -> None:
    for transport in ("webrtc", "websocket"):
        with stage.page(f"/?transport={transport}") as first:
            first.click("#call")
            carried_by(first, transport)
            with stage.page(f"/?transport={transport}", mishaps=REFUSED) as second:
                second.click("#call")
                expect(second.locator("#message")).to_contain_text("All lines are busy")
                expect(second.locator("#call")).to_have_text("Try again")
                stage.picture(second, "busy")
                hang_up(first)
                until_nobody_calls(stage)
                second.click("#call")
                carried_by(second, transport)
                hang_up(second)
            until_nobody_calls(stage)


def leaving_the_page_hangs_up(stage: Stage) -> None:
    with stage.page() as page:
        page.click("#call")
        carried_by(page, "webrtc")
        page.goto("about:blank")
        until_nobody_calls(stage)


def hang_up(page: Page) -> None:
    page.wait_for_timeout(NO_DOUBLE_CLICK_MS)
    page.click("#call")
    expect(page.locator("body")).to_have_attribute("data-phase", "ended")


def until_nobody_calls(stage: Stage, seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with urlopen(f"{stage.url}/readyz") as answer:
            if not json.load(answer)["live_calls"]:
                return
        assert time.monotonic() < deadline, "the server still thinks that somebody is there"
        time.sleep(0.1)


def a_lost_connection(stage: Stage) -> None:
    with stage.page("/?transport=websocket") as page:
        page.click("#call")
        expect(page.locator("#clock")).to_be_visible()
        stage.server.kill()
        expect(page.locator("#message")).to_contain_text("The connection was lost")
        expect(page.locator("#call")).to_have_text("Try again")


# The last one leaves no server behind.
SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "a spoken call over WebRTC": partial(a_spoken_call, transport="webrtc"),
    "a spoken call over WebSocket": partial(a_spoken_call, transport="websocket"),
    "no way through for WebRTC": no_way_through_for_webrtc,
    "a server without WebRTC": a_server_without_webrtc,
    "another microphone in the middle": another_microphone_in_the_middle,
    "by keyboard alone": by_keyboard_alone,
    "every look": every_look,
    "a denied microphone": a_denied_microphone,
    "an insecure page": an_insecure_page,
    "an operator's link from elsewhere": an_operators_link_from_elsewhere,
    "a busy server": a_busy_server,
    "leaving the page hangs up": leaving_the_page_hangs_up,
    "a lost connection": a_lost_connection,
}


if __name__ == "__main__":
    main()
