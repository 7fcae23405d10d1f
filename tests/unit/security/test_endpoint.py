"""Asking a token endpoint."""

from __future__ import annotations

import anyio
import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._endpoint import TokenEndpoint, encoded, endpoint_from
from tests.unit.sasl.canary import CANARY, assert_hidden, assert_object_hides
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server, answer_json

GOOD = answer_json({"access_token": "t", "expires_in": 60})


def endpoint(server: Server, *, timeout: float = 10.0, total_ms: int = 10_000) -> TokenEndpoint:
    return TokenEndpoint(f"{server.url}/token", timeout=timeout, retry_backoff_ms=1, retry_backoff_max_ms=total_ms)


FORM: dict[str, str | Secret] = {"grant_type": "client_credentials", "secret": Secret(CANARY)}


async def test_a_form_is_posted_and_a_token_comes_back(server: Server) -> None:
    server.answer(GOOD)
    token = await endpoint(server).token(FORM, authorization=Secret("Basic x"), extensions={"a": "b"})
    assert (token.value, dict(token.extensions)) == (Secret("t"), {"a": "b"})
    assert token.expires_at_ms is not None
    (asked,) = server.asked
    assert asked.method == "POST"
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["Cache-Control"] == "no-cache"
    assert asked.headers["Authorization"] == "Basic x"
    assert asked.form == {"grant_type": "client_credentials", "secret": CANARY}


async def test_without_authorization_none_is_sent(server: Server) -> None:
    server.answer(GOOD)
    await endpoint(server).token(FORM)
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
async def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    server.answer(answer_json({}, status), Answer(status), GOOD)
    assert (await endpoint(server).token(FORM)).value == Secret("t")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501, 302])
async def test_what_is_final_is_not_tried_again(server: Server, status: int) -> None:
    server.answer(answer_json({"error": "invalid_client"}, status))
    error = await error_when_awaited(endpoint(server).token(FORM))
    assert not error.retriable
    assert error.fatal
    assert f"{server.url}/token" in str(error)
    assert len(server.asked) == 1


async def test_it_is_not_tried_for_ever(server: Server) -> None:
    server.answer(answer_json({"error": "busy"}, 503))
    error = await error_when_awaited(endpoint(server, total_ms=20).token(FORM))
    assert error.retriable
    assert "HTTP 503: 'busy'" in str(error)
    assert len(server.asked) > 1


async def test_a_longer_pause_than_there_is_time_ends_it(server: Server) -> None:
    server.answer(answer_json({}, 429, Retry_After="3600"))
    await error_when_awaited(endpoint(server).token(FORM))
    assert len(server.asked) == 1


async def test_a_slow_endpoint_is_tried_again(server: Server) -> None:
    server.answer(Answer(200, b"{}", hangs_after=1), GOOD)
    assert (await endpoint(server, timeout=0.1).token(FORM)).value == Secret("t")


async def test_a_long_answer_is_refused(server: Server) -> None:
    server.answer(Answer(200, b"x" * 300_000))
    error = await error_when_awaited(endpoint(server, total_ms=0).token(FORM))
    assert "longer than" in str(error)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", CANARY.encode()], ids=range(4))
async def test_a_malformed_answer_is_a_failure_without_its_words(server: Server, body: bytes) -> None:
    server.answer(Answer(200, body))
    error = await error_when_awaited(endpoint(server).token(FORM))
    assert "no JSON object" in str(error)


async def test_it_can_be_cancelled_in_a_pause(server: Server) -> None:
    server.answer(Answer(503))
    slow = TokenEndpoint(server.url, retry_backoff_ms=9000)
    with anyio.move_on_after(0.05) as scope:
        await slow.token(FORM)
    assert scope.cancelled_caught


def test_a_form_is_encoded_with_plus_for_spaces() -> None:
    assert encoded({"a b": "c d&=+é", "e": Secret("/")}) == Secret("a+b=c+d%26%3D%2B%C3%A9&e=%2F")


def test_an_address_is_an_endpoint() -> None:
    made = TokenEndpoint("https://a/token?secret=1")
    assert endpoint_from(made) is made
    assert repr(endpoint_from("https://a/token?secret=1")) == repr(made) == "TokenEndpoint('https://a/token')"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "http://a/"}, "not https"),
        ({"url": "https://a/", "timeout": 0}, "more than 0"),
        ({"url": "https://a/", "retry_backoff_ms": -1}, "at least 0"),
    ],
)
def test_what_cannot_be_right_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        TokenEndpoint(**arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_is_posted_is_hidden() -> None:
    assert_object_hides(encoded(FORM))
    assert_hidden(repr(FORM))
