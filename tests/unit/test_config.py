"""`tom config check`: what it shows, what it hides, and what it finds."""

import os
from pathlib import Path

import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner

from apps.cli import config_checks
from apps.cli.config import config_app
from apps.cli.config_checks import check_settings, nearest_existing
from apps.cli.config_report import PREFIXES, examine
from apps.cli.setting_info import describe
from apps.core.errors import ConfigError
from apps.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """Run where no variable of TOM is set and no .env lies."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def row(report, env):
    return next(row for row in report.rows if row.env == env)


def sentences(report) -> str:
    return "\n".join(f"{f.severity}: {f.sentence} {f.hint}" for f in report.findings)


def settings(**given) -> Settings:
    return Settings(_env_file=None, **given)


def severities(**given) -> dict[str, str]:
    return {finding.setting: finding.severity for finding in check_settings(settings(**given))}


def test_nothing_set_is_all_defaults_and_nothing_wrong():
    report = examine()
    assert {row.source for row in report.rows} == {"default"}
    assert [row.env for row in report.rows] == [info.env for info in describe()]
    assert report.findings == []


def test_the_environment_wins_over_the_file_and_both_over_the_default(monkeypatch):
    Path(".env").write_text("TOM_HTTP_PORT=9001\nTOM_MAX_CALLS=3\n")
    monkeypatch.setenv("TOM_HTTP_PORT", "9002")
    report = examine()
    assert (row(report, "TOM_HTTP_PORT").value, row(report, "TOM_HTTP_PORT").source) == (
        "9002",
        "environment",
    )
    assert (row(report, "TOM_MAX_CALLS").value, row(report, "TOM_MAX_CALLS").source) == (
        "3",
        ".env",
    )
    assert row(report, "TOM_LOG_LEVEL").source == "default"


def test_a_variable_in_small_letters_counts_as_it_does_for_the_server(monkeypatch):
    monkeypatch.setenv("tom_http_port", "9003")
    assert row(examine(), "TOM_HTTP_PORT").value == "9003"
    assert Settings().http_port == 9003


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("PROMETHEUS_PORT", "")
    report = examine()
    assert row(report, "PROMETHEUS_PORT").source == "default"
    assert report.findings == []


def test_no_secret_is_ever_shown(monkeypatch):
    secret = "correct-horse-battery"
    for info in describe():
        if info.secret:
            monkeypatch.setenv(info.env, secret)
    monkeypatch.setenv("TOM_LLM_URL", f"http://user:{secret}@localhost:8000/v1")
    result = CliRunner().invoke(config_app, ["check"])
    assert secret not in result.output
    assert "(given, not shown)" in result.output
    assert "//***@localhost:8000/v1" in result.output


def test_a_value_that_cannot_be_is_named_with_what_it_takes(monkeypatch):
    monkeypatch.setenv("TOM_HTTP_PORT", "eighty")
    monkeypatch.setenv("TOM_STT_ENGINE", "sphinx")
    monkeypatch.setenv("RL_TRAFFIC_SPLIT_NEW", "10")
    report = examine()
    assert report.has_errors
    said = sentences(report)
    assert "TOM_HTTP_PORT cannot be eighty. It takes: whole number from 0 to 65535." in said
    assert "TOM_STT_ENGINE cannot be sphinx. It takes: one of auto, pocketsphinx" in said
    assert "RL_TRAFFIC_SPLIT_NEW cannot be 10. It takes: number from 0.0 to 1.0." in said
    assert row(report, "TOM_HTTP_PORT").value == "eighty"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TOM_HTP_PORT", "TOM_HTTP_PORT"),
        ("RL_ENABLE", "RL_ENABLED"),
        ("TOM_RL_ENABLED", "RL_ENABLED"),
        ("PROMETHEUS_PROT", "PROMETHEUS_PORT"),
    ],
)
def test_a_misspelt_variable_is_an_error_with_the_likely_meaning(monkeypatch, name, meant):
    monkeypatch.setenv(name, "1")
    report = examine()
    assert report.has_errors
    assert f"Did you mean {meant}?" in sentences(report)


def test_a_misspelt_line_in_the_file_is_found_too():
    Path(".env").write_text("TOM_LOG_LEVLE=debug\nSOMEBODY_ELSES=1\n")
    said = sentences(examine())
    assert "TOM_LOG_LEVLE (.env)" in said
    assert "SOMEBODY_ELSES" not in said


def test_what_may_belong_to_another_program_is_only_a_warning(monkeypatch):
    monkeypatch.setenv("RL_GYM_RENDER", "1")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "somewhere")
    report = examine()
    assert not report.has_errors
    assert [finding.setting for finding in report.findings] == ["RL_GYM_RENDER"]


def test_an_unknown_tom_variable_is_always_an_error(monkeypatch):
    monkeypatch.setenv("TOM_XYZZY", "1")
    assert examine().has_errors


def test_a_file_that_is_no_text_is_a_clear_error():
    Path(".env").write_bytes(b"TOM_HTTP_PORT=\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"\.env"):
        examine()
    assert CliRunner().invoke(config_app, ["check"]).exit_code == 1


@pytest.mark.parametrize("role", ["stt", "tts", "llm"])
def test_a_server_engine_without_a_server_is_an_error(role):
    assert severities(**{f"{role}_engine": "openai"}) == {f"TOM_{role.upper()}_ENGINE": "error"}
    given = {f"{role}_engine": "openai", f"{role}_url": "https://speech.example/v1"}
    assert severities(**given, llm_model="small") == {}


def test_a_language_server_wants_to_know_the_model():
    server = {"llm_url": "http://127.0.0.1:8000/v1"}
    assert severities(**server) == {"TOM_LLM_MODEL": "error"}
    assert severities(**server, llm_model="small") == {}


def test_a_server_that_no_engine_uses_is_a_warning():
    given = {"stt_engine": "pocketsphinx", "stt_url": "http://127.0.0.1:8000/v1"}
    assert severities(**given) == {"TOM_STT_URL": "warning"}


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://localhost", "http://", "http://[::1", "http://host:99999"]
)
def test_what_is_no_url_of_a_server_is_an_error(url):
    assert severities(llm_url=url, llm_model="small") == {"TOM_LLM_URL": "error"}


def test_two_servers_cannot_have_one_port():
    assert severities(http_port=8080, prometheus_port=8080) == {"PROMETHEUS_PORT": "error"}
    assert severities(http_port=0, prometheus_port=0) == {}
    assert severities(http_port=8080, prometheus_port=9090) == {}


def test_a_port_for_metrics_that_are_switched_off_is_a_warning():
    given = {"prometheus_port": 9090, "prometheus_enabled": False}
    assert severities(**given) == {"PROMETHEUS_PORT": "warning"}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"tls_cert": Path("/nowhere/chain.pem")}, "TOM_TLS_CERT"),
        ({"trusted_proxies": "proxy.example"}, "TOM_TRUSTED_PROXIES"),
        ({"allowed_origins": "https://ours.example/page"}, "TOM_ALLOWED_ORIGINS"),
        ({"door_max_calls": {"window": 3}}, "TOM_DOOR_MAX_CALLS"),
        ({"door_max_calls": {"websocket": -1}}, "TOM_DOOR_MAX_CALLS"),
        ({"recording_key": "short"}, "TOM_RECORDING_KEY"),
    ],
)
def test_what_the_doors_cannot_use_is_an_error(given, wrong):
    assert severities(**given) == {wrong: "error"}


def test_what_the_doors_can_use_is_none():
    given = {
        "trusted_proxies": "127.0.0.1, 10.0.0.0/8",
        "allowed_origins": "https://ours.example, http://localhost:3000",
        "door_max_calls": {"websocket": 0, "twilio": 20},
    }
    assert severities(**given) == {}


def test_serving_others_in_the_clear_is_a_warning():
    assert severities(http_host="10.0.0.1") == {"TOM_HTTP_HOST": "warning"}
    assert severities(http_host="10.0.0.1", trusted_proxies="10.0.0.2") == {}
    assert severities(http_host="localhost") == {}


def test_engines_for_tests_are_a_warning():
    given = {"stt_engine": "fake", "tts_engine": "fake"}
    assert severities(**given) == {"TOM_STT_ENGINE": "warning", "TOM_TTS_ENGINE": "warning"}


def test_a_seed_is_a_warning():
    assert severities(rl_seed=7) == {"RL_SEED": "warning"}


def test_short_secrets_are_errors():
    given = {"hash_key": "short", "operator_token": "short"}
    assert severities(**given) == {"TOM_HASH_KEY": "error", "TOM_OPERATOR_TOKEN": "error"}


def test_files_that_are_not_there_are_errors(tmp_path):
    given = {"profile_dir": tmp_path / "none", "rl_policies_path": tmp_path}
    assert severities(**given) == {"TOM_PROFILE_DIR": "error", "RL_POLICIES_PATH": "error"}
    (tmp_path / "variants.yaml").touch()
    assert severities(profile_dir=tmp_path, rl_policies_path=tmp_path / "variants.yaml") == {}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "taken").touch()
    given = {
        "data_dir": tmp_path / "taken",
        "rl_feedback_db_path": tmp_path / "taken/rl/feedback.db",
        "rl_bandit_state_path": tmp_path / "free/state.json",
        "rl_candidates_path": tmp_path / "free/candidates",
    }
    assert severities(**given) == {"TOM_DATA_DIR": "error", "RL_FEEDBACK_DB_PATH": "error"}


def test_a_folder_without_the_right_to_write_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    found = check_settings(settings(data_dir=tmp_path / "data"))
    assert [f.setting for f in found if f.severity == "error"] == ["TOM_DATA_DIR"]


def test_a_store_that_cannot_be_used_is_an_error_and_its_password_is_not_repeated(monkeypatch):
    (found,) = check_settings(settings(store_url="mysql://tom:geheim@db/tom"))
    assert (found.severity, found.setting) == ("error", "TOM_STORE_URL")
    assert "geheim" not in found.sentence + found.hint
    monkeypatch.setattr(config_checks, "find_spec", lambda name: None)
    (found,) = check_settings(settings(store_url="postgres://tom:geheim@db/tom"))
    assert "tom-voice[postgres]" in found.hint
    assert "geheim" not in found.sentence + found.hint


def test_what_is_learned_lies_below_the_data_folder(tmp_path):
    moved = settings(data_dir=tmp_path / "all")
    assert moved.store == tmp_path / "all/rl/feedback.db"
    assert moved.bandit_state_file == tmp_path / "all/rl/bandit_state.json"
    assert moved.candidates_folder == tmp_path / "all/rl/candidates"
    assert severities(data_dir=tmp_path / "all") == {}
    assert settings().store == Path("data/rl/feedback.db")


def test_a_path_that_is_set_wins_over_the_data_folder(tmp_path):
    given = settings(data_dir=tmp_path, rl_feedback_db_path=Path("own.db"))
    assert given.store == Path("own.db")
    given = settings(data_dir=tmp_path, rl_candidates_path=Path("own"))
    assert given.candidates_folder == Path("own")


def test_a_database_that_was_left_behind_is_told_of_and_not_begun_anew(tmp_path):
    old, new = Path("data/rl/feedback.db"), tmp_path / "all/rl/feedback.db"
    old.parent.mkdir(parents=True)
    old.touch()
    moved = settings(data_dir=tmp_path / "all")
    with pytest.raises(ConfigError, match=r"no .*feedback\.db") as told:
        _ = moved.store
    assert told.value.code == "left_behind"
    assert f"to {old} to keep using it, or to {new} to begin anew" in told.value.hint
    assert severities(data_dir=tmp_path / "all") == {"RL_FEEDBACK_DB_PATH": "error"}
    assert settings(data_dir=tmp_path / "all", rl_feedback_db_path=old).store == old
    assert settings(data_dir=tmp_path / "all", store_url="postgresql://db/tom").store
    new.parent.mkdir(parents=True)
    new.touch()
    assert moved.store == new


def test_candidates_that_were_left_behind_are_told_of(tmp_path):
    Path("data/rl/candidates").mkdir(parents=True)
    assert severities(data_dir=tmp_path / "all") == {}
    Path("data/rl/candidates/2026.yaml").touch()
    assert severities(data_dir=tmp_path / "all") == {"RL_CANDIDATES_PATH": "error"}
    assert severities(data_dir=Path("data")) == {}


def test_what_may_not_be_read_is_not_taken_for_left_behind(tmp_path, monkeypatch):
    Path("data/rl/candidates").mkdir(parents=True)
    Path("data/rl/feedback.db").touch()
    read = Path.stat

    def refuse(path: Path, **given: bool) -> os.stat_result:
        if path.parts[0] == "data":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, **given)

    monkeypatch.setattr(Path, "stat", refuse)
    moved = settings(data_dir=tmp_path / "all")
    assert moved.store == tmp_path / "all/rl/feedback.db"
    assert moved.candidates_folder == tmp_path / "all/rl/candidates"


def test_the_nearest_existing_place_of_a_path_is_found(tmp_path):
    assert nearest_existing(tmp_path / "a/b/c") == tmp_path
    assert nearest_existing(tmp_path) == tmp_path


def test_the_command_exits_with_one_on_errors_alone(monkeypatch):
    run = CliRunner().invoke
    good = run(config_app, ["check"])
    assert good.exit_code == 0
    assert "Nothing is wrong." in good.output
    monkeypatch.setenv("TOM_STT_ENGINE", "fake")
    assert run(config_app, ["check"]).exit_code == 0
    monkeypatch.setenv("TOM_STT_ENGINE", "openai")
    bad = run(config_app, ["check"])
    assert bad.exit_code == 1
    assert "error: TOM_STT_ENGINE=openai needs a server" in bad.output


def test_a_command_that_needs_the_settings_says_which_cannot_be_used(monkeypatch):
    monkeypatch.setenv("TOM_HTTP_PORT", "eighty")
    monkeypatch.setenv("TOM_HASH_KEY", "correct-horse-battery")
    with pytest.raises(ConfigError, match="cannot be used: TOM_HTTP_PORT") as error:
        read_settings()
    assert "tom config check" in error.value.hint
    assert read_settings(http_port=8081).http_port == 8081


def test_the_example_file_gives_what_is_the_default_anyway(tmp_path):
    example = CliRunner().invoke(config_app, ["doc", "--env"]).output
    filled = "\n".join(line.removeprefix("# ") for line in example.splitlines() if "=" in line)
    (tmp_path / "filled.env").write_text(filled)
    assert set(dotenv_values(tmp_path / "filled.env")) >= {info.env for info in describe()}
    assert Settings(_env_file=tmp_path / "filled.env") == settings()
