"""The answers of token endpoints."""

from __future__ import annotations

import json

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._answers import FINAL, Retries, error_from, expiry_in, object_in, token_in
from aioproducer.security._http import HttpResponse
from tests.unit.sasl.canary import CANARY, error_of
from tests.unit.security.jwts import jwt

NOW = 1_700_000_000_000


def response(status: int = 200, body: bytes | dict[str, object] = b"") -> HttpResponse:
    return HttpResponse(status, Secret(body if isinstance(body, bytes) else json.dumps(body)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "invalid_client", "error_description": "no such client"}, ": 'invalid_client' 'no such client'"),
        ({"error": "invalid_client"}, ": 'invalid_client'"),
        ({"errorCode": "E0000015", "errorSummary": "not enabled"}, ": 'E0000015' 'not enabled'"),
        ({"Code": "Failed", "Message": "no role"}, ": 'Failed' 'no role'"),
        ({"error": {"Code": 1}}, ""),
        ({"other": CANARY}, ""),
        (f"<html>{CANARY}</html>".encode(), ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_an_error_says_what_json_calls_one_and_no_more(body: bytes | dict[str, object], said: str) -> None:
    assert str(error_from("the endpoint", response(400, body))) == f"the endpoint answered HTTP 400{said}"


def test_a_long_description_is_cut() -> None:
    assert len(str(error_from("e", response(400, {"error": "x" * 10_000})))) < 300


def test_javas_final_statuses_are_final_and_others_may_pass() -> None:
    final = {status for status in range(400, 600) if not error_from("e", response(status)).retriable}
    assert final == {400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 501, 505} == FINAL


def test_a_redirect_is_final() -> None:
    error = error_from("the endpoint", response(307))
    assert not error.retriable
    assert "redirects (HTTP 307)" in str(error)


def test_the_token_is_the_access_token_else_the_id_token() -> None:
    for body in ({"access_token": "a", "id_token": "b"}, {"id_token": "a"}, {"access_token": "", "id_token": "a"}):
        token = token_in("e", response(201, dict(body)), now_ms=NOW, extensions={"x": "y"})
        assert token.value == Secret("a")
        assert token.extensions == {"x": "y"}


def test_its_own_claims_tell_its_end_before_the_answer_does() -> None:
    body: dict[str, object] = {"access_token": jwt(exp=1_700_000_100, sub="alice"), "expires_in": 5}
    token = token_in("e", response(200, body), now_ms=NOW, extensions={})
    assert (token.expires_at_ms, token.principal) == (1_700_000_100_000, "alice")


@pytest.mark.parametrize(
    ("fields", "expires_at_ms"),
    [
        ({"expires_in": 60}, NOW + 60_000),
        ({"expires_in": "60"}, NOW + 60_000),
        ({"expires_in": 1.5}, NOW + 1500),
        ({"expires_on": "1700000060"}, NOW + 60_000),
        ({}, None),
        ({"expires_in": True}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": float("inf")}, None),
        ({"expires_in": float("nan")}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": "9" * 5000}, None),
        ({"expires_in": [1]}, None),
    ],
)
def test_else_the_answer_tells_its_end(fields: dict[str, object], expires_at_ms: int | None) -> None:
    assert expiry_in(fields, now_ms=NOW) == expires_at_ms


NO_TOKEN = [
    b"",
    b"[]",
    b"{",
    CANARY.encode(),
    b"\xff",
    b"{}",
    json.dumps({"error": CANARY}).encode(),
    json.dumps({"token": CANARY}).encode(),
    json.dumps({"access_token": [CANARY]}).encode(),
]


@pytest.mark.parametrize("number", range(len(NO_TOKEN)))
def test_a_good_status_without_token_may_pass_and_is_not_quoted(number: int) -> None:
    error = error_of(lambda: token_in("e", response(200, NO_TOKEN[number]), now_ms=NOW, extensions={}))
    assert error.retriable


def test_what_is_no_object_is_told_by_its_size() -> None:
    error = error_of(lambda: object_in("e", response(200, b"[1]")))
    assert str(error) == "e answered HTTP 200 with 3 bytes that are no JSON object"


def test_pauses_double_until_the_time_is_up() -> None:
    retries = Retries(100, 10_000)
    assert [retries.pause(n, elapsed=0, retry_after=None) for n in range(1, 9)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        6.4,
        10.0,
    ]
    assert retries.pause(8, elapsed=9.5, retry_after=None) == 0.5
    assert retries.pause(1, elapsed=10, retry_after=None) is None
    assert retries.pause(10**6, elapsed=0, retry_after=None) == 10.0


def test_a_service_may_ask_for_a_longer_pause_within_the_time() -> None:
    retries = Retries(100, 10_000)
    assert retries.pause(1, elapsed=0, retry_after=7) == 7
    assert retries.pause(1, elapsed=0, retry_after=0) == 0.1
    assert retries.pause(1, elapsed=4, retry_after=7) is None


def test_negative_times_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 0"):
        Retries(-1)
