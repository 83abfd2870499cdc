"""The SIP door's sockets: endpoints that talk over UDP, TCP and TLS, and peers that misbehave."""

import asyncio
import datetime
import random
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.core.errors import ConfigError, DialFailed
from apps.voice.doors.base import CallerHungUp
from apps.voice.doors.sip.addresses import local_host
from apps.voice.doors.sip.dial import SipDialer
from apps.voice.doors.sip.dialog import response_to
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.framing import PING, PONG
from apps.voice.doors.sip.listen import sip_listener
from apps.voice.doors.sip.message import read_message
from apps.voice.doors.sip.options import Account, SipOptions, client_context, server_context
from apps.voice.doors.sip.registration import Registration
from apps.voice.doors.sip.transport import MESSAGE_BURST, Transports
from apps.voice.doors.sip.uri import read_uri
from tests.unit.test_sip_endpoint import FakeRtp, House
from tests.virtual_time import run_virtual
from tests.waiting import until


@pytest.fixture(autouse=True)
def _no_media(monkeypatch):
    monkeypatch.setattr("apps.voice.doors.sip.media.RtpSession", FakeRtp)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, which signs itself, in one file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "tls.pem"
    pem = serialization.Encoding.PEM
    kind = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, kind, serialization.NoEncryption())
    )
    return str(path)


def options(certificate="", **more):
    transports = ("udp", "tcp", "tls") if certificate else ("udp", "tcp")
    return SipOptions(
        host="127.0.0.1",
        port=0,
        tls_port=0,
        transports=transports,
        server_tls=server_context(certificate, "") if certificate else None,
        client_tls=client_context(certificate) if certificate else None,
        **more,
    )


@asynccontextmanager
async def endpoint(opts=None):
    house = House()
    opened = SipEndpoint(opts or options(), house.take, house.admit)
    await opened.open()
    try:
        yield opened, house
    finally:
        await opened.close()


def where(called, transport="udp", host="127.0.0.1"):
    return f"sip:kfz@{host}:{called.bound[transport][1]};transport={transport}"


def options_request(transport="TCP"):
    return (
        f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.5;branch=z9hG4bKo;"
        "rport\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:x@h>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("caller_hangs_up", [True, False])
def test_one_endpoint_calls_another(certificate, transport, caller_hangs_up):
    async def scenario():
        opts = options(certificate)
        async with endpoint(opts) as (called, house), endpoint(opts) as (calling, _):
            host = "localhost" if transport == "tls" else "127.0.0.1"
            target = where(called, transport, host)
            door = await SipDialer(calling).dial(target, caller_id="+4989123", timeout_s=5)
            await until(lambda: house.doors)
            assert house.doors[0].request.caller == "+4989123"
            assert house.doors[0].call.answered
            if caller_hangs_up:
                await door.close("completed")
                await until(lambda: house.events == [CallerHungUp()])
            else:
                await house.doors[0].close("completed")
                assert await asyncio.wait_for(anext(door.events()), 5) == CallerHungUp()

    asyncio.run(scenario())


def test_a_call_to_nobody_fails():
    async def scenario():
        async with endpoint() as (calling, _):
            for target in ("sip:x@127.0.0.1:1;transport=tcp", "sip:x@nowhere.invalid", "sip:"):
                with pytest.raises(DialFailed):
                    await SipDialer(calling).dial(target, caller_id="", timeout_s=5)

    asyncio.run(scenario())


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(certificate):
    async def scenario():
        stranger = SipOptions(host="127.0.0.1", port=0, transports=("udp",))
        async with endpoint(options(certificate)) as (called, _), endpoint(stranger) as (me, _):
            target = where(called, "tls", "localhost")
            with pytest.raises(DialFailed):
                await SipDialer(me).dial(target, caller_id="", timeout_s=5)

    asyncio.run(scenario())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_account_is_registered_with_its_password_and_unregistered(transport):
    async def scenario(password):
        async with endpoint(options(users={"tom": "secret"})) as (provider, _):
            registrar = read_uri(where(provider, transport).replace("kfz@", ""))
            account = Account(registrar, "tom", password)
            async with endpoint() as (mine, _):
                registration = Registration(mine.stack, account, random.Random(1))
                keeping = asyncio.create_task(registration.run())
                await asyncio.sleep(0.2)
                was = registration.registered
                keeping.cancel()
                await registration.leave()
                return was, registration.registered

    assert asyncio.run(scenario("secret")) == (True, False)
    assert asyncio.run(scenario("guess")) == (False, False)


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256", "MD5")])
def test_a_number_is_called_through_the_provider_with_its_password(algorithms):
    async def scenario(password):
        provided = options(users={"tom": "secret"}, digests=algorithms)
        async with endpoint(provided) as (provider, house):
            registrar = read_uri(where(provider).replace("kfz@", ""))
            mine = options(account=Account(registrar, "tom", password))
            async with endpoint(mine) as (calling, _):
                door = await SipDialer(calling).dial("+49 89 123", caller_id="", timeout_s=5)
                await until(lambda: house.doors)
                await door.close("completed")
                await until(lambda: house.events == [CallerHungUp()])
                return house.doors[0]

    called = asyncio.run(scenario("secret"))
    assert called.request.caller.startswith("tom@")
    with pytest.raises(DialFailed):
        asyncio.run(scenario("guess"))


def test_a_registration_keeps_its_way_through_a_nat_open():
    class Wire:
        transport, peer, local = "udp", ("192.0.2.9", 5060), ("192.0.2.1", 5060)
        closed = False

        def __init__(self):
            self.sent = []

        def send(self, data):
            self.sent.append((asyncio.get_running_loop().time(), data))

    async def scenario():
        opened = SipEndpoint(options(), None, None)
        wire = Wire()

        async def flow_to(uri):
            return wire

        async def request(request, flow, account):
            return response_to(request, 200)

        opened.stack.transports.flow_to, opened.stack.request = flow_to, request
        account = Account(read_uri("sip:192.0.2.9"), "tom", "x", expires_s=600)
        keeping = asyncio.create_task(Registration(opened.stack, account).run())
        await asyncio.sleep(110)
        wire.closed = True
        await asyncio.sleep(40)
        keeping.cancel()
        return wire.sent

    sent = run_virtual(scenario())
    assert [(round(at), data) for at, data in sent] == [(s, PING) for s in (25, 50, 75, 100)]


def test_the_listener_opens_registers_and_closes():
    async def scenario():
        async with endpoint(options(users={"tom": "secret"})) as (provider, _):
            registrar = read_uri(where(provider).replace("kfz@", ""))
            opts = options(account=Account(registrar, "tom", "secret"))
            house = House()
            async with sip_listener(opts, house.take, house.admit) as listening:
                await asyncio.sleep(0.1)
                port = listening.bound["udp"][1]
            async with sip_listener(
                SipOptions(host="127.0.0.1", port=port, transports=("udp",)),
                house.take,
                house.admit,
            ):
                with pytest.raises(ConfigError):
                    await SipEndpoint(
                        SipOptions(host="127.0.0.1", port=port, transports=("udp",)),
                        house.take,
                        house.admit,
                    ).open()

    asyncio.run(scenario())


def test_a_connection_is_kept_alive_and_a_broken_one_harms_no_other():
    async def scenario():
        async with endpoint() as (called, _):
            port = called.bound["tcp"][1]
            good = await asyncio.open_connection("127.0.0.1", port)
            bad = await asyncio.open_connection("127.0.0.1", port)
            bad[1].write(b"INVITE nonsense\r\n\r\n")
            assert await asyncio.wait_for(bad[0].read(), 5) == b""  # closed
            good[1].write(PING)
            assert await asyncio.wait_for(good[0].readexactly(2), 5) == PONG
            good[1].write(options_request() * 2)
            answers = await asyncio.wait_for(good[0].readuntil(b"\r\n\r\n"), 5)
            answer = read_message(answers)
            assert answer.status == 200
            assert answer.via.params["received"] == "127.0.0.1"
            for _, writer in (good, bad):
                writer.close()

    asyncio.run(scenario())


def test_one_address_cannot_flood_the_endpoint():
    received = []

    async def scenario():
        transports = Transports(lambda flow, data: received.append(data))
        await transports.listen("udp", "127.0.0.1", 0)
        for _ in range(int(MESSAGE_BURST) + 500):
            transports.datagram(b"x", ("192.0.2.1", 5060))
        transports.datagram(b"y", ("192.0.2.2", 5060))
        transports.datagram(b"\r\n\r\n", ("192.0.2.2", 5060))  # keeps a NAT open
        await transports.close()

    asyncio.run(scenario())
    assert MESSAGE_BURST <= received.count(b"x") < MESSAGE_BURST + 400
    assert received[-1] == b"y"


def test_a_datagram_s_answer_goes_where_it_is_expected():
    async def scenario():
        async with endpoint() as (called, _):
            loop = asyncio.get_running_loop()
            answers = asyncio.Queue()

            class Ear(asyncio.DatagramProtocol):
                def datagram_received(self, data, addr):
                    answers.put_nowait(data)

            address = called.bound["udp"]
            talker, _ = await loop.create_datagram_endpoint(Ear, remote_addr=address)
            listener, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
            port = listener.get_extra_info("sockname")[1]
            talker.sendto(options_request("UDP"))  # with rport: back to where it came from
            assert (await asyncio.wait_for(answers.get(), 5)).startswith(b"SIP/2.0 200")
            old = options_request("UDP").replace(b"192.0.2.5", f"127.0.0.1:{port}".encode())
            talker.sendto(old.replace(b";rport", b"").replace(b"KO", b"KP"))
            assert (await asyncio.wait_for(answers.get(), 5)).startswith(b"SIP/2.0 200")
            talker.close()
            listener.close()

    asyncio.run(scenario())


def test_this_machine_knows_its_address_towards_a_peer():
    assert local_host("127.0.0.1") == "127.0.0.1"
    assert local_host("not an address") == "127.0.0.1"


def test_a_certificate_file_without_a_certificate_is_told(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigError):
        server_context(str(empty), "")
    assert isinstance(client_context(""), ssl.SSLContext)
