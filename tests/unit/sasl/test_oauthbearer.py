"""OAUTHBEARER."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.errors import AuthenticationError, ConfigurationError, IllegalStateError, ProtocolError
from aioproducer.sasl._oauthbearer import OAuthBearer, refusal_text
from tests.unit.sasl.canary import CANARY, error_of

if TYPE_CHECKING:
    from collections.abc import Callable

RFC_TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_its_message_is_that_of_rfc_7628() -> None:
    # Without the RFC's authorization id, which Kafka wants empty or equal to the principal.
    extensions = {"host": "server.example.com", "port": "143"}
    assert OAuthBearer(RFC_TOKEN, extensions=extensions).first() == (
        b"n,,\x01auth=Bearer " + RFC_TOKEN.encode() + b"\x01host=server.example.com\x01port=143\x01\x01"
    )


def test_extensions_keep_their_order_and_their_odd_characters() -> None:
    mechanism = OAuthBearer("t", extensions={"b": "x y\t\r\n~", "A": "=,"})
    assert mechanism.first() == b"n,,\x01auth=Bearer t\x01b=x y\t\r\n~\x01A==,\x01\x01"


def begun() -> OAuthBearer:
    mechanism = OAuthBearer(CANARY)
    mechanism.first()
    return mechanism


def test_an_empty_answer_is_success() -> None:
    assert begun().next(b"") is None


def test_a_refusal_is_answered_before_it_counts() -> None:
    mechanism = begun()
    assert mechanism.next(b'{"status":"invalid_token","scope":"kafka"}') == b"\x01"
    assert mechanism.hint == (
        "the broker refuses the token: 'invalid_token' (the token is expired, not yet valid, of another issuer or for"
        " another audience), scope 'kafka'"
    )
    # A broker should end it with error 58 now; one that does not is not believed.
    error = error_of(lambda: mechanism.next(b""))
    assert isinstance(error, AuthenticationError)
    assert "invalid_token" in str(error)
    with pytest.raises(IllegalStateError, match="over"):
        mechanism.next(b"")


@pytest.mark.parametrize("answer", [b"\x01", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_no_json_object_is_malformed(answer: bytes) -> None:
    error = error_of(lambda: begun().next(answer))
    assert isinstance(error, ProtocolError)
    assert f"{len(answer)} bytes" in str(error)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({}, "the broker refuses the token without a status"),
        ({"status": 1}, "the broker refuses the token without a status"),
        ({"status": "new\n"}, r"the broker refuses the token: 'new\n'"),
        ({"status": "insufficient_scope", "scope": 7}, "the broker refuses the token: 'insufficient_scope' "),
        ({"status": "x", "openid-configuration": "https://a"}, "openid-configuration 'https://a'"),
    ],
)
def test_refusals_are_put_in_words(answer: dict[str, object], text: str) -> None:
    assert text in refusal_text(answer)


BEARER, NEWLINE, SPACE, COMMA, LATE_EQUALS = (
    f"Bearer {CANARY}",
    f"{CANARY}\n",
    f"{CANARY} {CANARY}",
    f"{CANARY},",
    f"{CANARY}=a",
)
BAD_TOKENS: dict[str, Callable[[], object]] = {
    "it is empty": lambda: OAuthBearer(""),
    'begins with "Bearer "': lambda: OAuthBearer(BEARER),
    "whitespace": lambda: OAuthBearer(NEWLINE),
    "character 16 of 33": lambda: OAuthBearer(SPACE),
    "character 16 of 17": lambda: OAuthBearer(COMMA),
    "character 17 of 18": lambda: OAuthBearer(LATE_EQUALS),
}


@pytest.mark.parametrize(("words", "make"), BAD_TOKENS.items(), ids=BAD_TOKENS)
def test_a_token_that_no_broker_accepts_is_not_sent(words: str, make: Callable[[], object]) -> None:
    error = error_of(make)
    assert isinstance(error, AuthenticationError)
    assert words in str(error)


@pytest.mark.parametrize(
    "extensions", [{"auth": "x"}, {"": "x"}, {"a-b": "x"}, {"a1": "x"}, {"a": ""}, {"a": "\x01"}, {"a": "é"}]
)
def test_extensions_that_no_broker_accepts_are_refused(extensions: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="extension"):
        OAuthBearer("t", extensions=extensions)


CONTROL = CANARY + "\x01"


def test_the_value_of_a_bad_extension_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="'a'") as caught:
        OAuthBearer("t", extensions={"a": CONTROL})
    assert CANARY not in str(caught.value)
