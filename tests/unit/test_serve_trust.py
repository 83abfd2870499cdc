"""`tom serve` and the network: its certificate, its proxies, and what it warns of."""

from __future__ import annotations

import asyncio
import datetime
import importlib
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import FastAPI, Request

from apps.cli.network import Certificate, read_certificate, read_proxies
from apps.core.errors import ConfigError
from apps.dispatcher.routes.reception import address_of, is_local
from apps.settings import Settings
from tests.waiting import until

serve = importlib.import_module("apps.cli.serve")


def issue(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for a name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


class Board:
    live_calls = 0

    def drain(self) -> None:
        pass

    async def idle(self) -> None:
        pass


def mirror() -> FastAPI:
    """An application that tells what it sees of whoever asks."""
    app = FastAPI()

    @app.get("/")
    async def seen(request: Request) -> dict[str, object]:
        scheme = request.url.scheme
        return {"address": address_of(request), "local": is_local(request), "scheme": scheme}

    return app


@asynccontextmanager
async def serving(
    certificate: Certificate | None = None, proxies: tuple[str, ...] = ()
) -> AsyncIterator[str]:
    """Run the server's shell; yields its host and port."""
    listener = serve._listen("127.0.0.1", 0)
    tom = SimpleNamespace(app=mirror(), switchboard=Board())
    server = serve._Server(tom, 1.0, certificate, proxies)
    running = asyncio.create_task(server.run(listener))
    await until(lambda: server.started)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await running
        listener.close()


async def name_on_the_wire(where: str) -> str:
    """Return the name in the certificate that a new connection is shown."""
    host, port = where.split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    subject = x509.load_der_x509_certificate(shown).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def test_calls_come_in_encrypted_and_a_renewed_certificate_needs_no_restart(
    tmp_path: Path,
) -> None:
    certificate = Certificate(*issue(tmp_path, "first.example"))
    async with serving(certificate) as where:
        async with httpx.AsyncClient(verify=False) as client:
            seen = (await client.get(f"https://{where}/")).json()
        assert (seen["scheme"], seen["local"]) == ("https", True)
        assert await name_on_the_wire(where) == "first.example"
        issue(tmp_path, "second.example")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        assert await name_on_the_wire(where) == "second.example"
        (tmp_path / "key.pem").write_text("half of a key")
        with structlog.testing.capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)
        assert [line["event"] for line in logs] == ["certificate_not_read"]
        assert await name_on_the_wire(where) == "second.example"


def test_certificates_that_cannot_be_used_are_told_before_anything_starts(tmp_path: Path) -> None:
    chain, key = issue(tmp_path, "tom.example")
    assert read_certificate(None, None) is None
    assert read_certificate(chain, key) is not None
    (tmp_path / "other").mkdir()
    _, other_key = issue(tmp_path / "other", "tom.example")
    wrong = [(chain, None), (None, key), (chain, other_key), (tmp_path / "none", key), (key, chain)]
    for pair in wrong:
        with pytest.raises(ConfigError, match="TLS"):
            read_certificate(*pair)


FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


async def test_what_a_proxy_forwards_counts_only_where_the_proxy_is_trusted() -> None:
    async with httpx.AsyncClient() as client:
        async with serving() as where:
            plain = (await client.get(f"http://{where}/")).json()
            forged = (await client.get(f"http://{where}/", headers=FORWARDED)).json()
        async with serving(proxies=("127.0.0.0/8",)) as where:
            told = (await client.get(f"http://{where}/", headers=FORWARDED)).json()
    assert plain == {"address": "127.0.0.1", "local": True, "scheme": "http"}
    assert forged == {"address": "127.0.0.1", "local": False, "scheme": "http"}
    assert told == {"address": "192.0.2.7", "local": False, "scheme": "https"}


def test_proxies_are_addresses_and_networks() -> None:
    assert read_proxies(" 10.0.0.1, 10.1.0.0/16,::1 ,") == ["10.0.0.1", "10.1.0.0/16", "::1"]
    for listed in ("proxy.example", "*", "10.0.0.1/8"):
        with pytest.raises(ConfigError, match="TOM_TRUSTED_PROXIES"):
            read_proxies(listed)


@pytest.mark.parametrize(
    ("host", "proxies", "warned"),
    [("127.0.0.1", "", False), ("0.0.0.0", "", True), ("0.0.0.0", "10.0.0.1", False)],
)
async def test_whoever_serves_others_in_the_clear_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, proxies: str, warned: bool
) -> None:
    @asynccontextmanager
    async def run_tom(_: Settings) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(app=mirror(), switchboard=Board())

    async def run(*_: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_tom", run_tom)
    monkeypatch.setattr(serve._Server, "run", run)
    settings = Settings(
        _env_file=None,
        http_host=host,
        http_port=0,
        data_dir=tmp_path,
        trusted_proxies=proxies,
    )
    with structlog.testing.capture_logs() as logs:
        await serve._serve(settings, None)
    assert ("no_tls" in [line["event"] for line in logs]) is warned
