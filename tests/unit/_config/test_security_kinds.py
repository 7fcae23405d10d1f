"""The kinds of values that settings of TLS and SASL have."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from aioproducer._config.security_kinds import (
    EndpointAlgorithm,
    Extensions,
    FilePath,
    Mechanism,
    Names,
    Real,
    SecretKind,
    SslContextKind,
    TlsVersions,
    TokenProviderKind,
)
from aioproducer._secret import Secret


@pytest.mark.parametrize("value", ["word", b"word", Secret("word")])
def test_a_secret_in_any_form_is_kept_as_one(value: Any) -> None:
    assert SecretKind().native(value) == Secret("word")
    assert SecretKind().text("word") == Secret("word")
    assert SecretKind().text("") is None


def test_a_secret_may_be_a_callable_where_it_is_asked_for() -> None:
    def password() -> str:
        return ""

    assert SecretKind(may_be_asked=True).native(password) is password
    with pytest.raises(ValueError, match="is a function"):
        SecretKind().native(password)


def test_what_is_no_secret_is_told_by_its_type() -> None:
    with pytest.raises(ValueError, match="is a int") as caught:
        SecretKind().native(123456)
    assert "123456" not in str(caught.value)


def test_paths() -> None:
    assert FilePath().native(Path("a") / "b") == "a/b"
    assert FilePath().native(None) is FilePath().text("") is None
    with pytest.raises(ValueError, match="content of a file"):
        FilePath().native("-----BEGIN CERTIFICATE-----")
    with pytest.raises(ValueError, match="is a int"):
        FilePath().native(1)


@pytest.mark.parametrize("value", [["A", "B"], ("A", "B"), "A,B", "A:B", "[A, B]"])
def test_lists_of_names(value: Any) -> None:
    assert Names().native(value) == ("A", "B")


@pytest.mark.parametrize("value", [5, [5]])
def test_what_is_no_list_of_names(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is a int|no str"):
        Names().native(value)


def test_versions_of_tls() -> None:
    assert TlsVersions().native("TLSv1.3,TLSv1.2") == ("TLSv1.2", "TLSv1.3")
    assert TlsVersions().text("TLSv1.2") == ("TLSv1.2",)
    with pytest.raises(ValueError, match=r"TLSv1, TLSv1\.1, which are broken"):
        TlsVersions().text("TLSv1.2,TLSv1,TLSv1.1")
    for value in ("", "TLSv2"):
        with pytest.raises(ValueError, match="must be some of"):
            TlsVersions().text(value)


@pytest.mark.parametrize(
    ("value", "ours"),
    [("https", "https"), ("HTTPS", "https"), (True, "https"), ("", ""), ("none", ""), (False, ""), ("false", "")],
)
def test_the_check_of_host_names_in_every_dialect(value: Any, ours: str) -> None:
    assert EndpointAlgorithm().native(value) == ours


def test_another_algorithm_is_refused() -> None:
    for value in ("ldaps", 5):
        with pytest.raises(ValueError, match="must be"):
            EndpointAlgorithm().native(value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("scram-sha256", "SCRAM-SHA-256"),
        ("SCRAM_SHA_512", "SCRAM-SHA-512"),
        ("Plain", "PLAIN"),
        ("OAUTH", "OAUTHBEARER"),
    ],
)
def test_a_mechanism_that_is_nearly_one(value: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        Mechanism().text(value)


def test_mechanisms() -> None:
    assert Mechanism().native(["PLAIN"]) == "PLAIN"
    assert Mechanism().native("GSSAPI") == "GSSAPI"
    with pytest.raises(ValueError, match="none that Kafka has"):
        Mechanism().native("EXTERNAL")
    with pytest.raises(ValueError, match="is a list"):
        Mechanism().native(["PLAIN", "SCRAM-SHA-256"])


def test_extensions() -> None:
    assert Extensions().text("a=1, b=2=3") == {"a": "1", "b": "2=3"}
    assert Extensions().native({"a": "1"}) == {"a": "1"}
    with pytest.raises(ValueError, match="name=value"):
        Extensions().text("a")
    with pytest.raises(ValueError, match="no str"):
        Extensions().native({"a": 1})


def test_numbers_with_a_fraction() -> None:
    assert Real(0.5, 1).text("0.8") == Real(0.5, 1).native(0.8) == 0.8
    for value in ("x", "", ".", "nan", "1.5"):
        with pytest.raises(ValueError, match="must be"):
            Real(0.5, 1).text(value)


def test_contexts() -> None:
    context = ssl.create_default_context()
    assert SslContextKind().native(context) is context
    with pytest.raises(ValueError, match="for servers"):
        SslContextKind().native(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(ValueError, match="is a int"):
        SslContextKind().native(1)
    with pytest.raises(ValueError, match="in text"):
        SslContextKind().text("x")


def test_providers_of_tokens() -> None:
    class Theirs:
        def token(self) -> str:
            return ""

    theirs = Theirs()
    assert TokenProviderKind().native(theirs) is theirs
    with pytest.raises(ValueError, match="give an instance"):
        TokenProviderKind().native(Theirs)
    with pytest.raises(ValueError, match="is a str"):
        TokenProviderKind().native("x")
