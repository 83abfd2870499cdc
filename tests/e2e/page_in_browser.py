"""Calls a real server through the call page in a real browser: `make test-page`.

Headless Chromium opens the page that `tom serve` serves. Its microphone says the demonstration's
recordings when a scenario wants it to; what the page plays is measured where it leaves for the
loudspeaker. Pictures of every stage are left under data/page/ to be looked at.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import page_troubles
from page_stage import (
    PHONE,
    QUESTION,
    ROOT,
    SIDEWAYS,
    SILENT_RMS,
    Stage,
    carried_by,
    find_chromium,
    hang_up,
    in_state,
    loudest_in_next,
    press_and_hear,
    serving,
    speak,
    tell,
    until_nobody_calls,
    write,
)
from playwright.sync_api import Page, expect, sync_playwright

SMALLEST_FIELD_PX = """Math.min(...[...document.querySelectorAll("input[type=text], select")].map(
    (field) => parseFloat(getComputedStyle(field).fontSize)))"""
GONE_S = 40
"""After that the server knows of a browser that was closed in the middle of a call."""


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
        expect(page.locator(".assistant")).to_have_count(3)  # the greeting, the key's answer, this
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


def a_rating_after_the_call(stage: Stage) -> None:
    """Who hangs up without having rated can still do so, once, for the call's token."""
    with stage.page("/?transport=websocket", mishaps=("Failed to load resource",)) as page:
        page.click("#call")
        in_state(page, "listening")
        write(page, QUESTION)
        expect(page.locator(".assistant")).to_have_count(2)
        in_state(page, "listening")
        hang_up(page)
        expect(page.locator("#rating-hint")).to_contain_text("You can still rate it")
        page.context.set_offline(True)
        page.locator(".star").nth(1).click()
        expect(page.locator("#rating-hint")).to_contain_text("did not get through")
        page.context.set_offline(False)
        page.keyboard.press("4")
        expect(page.locator("#rating-hint")).to_contain_text("Thank you for your rating: 4 of 5")
        expect(page.locator(".star.full")).to_have_count(4)
        assert page.locator(".star").first.is_disabled()
        stage.picture(page, "late-rating")


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


# The last one of all leaves no server behind.
SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "a spoken call over WebRTC": partial(a_spoken_call, transport="webrtc"),
    "a spoken call over WebSocket": partial(a_spoken_call, transport="websocket"),
    "another microphone in the middle": another_microphone_in_the_middle,
    "by keyboard alone": by_keyboard_alone,
    "a rating after the call": a_rating_after_the_call,
    "every look": every_look,
    **page_troubles.SCENARIOS,
}


if __name__ == "__main__":
    main()
