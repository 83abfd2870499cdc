"""Log lines: where they go, how they look, and what they never say."""

import asyncio
import io
import json
import logging
import socket
import warnings

import httpx
import pytest
import structlog
import uvicorn
import websockets
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from apps.monitor.logs import HIDDEN, PERSONAL_KEYS, configure_logging


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Undo what configure_logging does to the process."""
    root = logging.getLogger()
    handlers, level, apps_level = root.handlers, root.level, logging.getLogger("apps").level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("apps").setLevel(apps_level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_log(level="info") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, "json", stream)
    return stream


def test_a_line_is_one_json_object_with_its_level_logger_and_time():
    stream = json_log()
    structlog.get_logger("apps.voice").info("engine_started", engine="espeak", took_ms=12)
    (line,) = lines(stream)
    assert line["event"] == "engine_started"
    assert line["engine"] == "espeak"
    assert line["took_ms"] == 12
    assert line["level"] == "info"
    assert line["logger"] == "apps.voice"
    assert str(line["timestamp"]).endswith("Z")


def test_text_lines_name_the_event_and_its_fields():
    stream = io.StringIO()
    configure_logging("info", "text", stream)
    structlog.get_logger("apps.voice").warning("engine_restarted", engine="espeak")
    assert "engine_restarted" in stream.getvalue()
    assert "engine=espeak" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize("level", ["info", "warning", "error", "exception"])
@pytest.mark.parametrize("key", sorted(PERSONAL_KEYS))
def test_a_personal_field_is_hidden_above_debug(key, level):
    stream = json_log("debug")
    getattr(structlog.get_logger("apps.x"), level)("something", **{key: "0151 2345678"})
    (line,) = lines(stream)
    assert line[key] == HIDDEN
    assert "2345678" not in stream.getvalue()


def test_debug_lines_show_it_to_those_who_asked_for_debug():
    stream = json_log("debug")
    structlog.get_logger("apps.x").debug("heard", transcript="my plate is gone")
    assert lines(stream)[0]["transcript"] == "my plate is gone"


def test_debug_lines_are_not_written_at_the_default_level():
    stream = json_log()
    structlog.get_logger("apps.x").debug("heard", transcript="my plate is gone")
    logging.getLogger("apps.x").debug("heard my plate is gone")
    assert stream.getvalue() == ""


@given(
    st.recursive(
        st.just("secret words"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Transcript", "CALL_ID", "text", "caller"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_nesting_does_not_uncover_a_personal_field(value):
    stream = json_log()
    structlog.get_logger("apps.x").info("something", data={"turns": [{"text": value}]})
    assert "secret words" not in stream.getvalue()


def test_fields_bound_for_a_whole_call_are_hidden_too():
    stream = json_log()
    structlog.contextvars.bind_contextvars(call_id="call_abc", door="websocket")
    structlog.get_logger("apps.x").info("turn_done")
    (line,) = lines(stream)
    assert line["call_id"] == HIDDEN
    assert line["door"] == "websocket"


def test_extra_fields_of_standard_logging_are_hidden_too():
    stream = json_log()
    logging.getLogger("apps.x").warning("slow %s", "turn", extra={"transcript": "my plate"})
    (line,) = lines(stream)
    assert line["event"] == "slow turn"
    assert line["transcript"] == HIDDEN


def test_libraries_speak_through_the_same_stream_and_only_from_warning_on():
    stream = json_log("debug")
    logging.getLogger("uvicorn.access").info('198.51.100.7 - "GET /calls/call_abc HTTP/1.1" 200')
    logging.getLogger("uvicorn.error").error("exception in application")
    assert [line["event"] for line in lines(stream)] == ["exception in application"]


async def test_a_web_server_under_it_names_no_caller_and_no_path():
    async def app(scope, receive, send):
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    stream = json_log("debug")
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server._serve([listener]))
        at = f"127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{at}/calls/call_abc")).status_code == 204
        async with websockets.connect(f"ws://{at}/calls/call_abc", proxy=None) as call:
            await call.wait_closed()
        server.should_exit = True
        await serving
    logging.getLogger("uvicorn.error").error("the same server, when it has trouble")
    assert [line["event"] for line in lines(stream)] == ["the same server, when it has trouble"]


def test_a_library_that_brought_a_handler_of_its_own_loses_it():
    bypass = io.StringIO()
    library = logging.getLogger("some_library")
    library.addHandler(logging.StreamHandler(bypass))
    library.propagate = False
    stream = json_log()
    library.warning("disk nearly full")
    assert bypass.getvalue() == ""
    assert lines(stream)[0]["event"] == "disk nearly full"


def test_python_warnings_are_log_lines():
    stream = json_log()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", UserWarning, stacklevel=1)
    assert "old thing" in str(lines(stream)[0]["event"])


def test_a_traceback_is_kept_but_not_the_input_that_a_validation_error_quotes():
    class Message(BaseModel):
        digits: int

    stream = json_log()
    number = "0151 " + str(1172839 * 2)
    try:
        Message.model_validate({"digits": number})
    except ValueError:
        structlog.get_logger("apps.x").exception("bad_message")
    (line,) = lines(stream)
    assert "ValidationError" in str(line["exception"])
    assert number not in stream.getvalue()


def test_at_level_error_nothing_less_is_written():
    stream = json_log("error")
    structlog.get_logger("apps.x").warning("careful")
    logging.getLogger("asyncio").warning("slow callback")
    structlog.get_logger("apps.x").error("broken")
    assert [line["event"] for line in lines(stream)] == ["broken"]
