"""OAUTHBEARER: a token that is refused is told in two steps; a message that is none is refused in one."""

from __future__ import annotations

import pytest

from aioproducer.testing._broker.sasl.oauthbearer import OAuthBearer
from aioproducer.testing._broker.sasl.steps import Authenticated, Challenge, SaslError
from aioproducer.testing._broker.tokens import AcceptedToken, TokenError, unsecured_token, validate_unsecured

NOW_MS = 1_700_000_000_000
TOKEN = unsecured_token("alice", NOW_MS, 60.0)


def message(token: str = TOKEN, *, header: str = "n,,", more: str = "") -> bytes:
    return f"{header}\x01auth=Bearer {token}\x01{more}\x01".encode()


def step(data: bytes) -> object:
    return OAuthBearer(validate_unsecured, NOW_MS).step(data)


@pytest.mark.parametrize("header", ["n,,", "n,a=alice,"])
def test_a_good_token_logs_in_until_it_expires(header: str) -> None:
    assert step(message(header=header)) == Authenticated("alice", expires_at_ms=NOW_MS + 60_000)


def test_extensions_are_kept() -> None:
    bearer = OAuthBearer(validate_unsecured, NOW_MS)
    bearer.step(message(more="logicalCluster=lkc-1\x01identityPoolId=pool-2\x01"))
    assert bearer.extensions == {"logicalCluster": "lkc-1", "identityPoolId": "pool-2"}


def test_a_bad_token_is_refused_in_two_steps() -> None:
    bearer = OAuthBearer(validate_unsecured, NOW_MS)
    assert bearer.step(message("a.b.c")) == Challenge(b'{"status":"invalid_token"}')
    with pytest.raises(SaslError) as caught:
        bearer.step(b"\x01")
    assert caught.value.text == '{"status":"invalid_token"}'


def test_a_validator_says_which_scope_is_wanting() -> None:
    def validate(token: str, wall_ms: int) -> AcceptedToken:
        raise TokenError("insufficient_scope", "kafka")

    told = OAuthBearer(validate, NOW_MS).step(message())
    assert told == Challenge(b'{"status":"insufficient_scope","scope":"kafka"}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"n,,\x01\x01",
        b"n,,\x01auth=Basic abc\x01\x01",
        b"y,,\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        message(more="with-hyphen=1\x01"),
        message(more="empty=\x01"),
        message()[:-1],
    ],
)
def test_what_is_no_message_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(SaslError) as caught:
        step(data)
    assert caught.value.text is None


def test_an_authorization_id_must_be_the_principal() -> None:
    with pytest.raises(SaslError, match=r"id \(bob\) that is different from the token's principal name \(alice\)"):
        step(message(header="n,a=bob,"))
