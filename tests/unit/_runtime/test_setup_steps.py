"""From settings to the steps of a connection's set-up."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._net.setup import NO_STEPS
from aioproducer._runtime.setup_steps import prepared_steps
from tests.unit._net.test_tls_context import pem
from tests.unit._net.tls_peers import certificates


def config(**settings: Any) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers="a:1", **settings)


async def test_plaintext_has_none() -> None:
    assert await prepared_steps(config()) is NO_STEPS


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_each_mechanism_with_and_without_tls(mechanism: str, protocol: str) -> None:
    who: dict[str, Any] = {"sasl_username": "u", "sasl_password": "p"}
    if mechanism == "OAUTHBEARER":
        who = {"sasl_oauth_token_provider": lambda: "token"}
    if protocol == "SASL_SSL":
        who["ssl_truststore_certificates"] = pem(certificates().ca.cert_pem)
    steps = await prepared_steps(config(security_protocol=protocol, sasl_mechanism=mechanism, **who))
    assert steps.authenticate is not None
    assert steps.authenticate.name == f"SASL {mechanism}"
    assert (steps.secure is not None) == (protocol == "SASL_SSL")


async def test_kerberos(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("gssapi")
    module.__spec__ = ModuleSpec("gssapi", None)
    monkeypatch.setitem(sys.modules, "gssapi", module)  # looked for with the settings, used with the first connection
    steps = await prepared_steps(config(security_protocol="SASL_PLAINTEXT", sasl_mechanism="GSSAPI"))
    assert steps.authenticate is not None
    assert steps.authenticate.name == "SASL GSSAPI"


async def test_what_is_wrong_with_tls_is_told_before_all_else() -> None:
    with pytest.raises(ConfigurationError, match="has no certificate"):
        await prepared_steps(config(security_protocol="SSL", ssl_truststore_certificates="nothing"))
