"""Which end of the wire a caller of each door has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.doors.sip_wire import SipWire
from benchmarks.doors.webrtc_wire import MakeProxy, WebRtcWire
from benchmarks.doors.wires import TwilioWire, WebSocketWire, Wire

DOORS: Mapping[str, Callable[[int, MakeProxy | None], Wire]] = {
    "websocket": lambda number, make_proxy: WebSocketWire(),
    "twilio": lambda number, make_proxy: TwilioWire(f"MZ{number:032d}"),
    "sip": lambda number, make_proxy: SipWire(f"caller{number}"),
    "webrtc": lambda number, make_proxy: WebRtcWire(make_proxy),
}
"""Makes a caller of each door from the caller's number; WebRTC's may go through a proxy."""
