"""Tokens."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import AuthenticationError
from aioproducer.security._token import Token, claims_of, token_from_answer, token_from_text
from tests.unit.sasl.canary import CANARY, assert_object_hides, error_of
from tests.unit.security.jwts import jwt, part


def test_a_token_hides_its_text() -> None:
    assert_object_hides(Token(CANARY, expires_at_ms=1, principal="alice", extensions={"a": "b"}))


def test_whitespace_around_a_token_is_dropped() -> None:
    assert Token(b" abc\r\n").value == Secret("abc")


def test_a_jwt_tells_its_times_and_principal() -> None:
    text = jwt(exp=1_700_000_000, iat=1_699_990_000.5, sub="alice", azp="client")
    token = token_from_text(text, extensions={"a": "b"})
    assert (token.expires_at_ms, token.issued_at_ms, token.principal) == (1_700_000_000_000, 1_699_990_000_500, "alice")
    assert token.extensions == {"a": "b"}
    assert token_from_text(text, principal_claim="azp").principal == "client"


@pytest.mark.parametrize("expiry", [True, "1700000000", None, -1, float("nan"), float("inf"), 1e300, [1]])
def test_what_is_no_time_is_none(expiry: object) -> None:
    assert token_from_text(jwt(exp=expiry, sub=7)).expires_at_ms is None
    assert token_from_text(jwt(exp=expiry, sub=7)).principal is None


@pytest.mark.parametrize(
    "text",
    ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "..", f"a.{part([1])}.c", "a.\u00e9.c", f"a.{'W' * 200_001}.c"],
)
def test_what_is_no_jwt_has_no_claims(text: str) -> None:
    assert claims_of(Secret(text)) is None
    assert token_from_text(text).expires_at_ms is None


def test_claims_of_any_depth_are_read_or_not() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    assert claims_of(Secret(f"a.{deep}.c")) is None


@pytest.mark.parametrize(
    ("answer", "expires_at_ms", "principal", "extensions"),
    [
        ("t", None, None, {}),
        (b"t", None, None, {}),
        (Secret("t"), None, None, {}),
        (Token("t", expires_at_ms=5), 5, None, {}),
        (("t", 1_700_000_000), 1_700_000_000_000, None, {}),  # confluent-kafka: seconds
        (("t", 1_700_000_000.5), 1_700_000_000_500, None, {}),
        (("t", 1_700_000_000_000), 1_700_000_000_000, None, {}),  # Amazon's signer: milliseconds
        (("t", 1_700_000_000, "alice"), 1_700_000_000_000, "alice", {}),
        (("t", 1_700_000_000, "alice", {"a": "b"}), 1_700_000_000_000, "alice", {"a": "b"}),
        (("t", 1_700_000_000, "", None), 1_700_000_000_000, "", {}),
    ],
)
def test_other_clients_forms_are_taken(
    answer: object, expires_at_ms: int | None, principal: str | None, extensions: dict[str, str]
) -> None:
    token = token_from_answer(answer)
    assert token.value == Secret("t")
    assert (token.expires_at_ms, token.principal, dict(token.extensions)) == (expires_at_ms, principal, extensions)


ODD: list[Any] = [None, {CANARY: 1}, (CANARY,), (CANARY, CANARY), [CANARY, 1], (1, 2)]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_other_answers_are_refused_without_showing_them(number: int) -> None:
    error = error_of(lambda: token_from_answer(ODD[number]))
    assert isinstance(error, AuthenticationError)
    assert type(ODD[number]).__name__ in str(error)
