"""The dialplan in deploy/asterisk: it hangs together, and asks TOM for what TOM answers."""

import configparser
import re
from pathlib import Path

import pytest

from apps.dispatcher.routes import asterisk
from apps.dispatcher.routes.reception import Reception
from apps.voice.doors.asterisk.control import FORMATS
from apps.voice.doors.asterisk.desk import Desk

FOLDER = Path(__file__).parents[2] / "deploy/asterisk"
UUID_VARIABLE = "${TOM_CALL}"


def dialplan():
    """The dialplan as context -> (extension patterns, its lines, its labels)."""
    contexts, name = {}, ""
    for raw in (FOLDER / "extensions.conf").read_text().splitlines():
        line = raw.partition(";")[0].strip()
        if line.startswith("["):
            name = line.strip("[]")
            contexts[name] = ([], [], set())
        elif line and name != "globals":
            patterns, lines, labels = contexts[name]
            if match := re.match(r"exten => ([^,]+),1,(.*)", line):
                patterns.append(match[1])
                lines.append(match[2])
            else:
                match = re.fullmatch(r"same => n(?:\((\w+)\))?,(.*)", line)
                assert match, line
                labels |= {match[1]} if match[1] else set()
                lines.append(match[2])
    return contexts


def calls_of(application, lines):
    return [m for line in lines for m in re.findall(rf"\b{application}\(([^)]*)\)", line)]


@pytest.mark.parametrize("context", [c for c in dialplan() if c != "globals"])
def test_every_jump_leads_somewhere(context):
    contexts = dialplan()
    patterns, lines, labels = contexts[context]
    assert patterns
    for target in re.findall(r"\?(\w+)\)", "\n".join(lines)):
        assert target in labels, f"{context} jumps to {target}"
    for where in calls_of("GoSub", lines) + calls_of("Goto", lines):
        assert where.split(",")[0] in contexts
    for line in lines:
        assert line.count("(") == line.count(")"), line
        assert line.count("{") == line.count("}"), line
        assert line.count("[") == line.count("]"), line


@pytest.mark.parametrize("context", ["tom-announce", "tom-handover"])
def test_a_subroutine_returns_whichever_way_it_goes(context):
    _, lines, _ = dialplan()[context]
    assert lines[-1] == "Return()"


def test_the_dialplan_asks_for_paths_that_tom_answers():
    text = (FOLDER / "extensions.conf").read_text()
    routes = asterisk.router(Reception(None, "token"), Desk())  # type: ignore[arg-type]
    answered = {route.path.replace("{call}", UUID_VARIABLE) for route in routes.routes}
    announces, asks = (
        f"/asterisk/calls/{UUID_VARIABLE}",
        f"/asterisk/calls/{UUID_VARIABLE}/handover",
    )
    assert {announces, asks} <= answered
    assert "${CURL(${TOM_URL}" + announces + ",${TOM_ABOUT})}" in text
    assert "${CURL(${TOM_URL}" + asks + ")}" in text
    for field in re.findall(r"(\w+)=\$\{URIENCODE", text):
        assert field in ("profile", "language", "caller")
    assert f"v(call={UUID_VARIABLE})" in text
    (codec,) = re.findall(r"WebSocket/tom/c\((\w+)\)", text)
    assert codec in FORMATS


@pytest.mark.parametrize(
    ("context", "door"), [("tom-websocket", "asterisk"), ("tom-audiosocket", "audiosocket")]
)
def test_room_is_asked_for_at_the_door_that_the_call_will_use(context, door):
    _, lines, _ = dialplan()[context]
    (announced,) = [line for line in lines if line.startswith("GoSub(tom-announce")]
    assert announced == f"GoSub(tom-announce,s,1({door}))"


def test_what_dials_goes_on_when_tom_hangs_up():
    _, lines, _ = dialplan()["tom-websocket"]
    (dial,) = [line for line in lines if line.startswith("Dial(")]
    assert dial.endswith(",30,g)"), "without g the caller would be hung up, too"


def test_asterisk_connects_to_tom_s_path_with_its_subprotocol():
    config = configparser.ConfigParser(inline_comment_prefixes=(";",))
    config.read(FOLDER / "websocket_client.conf")
    client = config["tom"]
    assert client["uri"].endswith("/asterisk")
    assert client["protocols"] == asterisk.SUBPROTOCOL
    assert client["connection_type"] == "per_call_config"
