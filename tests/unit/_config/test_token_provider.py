"""What gives tokens, as settings describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aioproducer._config import SETTINGS, ProducerConfig
from aioproducer._config.token_provider import ConstantToken, token_provider_of
from aioproducer._secret import Secret
from aioproducer.security import OidcClientCredentials, TokenFile


def provider_of(**settings: Any) -> Any:
    given: dict[str, Any] = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", **settings}
    config = ProducerConfig(bootstrap_servers="a:1", **given)
    return token_provider_of({name: getattr(config, name) for name in SETTINGS})


async def test_a_provider_that_is_given() -> None:
    provider = provider_of(sasl_oauth_token_provider=lambda: "token")
    assert (await provider()).value == Secret("token")


def test_an_endpoint() -> None:
    settings = {
        "sasl_oauthbearer_token_endpoint_url": "https://login.example/token",
        "sasl_oauthbearer_client_credentials_client_id": "c",
    }
    provider = provider_of(**settings, sasl_oauthbearer_client_credentials_client_secret="hidden")
    assert isinstance(provider, OidcClientCredentials)
    assert "hidden" not in repr(provider)


def test_an_endpoint_with_assertions(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    settings = {
        "sasl_oauthbearer_token_endpoint_url": "https://login.example/token",
        "sasl_oauthbearer_client_credentials_client_id": "c",
    }
    for name in ("sasl_oauthbearer_assertion_file", "sasl_oauthbearer_assertion_private_key_file"):
        assert isinstance(provider_of(**settings, **{name: tmp_path / "key.pem"}), OidcClientCredentials)


def test_a_file_of_a_token() -> None:
    assert isinstance(provider_of(sasl_oauthbearer_token_endpoint_url="file:///var/run/token"), TokenFile)


async def test_a_token_that_stays() -> None:
    assert (await ConstantToken(Secret("token"))()).value == Secret("token")
