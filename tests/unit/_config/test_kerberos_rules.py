"""What sasl_mechanism=GSSAPI needs, and what Krb5LoginModule says."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aioproducer._config import ProducerConfig
from aioproducer.errors import ConfigurationError

MODULE = "com.sun.security.auth.module.Krb5LoginModule required"
BASE: dict[str, Any] = {
    "bootstrap_servers": "b:1",
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "GSSAPI",
}


@pytest.fixture
def keytab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A keytab, and the package gssapi as far as looking for it goes."""
    module = ModuleType("gssapi")
    module.__spec__ = ModuleSpec("gssapi", None)
    monkeypatch.setitem(sys.modules, "gssapi", module)
    path = tmp_path / "alice.keytab"
    path.touch(0o600)
    return str(path)


def problems(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(**{**BASE, **settings})
    return "\n".join(caught.value.problems)


def test_it_needs_nothing_but_the_package(keytab: str) -> None:
    config = ProducerConfig(**BASE)
    assert config.sasl_kerberos_service_name == "kafka"
    assert config.sasl_kerberos_keytab is config.sasl_kerberos_principal is None
    assert any("GSSAPI without TLS" in note for note in config.notes)


def test_a_missing_package_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    monkeypatch.setattr(sys, "path", [])
    assert "aioproducer[gssapi]" in problems()


def test_what_belongs_to_other_mechanisms_is_refused(keytab: str) -> None:
    told = problems(sasl_username="alice", sasl_password="x")
    assert "sasl_username is given, but sasl_mechanism is GSSAPI" in told
    assert "sasl_password is given" in told


def test_two_places_of_tickets_are_refused(keytab: str) -> None:
    assert "keep one" in problems(sasl_kerberos_keytab=keytab, sasl_kerberos_ticket_cache="FILE:/t")


def test_a_keytab_has_to_be_there(keytab: str) -> None:
    assert "sasl_kerberos_keytab: '/nowhere' cannot be read" in problems(sasl_kerberos_keytab="/nowhere")
    told = problems(sasl_jaas_config=f"{MODULE} useKeyTab=true keyTab='/nowhere';")
    assert "sasl_kerberos_keytab: '/nowhere' cannot be read" in told


def test_the_login_module_fills_the_settings(keytab: str) -> None:
    jaas = f"{MODULE} useKeyTab=true storeKey=true keyTab='{keytab}' principal='alice@R' serviceName=stream;"
    config = ProducerConfig(**BASE, sasl_jaas_config=jaas)
    assert config.sasl_kerberos_keytab == keytab
    assert config.sasl_kerberos_principal == "alice@R"
    assert config.sasl_kerberos_service_name == "stream"
    assert any("storeKey" in note for note in config.notes)
    config = ProducerConfig(**BASE, sasl_jaas_config=f"{MODULE} useTicketCache=true ticketCache='/t';")
    assert config.sasl_kerberos_ticket_cache == "/t"
    assert config.sasl_kerberos_keytab is None


def test_two_names_of_the_service_have_to_be_the_same(keytab: str) -> None:
    jaas = f"{MODULE} useTicketCache=true serviceName=stream;"
    assert "keep one" in problems(sasl_jaas_config=jaas, sasl_kerberos_service_name="kafka")
    ProducerConfig(**BASE, sasl_jaas_config=jaas, sasl_kerberos_service_name="stream")


def test_no_command_is_run(keytab: str) -> None:
    with pytest.raises(ConfigurationError, match="no command is run"):
        ProducerConfig.from_config({**BASE, "sasl.kerberos.kinit.cmd": "rm -rf /"})
