"""What can be set, watched or fail is documented, and the documents say what is so."""

import re
from pathlib import Path

import pytest

from apps.cli.config_doc import env_example, settings_page
from apps.cli.setting_info import describe
from apps.core import errors
from apps.core.errors import TomError
from apps.monitor.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs/adr").glob("*.md"),
    *(ROOT / "docs/doors").glob("*.md"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table_rows(name: str) -> dict[str, list[str]]:
    """Return a page's table rows that begin with code, by that code."""
    rows = {}
    for line in text(name).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and re.fullmatch(r"`[^`]+`", cells[0]):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_the_settings_page_is_what_the_settings_say():
    assert text("docs/settings.md") == settings_page(), "tom config doc > docs/settings.md"


def test_the_example_environment_lists_every_setting():
    assert text(".env.example") == env_example(), "tom config doc --env > .env.example"


@pytest.mark.parametrize("info", describe(), ids=lambda info: info.env)
def test_a_setting_says_what_it_does(info):
    assert info.description.endswith(".")
    assert f"| `{info.env}` |" in text("docs/settings.md")


def test_every_metric_is_documented_with_its_kind_and_labels():
    rows = table_rows("docs/metrics.md")
    for info in Metrics().declared:
        assert info.name in rows, f"{info.name} is not in docs/metrics.md"
        kind, labels = rows[info.name][:2]
        assert kind == info.kind
        assert re.findall(r"`(\w+)`", labels) == list(info.labels)


def test_no_metric_is_documented_that_does_not_exist():
    assert set(table_rows("docs/metrics.md")) == {info.name for info in Metrics().declared}


def test_every_error_has_a_code_of_its_own_and_says_when_it_happens():
    tree = [TomError, *(found for found in _below(TomError) if found.__module__ == errors.__name__)]
    codes = [error.code for error in tree]
    assert len(set(codes)) == len(codes)
    for error in tree:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
        assert error.__doc__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_a_page_names_exist(page):
    known = {info.env for info in describe()}
    named = set(re.findall(r"\b(?:TOM|RL|PROMETHEUS)_[A-Z][A-Z_]*\b", page.read_text("utf-8")))
    assert named <= known, f"{page.name} names what is no setting"


def endpoints() -> set[str]:
    """Return the addresses that the server's sources name, without what is filled in."""
    sources = [*(ROOT / "apps/dispatcher/routes").glob("*.py"), ROOT / "apps/dispatcher/server.py"]
    verbs = "get|post|patch|delete|websocket|api_route|add_route"
    named = re.compile(rf'\.(?:{verbs})\(\s*"(/[^"{{]*)')
    return {
        path.rstrip("/") for source in sources for path in named.findall(source.read_text("utf-8"))
    } - {""}


def test_every_endpoint_is_documented():
    found = endpoints()
    assert {"/v1/call", "/v1/token", "/metrics", "/twilio/voice"} <= found
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not {path for path in found if path not in pages}


def _below(error: type[TomError]) -> list[type[TomError]]:
    return [found for child in error.__subclasses__() for found in (child, *_below(child))]
