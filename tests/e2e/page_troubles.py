"""What can go wrong when a browser calls, and what the page makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from page_stage import (
    NO_DOUBLE_CLICK_MS,
    QUESTION,
    Stage,
    carried_by,
    first_sound_ms,
    hang_up,
    in_state,
    press_and_hear,
    speak,
    tell,
    until_nobody_calls,
)
from playwright.sync_api import expect

FALLBACK_MS = 6000
REFUSED = ("Failed to load resource",)
UNTRUSTED = ("Cross-Origin-Opener-Policy",)
# A browser that may use a relay alone, where there is none: no connection comes about.
NO_ADDRESSES = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  setConfiguration(given) {
    super.setConfiguration({ ...given, iceTransportPolicy: "relay" });
  }
};
"""
# The offer goes out before any address of the browser's is known.
LATE_ADDRESSES = r"""
const prototype = RTCPeerConnection.prototype;
const { get } = Object.getOwnPropertyDescriptor(prototype, "localDescription");
let reads = 0;
Object.defineProperty(prototype, "localDescription", {
  get() {
    const { type, sdp } = get.call(this);
    const without = sdp.replace(/^a=(candidate|end-of-candidates).*\r\n/gm, "");
    return { type, sdp: reads++ ? sdp : without };
  },
});
"""


def no_way_through_for_webrtc(stage: Stage) -> None:
    """The call goes on over WebSocket, says so, and the next one does not wait again."""
    with stage.page(measured=True, early=NO_ADDRESSES) as page:
        pressed = page.evaluate("performance.now()")
        page.click("#call")
        waited = first_sound_ms(page, pressed)
        tell(f"  first words heard {waited:.0f} ms after pressing")
        assert waited <= FALLBACK_MS
        carried_by(page, "websocket")
        expect(page.locator(".note.warning")).to_contain_text("No direct connection")
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
        expect(page.locator(".note.warning")).to_contain_text("No direct connection")
        carried_by(page, "websocket")
        hang_up(page)


def addresses_that_come_late(stage: Stage) -> None:
    with stage.page(early=LATE_ADDRESSES) as page:
        with page.expect_response(lambda answer: answer.request.method == "PATCH") as told:
            page.click("#call")
        assert told.value.status == 204
        carried_by(page, "webrtc")
        hang_up(page)


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


def a_lost_connection(stage: Stage) -> None:
    # What the page was still loading is lost, too.
    with stage.page("/?transport=websocket", mishaps=("net::ERR_CONNECTION",)) as page:
        page.click("#call")
        expect(page.locator("#clock")).to_be_visible()
        stage.server.kill()
        expect(page.locator("#message")).to_contain_text("The connection was lost")
        expect(page.locator("#call")).to_have_text("Try again")


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "no way through for WebRTC": no_way_through_for_webrtc,
    "a server without WebRTC": a_server_without_webrtc,
    "addresses that come late": addresses_that_come_late,
    "a denied microphone": a_denied_microphone,
    "an insecure page": an_insecure_page,
    "an operator's link from elsewhere": an_operators_link_from_elsewhere,
    "a busy server": a_busy_server,
    "leaving the page hangs up": leaving_the_page_hangs_up,
    "a lost connection": a_lost_connection,
}
