"""What starts vLLM in production: it reads what is documented, and stays private."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "vllm"
READ = re.compile(r"\$\{?(SERVE_[A-Z_]+)")


def flags(**environment: str) -> list[str]:
    """The words that start.sh would start Python with."""
    started = subprocess.run(
        ["sh", str(FOLDER / "start.sh")],
        env={"PATH": "/usr/bin:/bin", "SERVE_PYTHON": "echo", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return started.stdout.split()


def test_start_reads_exactly_what_the_example_explains() -> None:
    scripts = (FOLDER / "start.sh").read_text() + (FOLDER / "healthy.sh").read_text()
    explained = re.findall(r"^(SERVE_[A-Z_]+)=", (FOLDER / "vllm.env.example").read_text(), re.M)
    assert set(READ.findall(scripts)) == set(explained)


def test_without_more_ado_it_listens_on_this_machine_alone() -> None:
    words = flags(SERVE_MODEL="/srv/models/base")
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--model") + 1] == "/srv/models/base"
    assert {"--enable-lora", "--enable-prefix-caching", "--no-enable-log-requests"} <= set(words)


def test_further_flags_come_last_and_apart() -> None:
    extra = "--dtype float32 --enforce-eager"
    assert flags(SERVE_MODEL="m", SERVE_EXTRA=extra)[-3:] == extra.split()


def test_without_a_model_it_says_what_is_missing() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        flags()
    assert "SERVE_MODEL" in caught.value.stderr


def test_the_container_runs_the_same_start_and_is_published_on_this_machine_alone() -> None:
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["vllm"]
    assert service["entrypoint"] == ["/tom/start.sh"]
    assert "./start.sh:/tom/start.sh:ro" in service["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_health_check_tells_a_server_that_answers_from_none(port: int) -> None:
    def check(at: int) -> int:
        environment = {"PATH": "/usr/bin:/bin", "SERVE_PYTHON": sys.executable}
        command = ["sh", str(FOLDER / "healthy.sh")]
        environment["SERVE_PORT"] = str(at)
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert check(port) == 0
    assert check(1) == 1
