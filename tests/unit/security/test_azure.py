"""Tokens of Microsoft Entra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._azure import AzureManagedIdentity, AzureWorkloadIdentity
from tests.unit.sasl.canary import CANARY
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server, answer_json
from tests.unit.security.jwts import jwt

if TYPE_CHECKING:
    from pathlib import Path

HUB = "https://hub.servicebus.windows.net"


async def test_a_machine_asks_its_metadata_service(server: Server) -> None:
    server.answer(answer_json({"access_token": "t", "expires_on": "1893456000", "token_type": "Bearer"}))
    token = await AzureManagedIdentity(HUB, address=f"{server.url}/token", extensions={"a": "b"})()
    assert (token.value, token.expires_at_ms, dict(token.extensions)) == (
        Secret("t"),
        1_893_456_000_000,
        {"a": "b"},
    )
    (asked,) = server.asked
    assert asked.path == "/token?api-version=2018-02-01&resource=https%3A%2F%2Fhub.servicebus.windows.net"
    assert asked.headers["Metadata"] == "true"


async def test_a_machine_may_have_several_identities(server: Server) -> None:
    server.answer(answer_json({"access_token": "t"}))
    await AzureManagedIdentity(HUB, client_id="c d", address=server.url)()
    assert server.asked[0].path.endswith("&client_id=c+d")


@pytest.mark.parametrize("status", [404, 410, 429, 500])
async def test_a_service_that_is_not_there_yet_is_asked_again(server: Server, status: int) -> None:
    server.answer(Answer(status), answer_json({"access_token": "t"}))
    assert (await AzureManagedIdentity(HUB, address=server.url)()).value == Secret("t")


async def test_a_machine_without_identity_is_refused(server: Server) -> None:
    server.answer(answer_json({"error": "invalid_request", "error_description": "Identity not found"}, 400))
    error = await error_when_awaited(AzureManagedIdentity(HUB, address=server.url)())
    assert not error.retriable
    assert "'Identity not found'" in str(error)


async def test_no_proxy_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answer(answer_json({"access_token": "t"}))
    await AzureManagedIdentity(HUB, address=server.url)()


async def test_a_pods_token_is_its_statement(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("pods-token\n")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{server.url}/")
    server.answer(answer_json({"access_token": jwt(sub="pod", exp=1_893_456_000)}))
    token = await AzureWorkloadIdentity(f"{HUB}/.default")()
    assert (token.principal, token.expires_at_ms) == ("pod", 1_893_456_000_000)
    (asked,) = server.asked
    assert asked.path == "/tenant/oauth2/v2.0/token"
    assert asked.form == {
        "grant_type": "client_credentials",
        "scope": f"{HUB}/.default",
        "client_id": "client",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "pods-token",
    }


async def test_all_of_it_may_be_given(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    server.answer(answer_json({"error": "unauthorized_client"}, 401))
    provider = AzureWorkloadIdentity(
        "s", tenant_id="t", client_id="c", token_file=tmp_path / "token", authority=server.url
    )
    error = await error_when_awaited(provider())
    assert "'unauthorized_client'" in str(error)
    assert server.asked[0].form["client_id"] == "c"


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    error = await error_when_awaited(AzureWorkloadIdentity("s")())
    assert not error.retriable
    assert "AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE" in str(error)


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a resource"):
        AzureManagedIdentity("")
    with pytest.raises(ConfigurationError, match="needs a scope"):
        AzureWorkloadIdentity("")
    with pytest.raises(ConfigurationError, match="metadata service is not an address"):
        AzureManagedIdentity("r", address="x")
    with pytest.raises(ConfigurationError, match="extension"):
        AzureWorkloadIdentity("s", extensions={"1": "x"})


def test_they_show_what_they_ask_for() -> None:
    assert repr(AzureManagedIdentity("r")) == "AzureManagedIdentity('r')"
    assert repr(AzureWorkloadIdentity("s")) == "AzureWorkloadIdentity('s')"
