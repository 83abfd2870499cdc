"""What carriers sign and what TOM signs for them: signatures, tickets, documents."""

import base64
import hashlib
import hmac
import json
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError, ProtocolError, TransferFailed
from apps.voice.doors.base import CallRequest
from apps.voice.doors.carriers.markup import connect, connect_person, dial, document
from apps.voice.doors.carriers.requests import caller_of, read_request
from apps.voice.doors.carriers.signatures import (
    MAX_AGE_S,
    is_telnyx,
    is_twilios,
    is_vonages,
    rs256,
    rsa_key,
    telnyx_key,
    twilio_signature,
)
from apps.voice.doors.carriers.tickets import LIFETIME_S, Ticket, TicketOffice

NOW = 1_800_000_000.0

# --- Twilio

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
]


def test_the_example_of_twilio_s_own_documentation_is_right():
    assert twilio_signature("12345", URL, FORM) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert is_twilios("12345", URL, reversed(FORM), "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("12346", URL, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("12345", URL + "3", FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("12345", URL, FORM[1:], "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("12345", URL, FORM, ""),
        ("12345", URL, FORM, "ü"),
    ],
)
def test_anything_else_is_not(token, url, form, signature):
    assert not is_twilios(token, url, form, signature)


# --- Telnyx

TELNYX = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(TELNYX.public_key().public_bytes_raw()).decode()


def telnyx_signed(body=b"CallSid=v3", stamp=str(int(NOW))):
    signature = TELNYX.sign(stamp.encode() + b"|" + body)
    return base64.b64encode(signature).decode(), stamp, body


def test_a_webhook_that_telnyx_signed_is_telnyx_s():
    assert is_telnyx(telnyx_key(PUBLIC), *telnyx_signed(), NOW + 3)


@pytest.mark.parametrize(
    ("signature", "stamp", "body", "now_s"),
    [
        (*telnyx_signed()[:2], b"CallSid=v4", NOW),
        (telnyx_signed()[0], str(int(NOW) + 1), b"CallSid=v3", NOW),
        (*telnyx_signed(), NOW + MAX_AGE_S + 1),
        (*telnyx_signed(), NOW - MAX_AGE_S - 1),
        ("", *telnyx_signed()[1:], NOW),
        ("ä", *telnyx_signed()[1:], NOW),
        (*telnyx_signed(stamp="soon"), NOW),
        (*telnyx_signed(stamp="9" * 400), NOW),
        (*telnyx_signed(stamp="٣"), NOW),
    ],
)
def test_a_webhook_that_was_changed_or_is_old_is_not(signature, stamp, body, now_s):
    assert not is_telnyx(telnyx_key(PUBLIC), signature, stamp, body, now_s)


@pytest.mark.parametrize("text", ["", "short", PUBLIC[:-4], "ä" * 44])
def test_a_key_that_is_none_is_told_at_the_start(text):
    with pytest.raises(ConfigError, match="TOM_TELNYX_PUBLIC_KEY"):
        telnyx_key(text)


# --- Vonage

SECRET = "ABCDE123456789"


def jwt(claims, secret=SECRET, header=None):
    parts = [json.dumps(x).encode() for x in (header or {"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    seal = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(seal).rstrip(b"=")).decode()


BODY = b'{"from":"447700900001","to":"447700900000"}'
CLAIMS = {"iat": int(NOW), "iss": "Vonage", "payload_hash": hashlib.sha256(BODY).hexdigest()}


def test_a_webhook_that_vonage_signed_is_vonage_s():
    assert is_vonages(SECRET, jwt(CLAIMS), BODY, NOW + 2)
    assert is_vonages(SECRET, jwt({**CLAIMS, "exp": NOW + 3}), BODY, NOW + 2)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "..",
        jwt(CLAIMS, secret="another"),
        jwt(CLAIMS)[:-2] + "AA",
        jwt(CLAIMS, header={"alg": "none"}),
        jwt(CLAIMS, header={"alg": "HS512"}),
        jwt({**CLAIMS, "iat": NOW - MAX_AGE_S - 1}),
        jwt({**CLAIMS, "iat": NOW + MAX_AGE_S + 1}),
        jwt({**CLAIMS, "iat": "now"}),
        jwt({**CLAIMS, "exp": NOW - 1}),
        jwt({**CLAIMS, "exp": None}),
        jwt({**CLAIMS, "payload_hash": hashlib.sha256(b"{}").hexdigest()}),
        jwt({**CLAIMS, "payload_hash": 7}),
        jwt({k: v for k, v in CLAIMS.items() if k != "payload_hash"}),
        jwt({k: v for k, v in CLAIMS.items() if k != "iat"}),
        jwt([1, 2]),
    ],
)
def test_another_s_token_or_one_for_something_else_is_not(token):
    assert not is_vonages(SECRET, token, BODY, NOW)


@given(st.text())
def test_no_text_breaks_the_check_of_a_token(token):
    assert not is_vonages(SECRET, token, BODY, NOW)


def test_a_token_for_vonage_is_one_that_its_public_key_verifies():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    head, body, seal = rs256(rsa_key(pem), {"application_id": "a"}).split(".")
    signature = base64.urlsafe_b64decode(seal + "==")
    key.public_key().verify(signature, f"{head}.{body}".encode(), PKCS1v15(), SHA256())
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "RS256", "typ": "JWT"}
    with pytest.raises(ConfigError, match="TOM_VONAGE_PRIVATE_KEY"):
        rsa_key(b"nothing")


# --- tickets

TICKET = Ticket("CA1", "AC1", "+4930", "kfz", "de", "+49151")


def office(door="twilio"):
    return TicketOffice(b"the installation's own secret", door)


def test_a_ticket_tells_what_the_webhook_told_once():
    desk = office()
    text = desk.issue(TICKET, NOW)
    assert desk.redeem(text, NOW + 1) == TICKET
    assert TICKET.request == CallRequest("kfz", "de", "+49151")
    with pytest.raises(ProtocolError) as used:
        desk.redeem(text, NOW + 2)
    assert used.value.code == "forbidden"


def test_another_process_of_the_installation_redeems_it_too_and_another_door_does_not():
    text = office().issue(TICKET, NOW)
    assert office().redeem(text, NOW) == TICKET
    with pytest.raises(ProtocolError):
        office("telnyx").redeem(text, NOW)


def test_a_ticket_is_worth_nothing_after_a_minute():
    desk = office()
    with pytest.raises(ProtocolError):
        desk.redeem(desk.issue(TICKET, NOW), NOW + LIFETIME_S + 1)


def test_used_tickets_are_forgotten_once_they_are_too_old_anyway():
    desk = office()
    for second in range(300):
        desk.redeem(desk.issue(TICKET, NOW + second), NOW + second)
    assert len(desk._used) <= LIFETIME_S + 1


@given(st.text() | st.text().map(lambda x: f"{x}.{x}"))
def test_no_text_that_was_not_issued_is_a_ticket(text):
    with pytest.raises(ProtocolError):
        office().redeem(text, NOW)


def test_a_ticket_fits_where_carriers_bound_what_they_carry():
    longest = Ticket("CA" + "0" * 32, "", "+" + "4" * 15, "p" * 40, "de", "+" + "4" * 15)
    assert len(office().issue(longest, NOW)) < 480


# --- documents


def test_names_and_values_cannot_break_a_document():
    nasty = '"/><Hangup/>&'
    xml = document(connect({"url": nasty}, {nasty: nasty}), dial("sip:a@b?x=1&y=<2>", nasty))
    root = ElementTree.fromstring(xml)
    assert root.find("Connect/Stream").attrib == {"url": nasty}
    assert root.find("Connect/Stream/Parameter").attrib == {"name": nasty, "value": nasty}
    assert root.findall("Hangup") == []
    assert root.findtext("Dial/Sip").startswith("sip:a@b?x=1&y=<2>&X-TOM-Summary=%22")


def test_a_person_is_dialled_by_number_or_by_address():
    assert dial("+49 30 123", "s") == "<Dial><Number>+4930123</Number></Dial>"
    assert connect_person("tel:+49301234", "s", "4930") == [
        {
            "action": "connect",
            "endpoint": [{"type": "phone", "number": "49301234"}],
            "from": "4930",
        }
    ]
    sip = connect_person("sip:desk@town.example", "reg used", "")[0]["endpoint"][0]
    assert sip["uri"] == "sip:desk@town.example"
    assert sip["headers"] == {"X-TOM-Summary": "reg%20used"}
    for make in (lambda t: dial(t, ""), lambda t: connect_person(t, "", "")):
        with pytest.raises(TransferFailed):
            make("the lady at the counter")


# --- who calls


@pytest.mark.parametrize(
    ("told", "caller"),
    [
        ("+4915112345", "+4915112345"),
        ("4915112345", "+4915112345"),
        ("030123456", "030123456"),
        ("200", "200"),
        ("sip:ann@town.example", "sip:ann@town.example"),
        ("anonymous", ""),
        ("+266696687", ""),
        ("", ""),
        (None, ""),
        ("+" + "4" * 200, ""),
    ],
)
def test_the_same_caller_is_the_same_by_every_carrier_and_a_hidden_one_is_nobody(told, caller):
    assert caller_of(told) == caller


@pytest.mark.parametrize(
    "given", [{"language": "fr"}, {"profile": "x" * 41}, {"caller": 7}, {"answers": ["x"]}]
)
def test_parameters_that_are_not_right_are_refused(given):
    with pytest.raises(ProtocolError) as error:
        read_request(given)
    assert error.value.code == "bad_message"


def test_a_stream_may_answer_a_call_that_was_dialled_here():
    assert read_request({"answers": "t"}).answers == "t"
    assert read_request(None) == CallRequest()
