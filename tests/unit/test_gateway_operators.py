"""The operators' side of the language servers: the API, /readyz, `tom llm`, and whole calls."""

import asyncio
import json
import threading
from contextlib import contextmanager

import httpx
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.dispatcher.providers import ProviderDesk
from apps.dispatcher.routes import providers as provider_routes
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.server import EngineStatus, create_app
from apps.engines import make_generator
from apps.language_servers import GatewayMetrics, make_gateway
from apps.llm.gateway.gateway import Gateway
from apps.monitor.metrics import Metrics
from apps.settings import load_settings, read_settings
from apps.store.calls import CallRow, open_call
from apps.store.database import open_database
from apps.store.llm_choice import load_choice
from apps.store.llm_usage import UsageRow, append_usage
from tests.language_server import Server, a_prompt, says, serving, status

TOKEN = "operator-token-of-the-test"
KEY = "s3cret-key"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def listed(*urls):
    return json.dumps(
        [
            {"name": name, "kind": "vllm", "url": url, "model": "base", "price_completion": 2.0}
            for name, url in zip(("gpu", "cloud"), urls, strict=False)
        ]
    )


NOWHERE = listed("http://127.0.0.1:9", "http://127.0.0.1:10")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own, with a list of two servers that are not there."""
    settings = {
        "TOM_DATA_DIR": str(tmp_path),
        "RL_FEEDBACK_DB_PATH": str(tmp_path / "feedback.db"),
        "TOM_LLM_PROVIDERS": NOWHERE,
        "TOM_HTTP_PORT": "9",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


@pytest.fixture
def db(home):
    database = open_database(home / "feedback.db")
    yield database
    database.close()


def tom(*words):
    return CliRunner().invoke(app, ["llm", *words])


class Board:
    ready, draining, live_calls, max_calls, calls_by_door = True, False, 0, 1, {}


def web(desk):
    reception = Reception(Board(), TOKEN)
    up = EngineStatus("openai", "It is set.", required=True, up=True)
    return create_app(
        reception,
        routers=[provider_routes.router(reception, desk)],
        metrics=Metrics(),
        metrics_enabled=True,
        engines=lambda: {"llm": up},
        providers=desk.status if desk is not None else None,
    )


async def ask(application, method, path, *, at="127.0.0.1", **request):
    transport = httpx.ASGITransport(application, client=(at, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, **request)


PATH = "/v1/llm/providers"


@pytest.fixture
async def desk(db):
    gateway = make_gateway(read_settings())
    yield ProviderDesk(gateway, db, "EUR")
    await gateway.close()
    await db.aclose()


# --- the API


async def test_operators_see_the_providers_in_order(desk):
    told = (await ask(web(desk), "GET", PATH)).json()
    assert [provider["name"] for provider in told["providers"]] == ["gpu", "cloud", "embedded"]
    assert told["currency"] == "EUR"
    assert told["choice"] == {"first": [], "off": []}


async def test_nobody_else_sees_or_changes_anything(desk):
    for method, body in (("GET", None), ("PATCH", {"first": ["cloud"]})):
        refused = await ask(web(desk), method, PATH, at="10.0.0.9", json=body)
        assert refused.status_code == 403
        assert "gpu" not in refused.text
    shown = await ask(web(desk), "GET", PATH, at="10.0.0.9", headers=BEARER)
    assert shown.status_code == 200
    assert shown.json()["choice"]["first"] == []


async def test_a_change_holds_is_kept_and_leaves_what_it_does_not_name(desk, db):
    application = web(desk)
    told = (await ask(application, "PATCH", PATH, json={"first": ["cloud"]})).json()
    assert [p["name"] for p in told["providers"]] == ["cloud", "gpu", "embedded"]
    told = (await ask(application, "PATCH", PATH, json={"off": ["gpu"]})).json()
    assert told["choice"] == {"first": ["cloud"], "off": ["gpu"]}
    assert await db.query(load_choice) == told["choice"]
    again = make_gateway(read_settings())
    await ProviderDesk(again, db, "EUR").take_over()  # a restart, or another process
    assert [provider.name for provider in again.order()] == ["cloud", "embedded"]
    await again.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"first": ["nix"]}, "unknown_provider"),
        ({"off": ["embedded"]}, "unknown_provider"),
        ({"first": "gpu"}, "bad_message"),
        ({"order": []}, "bad_message"),
        ({"first": ["gpu"] * 33}, "bad_message"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(desk, db, body, code):
    refused = await ask(web(desk), "PATCH", PATH, json=body)
    assert refused.is_client_error
    assert refused.json()["error"]["code"] == code
    assert await db.query(load_choice) == {}


async def test_without_a_server_the_api_says_how_to_set_one_up():
    missing = await ask(web(None), "GET", PATH)
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "no_providers"


async def test_readyz_shows_the_providers_to_operators_alone(desk):
    told = (await ask(web(desk), "GET", "/readyz")).json()
    assert [p["name"] for p in told["llm"]["providers"]] == ["gpu", "cloud", "embedded"]
    assert "llm" not in (await ask(web(desk), "GET", "/readyz", at="10.0.0.9")).json()


# --- tom llm


@contextmanager
def running(monkeypatch, desk_of):
    """Have `tom llm` find a server; its desk lives in an event loop of a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    async def made():
        return web(desk_of())

    application = run(made())

    class Client:
        base_url = "http://localhost"

        def request(self, method, path, **request):
            return run(ask(application, method, path, **request))

    @contextmanager
    def served(url):
        yield Client()

    monkeypatch.setattr("apps.cli.llm.running_server", served)
    try:
        yield run
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_running_server_is_changed_without_a_restart(home, db, monkeypatch):
    gateway = make_gateway(read_settings())
    with running(monkeypatch, lambda: ProviderDesk(gateway, db, "EUR")) as run:
        assert tom("providers").exit_code == 0
        for words, order in (
            (["cloud"], ["cloud", "gpu", "embedded"]),
            (["cloud", "--only"], ["cloud", "embedded"]),
            (["--on", "gpu"], ["cloud", "gpu", "embedded"]),
            (["cloud", "--only"], ["cloud", "embedded"]),
            (["gpu"], ["gpu", "cloud", "embedded"]),  # to name one switches it on
            (["--reset"], ["gpu", "cloud", "embedded"]),
            (["--off", "gpu"], ["cloud", "embedded"]),
            (["embedded", "--only"], ["embedded"]),
        ):
            done = tom("use", *words)
            assert done.exit_code == 0, done.output
            assert [p.name for p in gateway.order()] == order, words
        unknown = tom("use", "nix")
        assert unknown.exit_code == 1
        assert "There is no provider 'nix'" in unknown.output
        nothing = tom("use")
        assert nothing.exit_code == 1
        assert "Nothing is to be changed" in nothing.output
        told = json.loads(tom("providers", "--json").output)
        assert told["live"] is True
        run(gateway.close())
        run(db.aclose())


def test_where_no_server_runs_the_settings_are_shown_and_a_choice_is_kept_for_the_start(home):
    shown = tom("providers")
    assert shown.exit_code == 0
    assert "No TOM is running here" in shown.output
    done = tom("use", "cloud", "--off", "gpu")
    assert done.exit_code == 0
    assert "kept for its next start" in done.output
    told = json.loads(tom("providers", "--json").output)
    assert [(p["name"], p["asked"]) for p in told["providers"]] == [
        ("cloud", True),
        ("embedded", True),
        ("gpu", False),
    ]
    assert tom("use", "nix").exit_code == 1
    assert tom("providers", "--url", "http://127.0.0.1:9").exit_code == 1


def test_usage_is_shown_by_what_is_asked_for(home, db):
    assert "No language server was asked" in tom("usage").output
    row = UsageRow(
        "r", 1, "answer", "gpu", "base", "answered", prompt_tokens=1200, cost_micros=2_500_000
    )
    with db.transaction() as conn:
        open_call(conn, CallRow("r", "kfz", "en", "text"))
        append_usage(conn, [row, row])
    for by in ("tenant", "provider", "day", "model", "adapter", "outcome"):
        (line,) = tom("usage", "--by", by, "--json").output.splitlines()
        assert json.loads(line)["requests"] == 2
    call = CliRunner().invoke(app, ["calls", "show", "r"]).output
    assert "2 requests to gpu: 2400 and 0 tokens, 5.000000 EUR" in call
    table = tom("usage", "--by", "tenant").output
    assert "default" in table
    assert "5.0000" in table
    assert tom("usage", "--tenant", "other", "--json").output == ""


def test_each_server_can_be_tried(home, monkeypatch):
    """In a thread, because the command has an event loop of its own."""
    ready, stop, urls = threading.Event(), threading.Event(), []

    async def serve():
        servers = Server([says("We open at eight. ")]), Server([status(500)])
        async with serving(*servers):
            urls.extend(server.url for server in servers)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        monkeypatch.setenv("TOM_LLM_PROVIDERS", listed(*urls))
        load_settings.cache_clear()
        both = tom("test", "--json")
        good, bad = (json.loads(line) for line in both.output.splitlines())
        assert (good["ok"], good["answer"], good["estimated"]) == (True, "We open at eight.", True)
        assert good["cost_micros"] == good["completion_tokens"] * 2
        assert (bad["ok"], both.exit_code) == (False, 1)
        one = tom("test", "gpu")
        assert one.exit_code == 0
        assert "We open at eight." in one.output
        assert tom("test", "nix").exit_code == 1
    finally:
        stop.set()
        thread.join()


# --- the settings


def settings_of(**values):
    return read_settings(**{name.lower(): value for name, value in values.items()})


def test_a_list_is_what_counts_where_there_is_one(home):
    generator = make_generator("openai", read_settings())
    assert isinstance(generator, Gateway)
    assert [provider.name for provider in generator.providers] == ["gpu", "cloud", "embedded"]
    asyncio.run(generator.close())


def test_one_server_needs_no_list(home, monkeypatch):
    monkeypatch.delenv("TOM_LLM_PROVIDERS")
    alone = settings_of(llm_url="http://127.0.0.1:9/v1", llm_model="m", llm_first_token_s=0.7)
    generator = make_generator("openai", alone)
    assert isinstance(generator, Gateway)
    server, _ = generator.providers
    assert (server.name, server.model, server.first_token_s) == ("server", "m", 0.7)
    asyncio.run(generator.close())


def test_a_key_may_stand_in_the_environment_or_in_the_env_file(home, monkeypatch, tmp_path):
    entry = {"name": "gpu", "url": "http://127.0.0.1:9", "model": "m", "api_key_env": "GPU_KEY"}
    settings = settings_of(llm_providers=json.dumps([entry]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"GPU_KEY={KEY}\n")
    gateway = make_gateway(settings)
    assert gateway.providers[0].api_key == KEY
    monkeypatch.setenv("GPU_KEY", "another-key")
    again = make_gateway(settings)
    assert again.providers[0].api_key == "another-key"
    for made in (gateway, again):
        assert KEY not in repr(made.providers)
        asyncio.run(made.close())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (json.dumps([{"name": "gpu", "url": "http://h", "model": "m", "api_key": KEY}]), "unknown"),
        (json.dumps([{"name": "gpu", "url": f"http://u:{KEY}@h", "model": "m"}]), "api_key_env"),
        (json.dumps([{"name": "g", "url": "http://h", "model": "m", "api_key_env": "NO"}]), "NO"),
    ],
)
def test_the_config_check_says_what_is_wrong_with_the_list_and_shows_no_key(
    home, monkeypatch, value, told
):
    monkeypatch.setenv("TOM_LLM_PROVIDERS", value)
    load_settings.cache_clear()
    checked = CliRunner().invoke(app, ["config", "check"])
    assert checked.exit_code == 1
    assert told in checked.output
    assert "TOM_LLM_PROVIDERS" in checked.output
    assert KEY not in checked.output


# --- the metrics


async def test_metrics_know_every_provider_from_the_first_scrape_on(home):
    metrics = Metrics()
    watching = GatewayMetrics(metrics)
    async with serving(server := Server([status(500)])):
        gateway = make_gateway(settings_of(llm_providers=listed(server.url)), watching)
        watching.show(gateway)
        before = metrics.exposition()[0].decode()
        assert 'tom_llm_requests_total{outcome="answered",provider="gpu"} 0.0' in before
        assert 'tom_llm_breaker_state{provider="gpu",state="closed"} 1.0' in before
        for _ in range(3):
            async for _ in gateway.stream(a_prompt()):
                pass
        after = metrics.exposition()[0].decode()
        await gateway.close()
    assert 'tom_llm_requests_total{outcome="failed",provider="gpu"} 3.0' in after
    assert 'tom_llm_requests_total{outcome="answered",provider="embedded"} 3.0' in after
    assert 'tom_llm_breaker_state{provider="gpu",state="open"} 1.0' in after
    assert 'tom_fallbacks_total{role="llm"} 3.0' in after
