"""Operators propose answers to objections, and approve them."""

import json

from typer.testing import CliRunner

from apps.cli.kb import kb_app
from apps.settings import load_settings


def graph(*arguments):
    return CliRunner().invoke(kb_app, ["graph", *arguments])


def test_an_insight_is_proposed_approved_and_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(tmp_path / "tom.db"))
    load_settings.cache_clear()
    try:
        assert graph("add", "Too expensive", "You can pay in instalments.").exit_code == 0
        proposed = json.loads(graph("list", "--json").output)
        assert proposed["state"] == "proposed"
        assert graph("approve", proposed["id"][:6]).exit_code == 0
        approved = json.loads(graph("list", "--json", "--state", "approved").output)
        assert approved["strategy"] == "You can pay in instalments."
        unknown = graph("approve", "nothing")
        assert unknown.exit_code == 1
        assert "No insight begins" in unknown.output
    finally:
        load_settings.cache_clear()


def test_an_insight_without_an_answer_is_refused_with_a_hint(tmp_path, monkeypatch):
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(kb_app, ["graph", "add", "Too expensive", " "])
    assert result.exit_code == 1
    assert "needs an objection and a strategy" in result.output
