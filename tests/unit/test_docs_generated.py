"""The pages about the code's inside say what the code does."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from apps.core.events import CallEvent, LogRecord
from apps.dispatcher import fsm_diagram
from apps.dispatcher.call_fsm import TABLE
from apps.dispatcher.call_state import Act, Call, CallState
from apps.dispatcher.profile import CallingHours, HandoverTarget, OpeningHours, Profile
from tests.calls import CallerHungUp, ScriptedDoor, hold_call
from tests.virtual_time import run_virtual

ROOT = Path(__file__).parents[2]
QUESTION = "what documents do i need to register a used car"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(name: str) -> dict[str, str]:
    """Return a page's table rows that begin with code, by that code."""
    found = re.findall(r"^\| `([^`]+)` \|(.*)$", text(name), re.MULTILINE)
    return dict(found)


def generator():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- generated blocks


@pytest.mark.parametrize("page", ["call-fsm.md", "architecture.md"])
def test_a_generated_page_is_what_the_code_says(page):
    written = generator()
    blocks = written.pages()[page]
    assert text(f"docs/{page}") == written.renewed(text(f"docs/{page}"), blocks), "make docs"


def test_a_page_that_lost_its_markers_is_not_silently_left_as_it_is():
    with pytest.raises(ValueError, match="rooms"):
        generator().renewed("# A page\n", {"rooms": "new"})


def test_the_state_diagram_shows_every_state_and_every_way_that_it_does_not_leave_out():
    diagram = fsm_diagram.mermaid()
    for state in CallState:
        assert re.search(rf"\b{state}\b", diagram)
    for (state, kind), transitions in TABLE.items():
        for row in transitions:
            if kind not in fsm_diagram.NOT_DRAWN and row.to is not state:
                assert re.search(rf"^    {state} --> {row.to} : .*\b{kind}\b", diagram, re.M)


def test_the_tables_have_a_row_for_every_transition():
    tables = fsm_diagram.table_markdown()
    assert tables.count("\n| `") == sum(map(len, TABLE.values()))


def test_the_tables_say_what_a_transition_does():
    tables = dict(re.findall(r"### `(\w+)`\n(.*?)(?=\n###|\Z)", fsm_diagram.table_markdown(), re.S))
    assert "accept the call; new turn: say `greeting`" in tables["ringing"]
    assert "| `barge_in` | | `hearing` | silence the turn | |" in tables["speaking"]
    assert "answered + 1" in tables["thinking"]
    assert "| `no_input` | patient | `speaking` |" in tables["listening"]
    assert "closing: `no_input`" in tables["listening"]
    assert "| `speech_finished` | | stays | transfer to a person | |" in tables["handing_over"]
    assert "| `time_limit` | | stays | | |" in tables["thanking"]
    assert all(f"say `{act}`" in fsm_diagram.table_markdown() for act in Act)


def test_every_guard_says_what_it_asks():
    guards = {row.when for transitions in TABLE.values() for row in transitions if row.when}
    assert fsm_diagram.guards_markdown().count("\n- ") + 1 == len(guards)
    assert all(guard.__doc__ for guard in guards)


def test_the_rooms_are_read_off_the_imports(tmp_path):
    for path, source in {
        "core/ids.py": "import os",
        "store/rows.py": "from apps.core import ids\nimport apps.core.ids",
        "main.py": "from apps import store\nfrom apps.core.ids import new",
        "__init__.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(source)
    written = generator()
    imports = written.room_imports(tmp_path)
    assert imports == {"core": set(), "store": {"core"}, "main": {"store", "core"}}
    assert written.rooms_diagram(imports).splitlines() == [
        "flowchart TD",
        "    main --> store",
        "    store --> core",
    ]


# --- the state machine's page


def test_every_event_of_the_machine_is_described():
    described = rows("docs/call-fsm.md")
    assert all(kind.value in described for kind in CallEvent)


# --- the event log


def noted() -> Iterator[tuple[str, set[str]]]:
    """Yield the kind and the named fields of every record that the code notes."""
    rooms = ("apps/dispatcher", "apps/voice")
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("note", "_note"):
                kind = node.args[0]
                if isinstance(kind, ast.Constant):  # else it is passed on, and a literal elsewhere
                    yield kind.value, {word.arg for word in node.keywords if word.arg}


def test_every_kind_of_record_is_documented_with_its_fields():
    documented = rows("docs/events.md")
    found = dict(noted())
    assert len(found) >= 8
    for kind, fields in found.items():
        assert kind in documented, f"{kind} is not in docs/events.md"
        assert fields <= set(re.findall(r"`(\w+)`", documented[kind])), kind
    assert all(f"fsm.{kind}" in documented for kind in CallEvent)


def test_no_kind_is_documented_that_is_never_noted():
    every_record = {"seq", "at_ms", "kind", "turn_id"}
    known = {kind for kind, _ in noted()} | {f"fsm.{kind}" for kind in CallEvent}
    assert set(rows("docs/events.md")) - every_record == known


@pytest.fixture(scope="module")
def records() -> list[LogRecord]:
    """The log of a call with an answer, a barge-in and a rating."""

    def into_the_answer(door: ScriptedDoor) -> bool:
        return door.state == "speaking" and len(door.frames) > 150

    script = (("listening", 1500), (into_the_answer, 1500), ("listening", 800))
    door = ScriptedDoor(*script, ("awaiting_rating", 600), ("thanking", CallerHungUp()))
    said = (QUESTION, "how much does that cost", "thank you goodbye", "four")
    return run_virtual(hold_call(door, *said)).sink.records


def test_a_real_call_logs_no_field_that_is_not_documented(records):
    documented = rows("docs/events.md")
    for record in records:
        fields = set(re.findall(r"`(\w+)`", documented[record.kind]))
        assert set(record.data) <= fields, f"{record.kind}: {set(record.data) - fields}"


def test_a_log_holds_no_call_id(records):
    assert not any("call_1" in str(record.data) for record in records)


def test_the_documented_replay_decides_as_the_call_did(records, capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", text("docs/events.md"), re.DOTALL)
    names = {"records": records}
    exec(compile(snippet, "docs/events.md", "exec"), names)
    call = names["call"]
    assert isinstance(call, Call)
    assert call.state is CallState.ENDED
    assert call.rating_asked
    assert call.turn_id == max(r.turn_id for r in records if r.turn_id is not None)
    assert "Silence" in capsys.readouterr().out


# --- profiles


def test_every_field_of_a_profile_is_documented():
    nested = {
        "handover": HandoverTarget,
        "opening_hours": OpeningHours,
        "calling_hours": CallingHours,
    }
    fields = set(Profile.model_fields) | {
        f"{name}.{field}" for name, model in nested.items() for field in model.model_fields
    }
    assert set(rows("docs/profiles.md")) == fields


def test_the_profile_page_says_what_is_needed():
    for name, field in Profile.model_fields.items():
        needed = rows("docs/profiles.md")[name].split("|")[0].strip()
        assert (needed == "yes") == field.is_required(), name


def test_the_example_profile_is_one():
    (example,) = re.findall(r"```yaml\n(.*?)```", text("docs/profiles.md"), re.DOTALL)
    assert Profile.model_validate(yaml.safe_load(example)).id == "dentist"
