"""Tokens for Google's Managed Service for Apache Kafka."""

from __future__ import annotations

import base64
import time
from typing import cast

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._oauthbearer import OAuthBearer
from aioproducer.security._google import GoogleCloud, kafka_token
from tests.unit.sasl.canary import CANARY, assert_object_hides
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server, answer_json
from tests.unit.security.jwts import claims_in

ACCOUNTS = "/computeMetadata/v1/instance/service-accounts"


def test_an_access_token_is_where_a_jwt_has_its_signature() -> None:
    token = kafka_token(Secret(CANARY), email="a@b", issued_at_ms=1_000_999, expires_at_ms=2_000_000)
    text = token.value.reveal()
    assert claims_in(text, 0) == {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    assert claims_in(text) == {"exp": 2000, "iat": 1000, "iss": "Google", "sub": "a@b"}
    assert base64.urlsafe_b64decode(text.split(".")[2] + "==") == CANARY.encode()
    assert (token.principal, token.expires_at_ms) == ("a@b", 2_000_000)
    assert OAuthBearer(token.value).first()
    assert_object_hides(token)


async def test_the_metadata_service_is_asked_for_account_and_token(server: Server) -> None:
    server.by_path = {
        f"{ACCOUNTS}/default/email": Answer(200, b"kafka@project.iam.gserviceaccount.com\n"),
        f"{ACCOUNTS}/default/token": answer_json({"access_token": "ya29.t", "expires_in": 3000}),
    }
    token = await GoogleCloud(address=server.url)()
    claims = claims_in(token.value.reveal())
    assert claims["sub"] == token.principal == "kafka@project.iam.gserviceaccount.com"
    assert abs(cast("int", claims["exp"]) - time.time() - 3000) < 60
    assert [asked.headers["Metadata-Flavor"] for asked in server.asked] == ["Google", "Google"]


async def test_another_account_may_be_named(server: Server) -> None:
    server.answer(Answer(404))
    error = await error_when_awaited(GoogleCloud(service_account="a@b", address=server.url)())
    assert not error.retriable
    assert f"{ACCOUNTS}/a@b/email answered HTTP 404" in str(error)


@pytest.mark.parametrize("fields", [{}, {"access_token": CANARY}, {"expires_in": 5}], ids=range(3))
async def test_an_answer_without_token_is_not_shown(server: Server, fields: dict[str, object]) -> None:
    server.by_path = {
        f"{ACCOUNTS}/default/email": Answer(200, b"a@b"),
        f"{ACCOUNTS}/default/token": answer_json(fields),
    }
    error = await error_when_awaited(GoogleCloud(address=server.url)())
    assert error.retriable


def test_an_account_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="metadata service is not an address"):
        GoogleCloud(service_account="a b")
    assert repr(GoogleCloud()) == "GoogleCloud(service_account='default')"
