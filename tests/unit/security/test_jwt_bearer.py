"""The grant jwt-bearer."""

from __future__ import annotations

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._assertions import Claims, SignedAssertion
from aioproducer.security._jwt_bearer import JwtBearer
from tests.unit.sasl.canary import CANARY
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Server, answer_json
from tests.unit.security.jwts import claims_in, jwt
from tests.unit.security.keys import pem

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def statement() -> Secret:
    return Secret(CANARY)


async def test_a_statement_is_all_that_is_sent(server: Server) -> None:
    server.answer(answer_json({"access_token": jwt(sub="service")}))
    token = await JwtBearer(server.url, statement, scope="a b", extensions={"x": "y"})()
    assert (token.principal, dict(token.extensions)) == ("service", {"x": "y"})
    (asked,) = server.asked
    assert "Authorization" not in asked.headers
    assert asked.form == {"grant_type": GRANT, "scope": "a b", "assertion": CANARY}


async def test_each_token_is_asked_for_with_a_new_statement(server: Server) -> None:
    server.answer(answer_json({"access_token": "t"}))
    signed = SignedAssertion(private_key=pem("P-256"), algorithm="ES256", claims=Claims(issuer="me", has_id=True))
    provider = JwtBearer(server.url, signed)
    await provider()
    await provider()
    sent = [claims_in(asked.form["assertion"]) for asked in server.asked]
    assert [claims["iss"] for claims in sent] == ["me", "me"]
    assert sent[0]["jti"] != sent[1]["jti"]


async def test_a_refusal_shows_nothing_of_the_statement(server: Server) -> None:
    server.answer(answer_json({"error": "invalid_grant"}, 400))
    error = await error_when_awaited(JwtBearer(server.url, statement)())
    assert not error.retriable
    assert "'invalid_grant'" in str(error)


def test_a_bad_extension_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="extension"):
        JwtBearer("https://a/", statement, extensions={"": "x"})


def test_it_shows_where_it_asks() -> None:
    assert repr(JwtBearer("https://a/?x=1", statement)).startswith("JwtBearer(TokenEndpoint('https://a/'), ")
