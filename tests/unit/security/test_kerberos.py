"""Kerberos by the package gssapi, which is not needed here: a stand-in notes what it is asked for."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aioproducer.errors import AuthenticationError, ConfigurationError
from aioproducer.security._kerberos import KerberosContext, KerberosSettings, explained, loaded

FIRST_ERROR = -1765328384


class GSSError(Exception):
    """As gssapi has it: two codes, the second by the mechanism, as numbers without a sign."""

    def __init__(self, number: int, words: str | bytes = "words of MIT's", major: int = 851968) -> None:
        self.maj_code = major
        self.min_code = (number + FIRST_ERROR) & 0xFFFFFFFF
        self._words = words

    def get_all_statuses(self, code: int, is_major: bool) -> list[str | bytes]:
        assert code == (self.maj_code if is_major else self.min_code)
        return ["Unspecified GSS failure"] if is_major else [self._words]


class Context:
    """What gssapi.SecurityContext has that is used."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.complete = False

    def step(self, token: bytes | None) -> bytes | None:
        if token == b"skew":
            raise GSSError(37, "Clock skew too great")
        if token is None:
            return b"first"
        self.complete = True
        return None

    def wrap(self, message: bytes, encrypt: bool) -> Any:
        return SimpleNamespace(message=b"clear" + message if not encrypt else b"")

    def unwrap(self, message: bytes) -> Any:
        return SimpleNamespace(message=message[1:])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the package was asked for; it is loaded with this test only."""
    notes: dict[str, Any] = {}
    module: Any = ModuleType("gssapi")
    module.exceptions = SimpleNamespace(GSSError=GSSError)
    module.MechType = SimpleNamespace(kerberos="krb5")
    module.NameType = SimpleNamespace(hostbased_service="service", kerberos_principal="principal")
    module.RequirementFlag = SimpleNamespace(mutual_authentication=1, integrity=2, out_of_sequence_detection=4)

    def name(text: str, kind: str) -> tuple[str, str]:
        return text, kind

    module.Name = name

    def credentials(**arguments: Any) -> str:
        notes["credentials"] = arguments
        if arguments["store"] == {"ccache": "FILE:/nowhere"}:
            raise GSSError(195, b"No credentials cache found")
        return "credentials"

    def security_context(**arguments: Any) -> Context:
        notes["context"] = arguments
        return Context(arguments)

    module.Credentials, module.SecurityContext = credentials, security_context
    monkeypatch.setitem(sys.modules, "gssapi", module)
    return notes


def test_without_settings_the_system_chooses_the_ticket(asked: dict[str, Any]) -> None:
    context = KerberosContext(KerberosSettings(), "broker-1.example.com")
    assert "credentials" not in asked
    assert asked["context"] == {
        "name": ("kafka@broker-1.example.com", "service"),
        "creds": None,
        "usage": "initiate",
        "mech": "krb5",
        "flags": 7,  # mutual: a broker without the service's key is found out
    }
    assert context.target == "kafka/broker-1.example.com"


def test_a_keytab_has_tickets_of_its_own(asked: dict[str, Any]) -> None:
    KerberosContext(KerberosSettings("k", "other-host", "alice@R", "/keytab"), "broker-1")
    credentials = asked["credentials"]
    assert credentials["name"] == ("alice@R", "principal")
    assert credentials["usage"] == "initiate"
    assert credentials["store"]["client_keytab"] == "/keytab"
    assert credentials["store"]["ccache"].startswith("MEMORY:aioproducer-")
    assert asked["context"]["name"] == ("k@other-host", "service")
    assert asked["context"]["creds"] == "credentials"


def test_tickets_in_memory_are_of_one_principal_and_keytab() -> None:
    settings = [
        KerberosSettings(principal="alice", keytab="/a"),
        KerberosSettings(principal="bob", keytab="/a"),
        KerberosSettings(keytab="/a"),
        KerberosSettings(principal="alice", keytab="/b"),
    ]
    assert len({each.store["ccache"] for each in settings}) == len(settings)
    assert KerberosSettings("x", "y", "alice", "/a").store == settings[0].store  # for any broker


def test_another_cache_of_tickets(asked: dict[str, Any]) -> None:
    KerberosContext(KerberosSettings(ticket_cache="FILE:/tickets"), "broker-1")
    assert asked["credentials"]["store"] == {"ccache": "FILE:/tickets"}
    assert asked["credentials"]["name"] is None


def test_its_steps(asked: dict[str, Any]) -> None:
    context = KerberosContext(KerberosSettings(), "broker-1")
    assert context.step(b"") == b"first"
    assert not context.is_complete
    assert context.step(b"theirs") == b""
    assert context.is_complete
    assert context.wrap(b"1") == b"clear1"
    assert context.unwrap(b"x2") == b"2"


def test_an_error_of_any_step_is_explained(asked: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError, match=r"No credentials cache found.*sasl_kerberos_ticket_cache") as caught:
        KerberosContext(KerberosSettings(ticket_cache="FILE:/nowhere"), "broker-1")
    assert isinstance(caught.value.__cause__, GSSError)
    context = KerberosContext(KerberosSettings(), "broker-1")
    with pytest.raises(AuthenticationError, match=r"Clock skew too great; this host's clock and the KDC's differ"):
        context.step(b"skew")


@pytest.mark.parametrize(
    ("number", "words", "retriable"),
    [
        (6, "does not know our principal", False),
        (7, "the KDC knows no kafka/b", False),
        (24, "make the keytab anew", False),
        (32, "run kinit again", False),
        (37, "set them by NTP", False),
        (141, "there is no ticket of 'alice': run kinit", False),
        (156, "no KDC answers", True),
        (230, "default_realm", False),
    ],
)
def test_what_an_error_means(number: int, words: str, retriable: bool) -> None:
    error = explained(GSSError(number), "kafka/b", KerberosSettings(principal="alice"))
    assert str(error).startswith("no ticket for kafka/b: words of MIT's; ")
    assert words in str(error)
    assert error.retriable is retriable


def test_where_no_credentials_were() -> None:
    error = explained(GSSError(195), "kafka/b", KerberosSettings(principal="alice", keytab="/a.keytab"))
    assert "the keytab '/a.keytab' cannot be read, or has no key of 'alice'" in str(error)
    error = explained(GSSError(195), "kafka/b", KerberosSettings())
    assert "there is no ticket of any principal" in str(error)


def test_an_error_that_nobody_knows_keeps_the_librarys_words() -> None:
    error = explained(GSSError(999), "kafka/b", KerberosSettings())
    assert str(error) == "no ticket for kafka/b: words of MIT's"
    assert str(explained(GSSError(999, ""), "k", KerberosSettings())).endswith("k: Unspecified GSS failure")
    assert "major 0, minor" in str(explained(GSSError(999, "", major=0), "k", KerberosSettings()))


def test_a_package_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigurationError, match=r"aioproducer\[gssapi\]"):
        loaded()
