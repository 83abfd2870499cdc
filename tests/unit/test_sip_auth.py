"""Digest authentication: proofs that are right, and those that are wrong, old or used twice."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.auth import (
    ALGORITHMS,
    NONCE_MS,
    Challenge,
    Guard,
    answer,
    best_challenge,
    read_digest,
)

RFC_7616 = Challenge(
    "http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "SHA-256"
)


@pytest.mark.parametrize(
    ("algorithm", "proof"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_published_example_is_proved(algorithm, proof):
    challenge = Challenge(RFC_7616.realm, RFC_7616.nonce, algorithm)
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    line = answer(challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", cnonce)
    assert read_digest(line)["response"] == proof


def guard():
    return Guard("tom", {"alice": "secret", "bob": "other"}, ALGORITHMS, key=b"k" * 32)


def proof_of(keeper, user="alice", password="secret", method="INVITE", now_ms=1000.0, best=True):
    values = keeper.challenges(now_ms)
    challenge = best_challenge(values if best else values[1:])
    return answer(challenge, method, "sip:kfz@tom", user, password)


@pytest.mark.parametrize("best", [True, False])
def test_a_right_password_is_known_by_either_algorithm(best):
    keeper = guard()
    assert keeper.judge(proof_of(keeper, best=best), "INVITE", 2000.0) == ("alice", False)


@pytest.mark.parametrize(
    "wrong", [{"password": "guess"}, {"user": "mallory"}, {"user": "bob"}, {"method": "BYE"}]
)
def test_a_wrong_proof_is_worth_nothing(wrong):
    keeper = guard()
    assert keeper.judge(proof_of(keeper, **wrong), "INVITE", 2000.0) == ("", False)


def test_a_proof_by_an_algorithm_that_was_not_offered_is_worth_nothing():
    strict = Guard("tom", {"alice": "secret"}, ("SHA-256",))
    (value,) = strict.challenges(1000.0)
    weak = best_challenge([value.replace("SHA-256", "MD5")])
    proof = answer(weak, "INVITE", "sip:kfz@tom", "alice", "secret")
    assert strict.judge(proof, "INVITE", 2000.0) == ("", False)


def test_a_proof_is_good_once():
    keeper = guard()
    proof = proof_of(keeper)
    assert keeper.judge(proof, "INVITE", 2000.0) == ("alice", False)
    assert keeper.judge(proof, "INVITE", 2001.0) == ("", True)


def test_an_old_nonce_is_told_to_be_stale():
    keeper = guard()
    proof = proof_of(keeper)
    assert keeper.judge(proof, "INVITE", 1001.0 + NONCE_MS) == ("", True)
    assert "stale=true" in keeper.challenges(0.0, stale=True)[0]


def test_a_nonce_of_somebody_else_s_making_is_not_taken():
    ours = guard()
    proof = proof_of(Guard("tom", {"alice": "secret"}, ALGORITHMS))
    assert ours.judge(proof, "INVITE", 2000.0) == ("", True)


def test_the_strongest_challenge_that_can_be_met_is_met():
    md5 = 'Digest realm="r", nonce="1"'
    sha = 'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth,auth-int"'
    assert best_challenge([md5, sha]).nonce == "2"
    assert not best_challenge([md5]).qop
    unusable = ["Basic realm=x", 'Digest realm="r", nonce="1", algorithm=MD6', "Digest nonce=,,="]
    assert best_challenge(unusable) is None
    assert best_challenge(['Digest realm="r", nonce="1", qop="auth-int"']) is None


def test_a_provider_without_qop_gets_the_old_proof():
    line = answer(Challenge("r", "n", "MD5", qop=False), "REGISTER", "sip:r", "u", "p")
    assert "qop" not in read_digest(line)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_in_place_of_a_proof_is_judged(text):
    assert guard().judge("Digest " + text, "INVITE", 0.0)[0] == ""
    with suppress(ProtocolError):
        read_digest(text)
