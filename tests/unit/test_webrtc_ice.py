"""STUN and TURN servers come from the settings, and callers get credentials that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from apps.core.errors import ConfigError
from apps.voice.doors.webrtc.ice import (
    CREDENTIAL_S,
    IceServer,
    read_ice_servers,
    with_credentials,
)

STUN, TURN = IceServer(("stun:stun.example.org",)), IceServer(("turn:turn.example.org:3478",))


def test_addresses_may_be_a_list_with_commas() -> None:
    assert read_ice_servers(" stun:stun.example.org , turn:turn.example.org:3478,") == (STUN, TURN)
    assert read_ice_servers("") == ()


def test_servers_with_credentials_are_json_as_a_browser_takes_it() -> None:
    setting = (
        '[{"urls": "stun:stun.example.org"},'
        ' {"urls": ["turn:a.example", "turns:a.example"], "username": "u", "credential": "c"}]'
    )
    assert read_ice_servers(setting) == (
        STUN,
        IceServer(("turn:a.example", "turns:a.example"), "u", "c"),
    )


@pytest.mark.parametrize(
    "setting",
    ["http://example.org", "stun:", "[1]", '[{"url": "stun:x"}]', "[", '[{"urls": []}]', "[[]]"],
)
def test_anything_else_is_refused_at_the_start(setting: str) -> None:
    with pytest.raises(ConfigError, match="TOM_ICE_SERVERS"):
        read_ice_servers(setting)


def test_turn_servers_without_a_credential_get_one_that_expires() -> None:
    known = IceServer(("turn:b.example",), "u", "c")
    stun, turn, kept = with_credentials((STUN, TURN, known), "secret", 1000.0)
    assert (stun, kept) == (STUN, known)
    assert turn.username == str(1000 + CREDENTIAL_S)
    sealed = hmac.digest(b"secret", turn.username.encode(), hashlib.sha1)
    assert turn.credential == base64.b64encode(sealed).decode()
    assert with_credentials((TURN,), "", 1000.0) == (TURN,)
