"""Writes docs/settings.md and .env.example from the settings themselves."""

from __future__ import annotations

from apps.cli.config_report import shown
from apps.cli.setting_info import SettingInfo, describe

SECTIONS = {
    "http_host": "Server",
    "tls_cert": "Trust",
    "outgoing_caller_id": "Outgoing calls",
    "public_url": "Carriers: Twilio, Telnyx, Vonage",
    "realtime_key": "Clients of the OpenAI Realtime API",
    "asterisk_password": "Asterisk",
    "data_dir": "Data",
    "profile": "Calls",
    "ice_servers": "WebRTC",
    "sip": "SIP",
    "kb_dir": "Knowledge",
    "privacy_detector": "Names and other personal data",
    "stt_engine": "Engines",
    "llm_engine": "Generation",
    "rl_enabled": "Learning",
    "adapter_routes": "Adapters",
    "prometheus_enabled": "Metrics",
}
"""The field that begins a section, and its heading."""

_INTRODUCTION = """\
# Settings

Every setting is an environment variable, or a line in a file `.env` in the working directory; the
environment wins. An empty value counts as not set. `tom config check` shows what is in force, where
it came from, and what is wrong with it. `.env.example` lists them all, ready to be copied.

This page is written by `tom config doc > docs/settings.md`.
"""

_EXAMPLE_INTRODUCTION = """\
# Copy to .env and change what you need; every value below is the default.
# Written by: tom config doc --env > .env.example
"""


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [_INTRODUCTION]
    for info in describe():
        if info.field in SECTIONS:
            lines += [
                *([""] if len(lines) > 1 else []),
                f"## {SECTIONS[info.field]}",
                "",
                "| variable | what it does | takes | default |",
                "|---|---|---|---|",
            ]
        default = "generated" if _is_generated(info) else f"`{_default(info)}`"
        cells = (f"`{info.env}`", info.description, info.accepts, default.replace("``", ""))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return .env.example."""
    lines = [_EXAMPLE_INTRODUCTION]
    for info in describe():
        if info.field in SECTIONS:
            lines += [f"# --- {SECTIONS[info.field]}", ""]
        lines += [f"# {info.description} ({info.accepts})", f"# {info.env}={_default(info)}", ""]
    return "\n".join(lines)


def _default(info: SettingInfo) -> str:
    if info.secret or info.default in (None, ""):
        return "{}" if info.default == {} else ""
    return shown(info, info.default)


def _is_generated(info: SettingInfo) -> bool:
    return info.secret and "generated" in info.description
