"""`tom doctor`: what it looks at, what it finds, and that it changes nothing."""

import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from apps.cli import doctor_checks
from apps.cli.config_report import PREFIXES
from apps.cli.doctor import doctor
from apps.cli.doctor_checks import Found, examine_machine
from apps.core.secrets import FILE_NAME, load_or_create
from apps.monitor.endpoint import serve_metrics
from apps.monitor.metrics import Metrics
from apps.settings import Settings
from apps.store.database import Database
from apps.store.migrate import migrate
from apps.store.purpose import open_sandbox

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """Run in an empty folder with no variable of TOM set."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def look(topic: str, **given) -> list[Found]:
    given = {"http_port": 0, **given}
    found = doctor_checks.CHECKS[topic](Settings(_env_file=None, **given))
    return list(found)


def statuses(topic: str, **given) -> list[str]:
    return [found.status for found in look(topic, **given)]


def run_doctor():
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app)


def test_a_fresh_checkout_works_and_nothing_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("TOM_HTTP_PORT", "0")
    result = run_doctor()
    assert result.exit_code == 0, result.output
    assert "fail" not in result.output
    for topic in doctor_checks.CHECKS:
        if topic != "servers":
            assert f" {topic}: " in result.output
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_be_used_end_the_look_at_once(monkeypatch):
    monkeypatch.setenv("TOM_HTTP_PORT", "eighty")
    result = run_doctor()
    assert result.exit_code == 1
    assert "fail settings: TOM_HTTP_PORT cannot be eighty." in result.output
    assert "disk:" not in result.output


def test_an_unreadable_env_file_is_said(tmp_path):
    (tmp_path / ".env").write_bytes(b"TOM_X=\xff\xfe")
    result = run_doctor()
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_a_setting_worth_a_warning_does_not_fail(monkeypatch):
    monkeypatch.setenv("TOM_HTTP_PORT", "0")
    monkeypatch.setenv("TOM_STT_ENGINE", "fake")
    result = run_doctor()
    assert result.exit_code == 0
    assert "warn settings: TOM_STT_ENGINE=fake" in result.output


def test_one_thing_that_fails_does_not_hide_the_next(monkeypatch, tmp_path):
    def unreadable(_settings):
        raise PermissionError(13, "Permission denied", "some/file")
        yield

    monkeypatch.setitem(doctor_checks.CHECKS, "disk", unreadable)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE_NAME).write_text("{}")
    found = dict(examine_machine(Settings(_env_file=None, http_port=0)))
    assert found["disk"] == Found("fail", "some/file: Permission denied.")
    assert found["secrets"].status == "fail"
    assert found["secrets"].hint
    assert found["call page"].status == "ok"


@pytest.mark.parametrize(("free_mib", "status"), [(50, "fail"), (500, "warn"), (5000, "ok")])
def test_a_full_disk_is_seen_before_it_hurts(monkeypatch, free_mib, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, free_mib * 1024 * 1024))
    assert statuses("disk") == [status]


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(doctor_checks, "OLDEST_PYTHON", (99, 0))
    assert statuses("python") == ["fail"]


def test_secrets_are_looked_at_and_never_made(tmp_path):
    assert statuses("secrets", data_dir=tmp_path / "data") == ["ok"]
    assert not (tmp_path / "data").exists()
    given = {"hash_key": "k" * 16, "operator_token": "t" * 16}
    assert statuses("secrets", data_dir=tmp_path / "data", **given) == ["ok"]
    load_or_create(tmp_path / "data")
    (found,) = look("secrets", data_dir=tmp_path / "data")
    assert found.status == "ok"
    assert "-rw-------" in found.sentence


def test_a_database_of_another_version_is_worth_a_backup(tmp_path):
    where = {"rl_feedback_db_path": tmp_path / "feedback.db"}
    assert statuses("database", **where) == ["ok"]
    assert not (tmp_path / "feedback.db").exists()
    (tmp_path / "feedback.db").touch()
    (found,) = look("database", **where)
    assert found.status == "warn"
    assert "back it up" in found.hint
    database = Database(tmp_path / "feedback.db")
    migrate(database)
    database.close()
    assert statuses("database", **where) == ["ok"]


def test_a_sandbox_serves_nobody_and_fails(tmp_path):
    open_sandbox(tmp_path / "sandbox.db").close()
    settings = Settings(_env_file=None, http_port=0, rl_feedback_db_path=tmp_path / "sandbox.db")
    found = dict(examine_machine(settings))["database"]
    assert (found.status, "is a sandbox" in found.sentence) == ("fail", True)


def test_a_file_that_is_no_database_fails(tmp_path):
    (tmp_path / "feedback.db").write_text("This is no database, but long enough to look at." * 100)
    settings = Settings(_env_file=None, http_port=0, rl_feedback_db_path=tmp_path / "feedback.db")
    assert dict(examine_machine(settings))["database"].status == "fail"


def test_a_port_that_another_program_has_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (found,) = look("ports", http_port=port)
    assert found.status == "fail"
    assert str(port) in found.sentence
    assert "TOM_HTTP_PORT" in found.hint


def test_an_address_that_is_not_this_machines_fails():
    assert statuses("ports", http_host="192.0.2.1", http_port=8080) == ["fail"]


async def test_a_port_on_which_tom_answers_is_fine():
    async with serve_metrics(Metrics(), "127.0.0.1", 0, "t" * 32) as port:
        http, metrics = look("ports", prometheus_port=port)
    assert (http.status, metrics.status) == ("ok", "ok")
    assert metrics.sentence == f"TOM is running at 127.0.0.1:{port}."


def answering(monkeypatch, status: int | None) -> None:
    def get(url, **_options):
        if status is None:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(status, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)


@pytest.mark.parametrize(
    ("answer", "expected"), [(200, "ok"), (404, "ok"), (401, "fail"), (None, "fail")]
)
def test_a_server_is_asked_whether_it_serves(monkeypatch, answer, expected):
    answering(monkeypatch, answer)
    (found,) = look("servers", llm_url="http://127.0.0.1:1/v1", llm_api_key="secret-secret")
    assert found.status == expected
    assert "secret-secret" not in found.sentence
    assert statuses("servers") == []


def test_every_role_says_which_engine_serves_it_and_why(tmp_path):
    found = look("engines", models_dir=tmp_path)
    said = {line.sentence.partition(":")[0]: line for line in found}
    assert said["stt.en"].sentence.startswith("stt.en: pocketsphinx. ")
    assert said["tts.de"].sentence.startswith("tts.de: espeak. ")
    assert said["llm"].sentence.startswith("llm: embedded. ")


def test_missing_weights_matter_as_much_as_they_are_asked_for(tmp_path):
    def german(**given) -> Found:
        found = look("engines", models_dir=tmp_path, **given)
        return next(line for line in found if line.sentence.startswith("stt.de:"))

    assert german().status == "warn"
    assert "tom models pull" in german().hint
    assert german(stt_engine="faster-whisper").status == "fail"
    folder = tmp_path / "whisper" / "small"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json"):
        (folder / name).touch()
    assert german().status == "ok"
    assert str(folder) in german().sentence


def test_a_broken_installation_is_said(monkeypatch, tmp_path):
    assert statuses("embedded") == ["ok", "ok", "ok"]
    monkeypatch.setattr(doctor_checks, "find_spec", lambda _name: None)
    monkeypatch.setattr(doctor_checks, "PAGE", tmp_path / "none.html")
    assert statuses("embedded") == ["ok", "fail", "fail"]
    assert statuses("call page") == ["fail"]


def test_a_profile_that_is_not_there_fails_with_those_that_are():
    (found,) = look("profiles", profile="bank")
    assert found.status == "fail"
    assert "kfz" in found.hint


def test_the_page_needs_tls_to_be_of_use_from_elsewhere():
    assert statuses("call page", http_host="127.0.0.1") == ["ok"]
    (found,) = look("call page", http_host="0.0.0.0")
    assert found.status == "warn"
    assert "TLS" in found.hint


def test_the_policies_say_whether_anything_is_learned():
    assert "learning is on" in look("policies")[0].sentence
    assert "RL_ENABLED=false" in look("policies", rl_enabled=False)[0].sentence


def test_the_page_that_is_looked_for_is_in_the_package():
    assert Path(doctor_checks.PAGE).is_file()
