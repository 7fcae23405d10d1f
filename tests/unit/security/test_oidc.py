"""The grant client_credentials (Java's ClientSecretRequestFormatterTest and ClientAssertionRequestFormatterTest)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, cast

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._oidc import ClientAuth, OidcClientCredentials
from tests.unit.sasl.canary import CANARY, assert_hidden, error_of
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server, answer_json
from tests.unit.security.jwts import jwt

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = answer_json({"access_token": jwt(exp=4102444800, sub="service")})


async def test_id_and_secret_go_into_the_header(server: Server) -> None:
    server.answer(GOOD)
    token = await OidcClientCredentials(f"{server.url}/t", "id", "sec/ret+?", extensions={"logicalCluster": "lkc"})()
    assert (token.principal, token.expires_at_ms) == ("service", 4102444800_000)
    assert dict(token.extensions) == {"logicalCluster": "lkc"}
    (asked,) = server.asked
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"id:sec/ret+?").decode()
    assert asked.body == b"grant_type=client_credentials"


async def test_both_are_encoded_first_if_wanted(server: Server) -> None:
    server.answer(GOOD)
    await OidcClientCredentials(server.url, "i d", "s:é", urlencode_header=True)()
    assert server.asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"i+d:s%3A%C3%A9").decode()


async def test_id_and_secret_go_into_the_form_if_wanted(server: Server) -> None:
    server.answer(GOOD)
    await OidcClientCredentials(server.url, "id", "secret", client_auth="post")()
    (asked,) = server.asked
    assert "Authorization" not in asked.headers
    assert asked.form == {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}


async def test_scope_audience_and_more_are_encoded(server: Server) -> None:
    server.answer(GOOD)
    await OidcClientCredentials(
        server.url, "id", "s", scope="a b", audience="https://kafka", parameters={"resource": "x&y"}
    )()
    assert server.asked[0].body == (
        b"grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fkafka&resource=x%26y"
    )


async def test_a_signed_statement_stands_for_the_secret(server: Server) -> None:
    async def assertion() -> Secret:
        return Secret("header.claims.signature")

    server.answer(GOOD)
    await OidcClientCredentials(server.url, "id", assertion=assertion, scope="s")()
    (asked,) = server.asked
    assert "Authorization" not in asked.headers
    assert asked.form == {
        "grant_type": "client_credentials",
        "scope": "s",
        "client_id": "id",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "header.claims.signature",
    }


async def test_a_secret_that_rotates_is_asked_for_each_time(server: Server) -> None:
    secrets = iter(["first", "second"])

    async def secret() -> str:
        return next(secrets)

    server.answer(GOOD)
    provider = OidcClientCredentials(server.url, "id", secret)
    await provider()
    await provider()
    sent = [base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")) for asked in server.asked]
    assert sent == [b"id:first", b"id:second"]


async def test_the_principal_may_be_in_another_claim(server: Server) -> None:
    server.answer(answer_json({"access_token": jwt(azp="client")}))
    assert (await OidcClientCredentials(server.url, "id", "s", principal_claim="azp")()).principal == "client"


@pytest.mark.parametrize("client_auth", ["basic", "post"])
async def test_a_refusal_shows_nothing_of_the_request(server: Server, client_auth: ClientAuth) -> None:
    server.answer(answer_json({"error": "invalid_client", "error_description": "Invalid client secret"}, 401))
    provider = OidcClientCredentials(server.url, "id", CANARY, client_auth=client_auth)
    error = await error_when_awaited(provider())
    assert not error.retriable
    assert "HTTP 401: 'invalid_client' 'Invalid client secret'" in str(error)


@pytest.mark.parametrize("client_auth", ["basic", "post"])
async def test_a_broken_connection_shows_nothing_of_the_request(server: Server, client_auth: ClientAuth) -> None:
    server.answer(Answer(raw=b"\xff"), Answer(403))
    await error_when_awaited(OidcClientCredentials(server.url, "id", CANARY, client_auth=client_auth)())


def test_it_shows_no_secret() -> None:
    provider = OidcClientCredentials("https://a/", "id", CANARY)
    assert_hidden(repr(provider) + repr(vars(provider)))
    assert repr(provider) == "OidcClientCredentials(TokenEndpoint('https://a/'), client_id='id')"


async def statement() -> Secret:
    return Secret(CANARY)


URL = "https://a/"
WRONG: dict[str, Callable[[], object]] = {
    "client id for the token endpoint is empty": lambda: OidcClientCredentials(URL, "", CANARY),
    "one of client_secret and assertion": lambda: OidcClientCredentials(URL, "id"),
    "one of client_secret and": lambda: OidcClientCredentials(URL, "id", CANARY, assertion=statement),
    "basic or post, not 'x'": lambda: OidcClientCredentials(URL, "id", CANARY, client_auth=cast("ClientAuth", "x")),
    "not https": lambda: OidcClientCredentials("http://a/", "id", CANARY),
    "extension 'a-b'": lambda: OidcClientCredentials(URL, "id", CANARY, extensions={"a-b": "x"}),
}


@pytest.mark.parametrize(("words", "make"), WRONG.items(), ids=range(6))
def test_what_cannot_be_right_is_refused(words: str, make: Callable[[], object]) -> None:
    error = error_of(make)
    assert isinstance(error, ConfigurationError)
    assert words in str(error)
