"""_net/tls_context.py."""

from __future__ import annotations

import datetime
import logging
import os
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from aioproducer._net import tls_context
from aioproducer._net.layer import LayeredStream
from aioproducer._net.tls import TlsStep
from aioproducer._net.tls_context import TlsContexts, TlsSettings, make_context
from aioproducer._secret import Secret
from aioproducer.errors import AuthenticationError, ConfigurationError
from tests.unit._net.tls_peers import HOST, Peer, PeerStream, certificates, secure, server_context

PASSWORD = "key-password"


def pem(*parts: Any) -> str:
    return "".join(part.bytes().decode() for part in parts)


def key_of(certificate: Any, password: str | None = None, form: str = "PKCS8") -> str:
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    how = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), how).decode()


def chain_of(certificate: Any) -> str:
    return pem(*certificate.cert_chain_pems)


def pkcs12_of(certificate: Any, password: str | None) -> bytes:
    key: Any = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    leaf = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    how = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(b"me", key, leaf, None, how)


class Files:
    """Files in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Files:
    return Files(tmp_path)


def trusted(**settings: Any) -> TlsSettings:
    return TlsSettings(truststore_certificates=Secret(pem(certificates().ca.cert_pem)), **settings)


async def logs_in(settings: TlsSettings, *, asks: bool = True) -> None:
    """Make the context and use it with a server that asks for a client certificate."""
    stream = PeerStream(Peer(server_context(asks=asks), reply=bytes))
    tls = await secure(stream, make_context(settings), HOST, 9093)
    await tls.send(b"x")
    assert await tls.receive() == b"x"


def problem_of(settings: TlsSettings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make_context(settings)
    (problem,) = caught.value.problems
    assert PASSWORD not in problem
    return problem


# ── trust ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_ca_from_a_file_from_text_and_from_a_folder(file: Files) -> None:
    ca = pem(certificates().ca.cert_pem)
    both = "# Müller & Söhne\n" + pem(certificates().other_ca.cert_pem) + ca
    await logs_in(TlsSettings(truststore_location=file("ca.pem", both)), asks=False)
    await logs_in(TlsSettings(truststore_certificates=Secret(ca.replace("\n", "\\n"))), asks=False)
    await logs_in(TlsSettings(truststore_certificates=Secret(ca.replace("\n", " "))), asks=False)
    make_context(TlsSettings(truststore_location=str(file.folder)))


async def test_a_ca_that_is_given_replaces_the_systems() -> None:
    context = make_context(trusted())
    assert context.cert_store_stats()["x509"] == 1


async def test_the_brokers_own_certificate_may_be_what_is_trusted(file: Files) -> None:
    await logs_in(TlsSettings(truststore_location=file("leaf.pem", chain_of(certificates().broker))), asks=False)


def test_the_defaults_do_not_depend_on_the_version_of_python() -> None:
    context = make_context(TlsSettings())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no certificate"),
        ("ca=x", "has no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "OpenSSL does not read"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "keytool -exportcert"),
    ],
)
def test_what_is_no_trust_store_says_so(file: Files, content: str | bytes, words: str) -> None:
    problem = problem_of(TlsSettings(truststore_location=file("ca.pem", content)))
    assert problem.startswith("ssl_truststore_location")
    assert words in problem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    problem = problem_of(TlsSettings(truststore_location=str(tmp_path / "none.pem")))
    assert "none.pem' cannot be read: No such file or directory" in problem


async def test_names_and_verification_can_be_switched_off() -> None:
    stream = PeerStream(Peer(server_context(), reply=bytes))
    await secure(stream, make_context(trusted(is_name_checked=False)), "other.example", 9093)
    stream = PeerStream(Peer(server_context(), reply=bytes))
    await secure(stream, make_context(TlsSettings(is_verified=False)), "other.example", 9093)
    with pytest.raises(AuthenticationError):
        await secure(PeerStream(Peer(server_context())), make_context(TlsSettings(is_name_checked=False)), HOST, 9093)


# ── who we are ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("password", [None, PASSWORD])
async def test_a_key_in_every_form(file: Files, form: str, password: str | None) -> None:
    alice = certificates().client
    key, chain = key_of(alice, password, form), chain_of(alice)
    secret = None if password is None else Secret(password)
    await logs_in(trusted(keystore_location=file("both.pem", key + chain), key_password=secret))
    await logs_in(trusted(keystore_location=file("both.pem", "\n\n" + chain + key + "\n"), key_password=secret))
    await logs_in(trusted(certificate_chain=Secret(chain), key=Secret(key.replace("\n", "\\n")), key_password=secret))
    cert, key_file = file("cert.pem", chain), file("key.pem", key)
    await logs_in(trusted(certfile=cert, keyfile=key_file, key_password=secret))
    await logs_in(trusted(certfile=file("both.pem", key + chain), key_password=secret))


@pytest.mark.parametrize("password", [None, PASSWORD])
async def test_pkcs12(file: Files, password: str | None) -> None:
    path = file("alice.jks", pkcs12_of(certificates().client, password))  # by content, not by name
    await logs_in(trusted(keystore_location=path, keystore_password=None if password is None else Secret(password)))


def test_pkcs12_with_a_wrong_password(file: Files) -> None:
    path = file("alice.p12", pkcs12_of(certificates().client, PASSWORD))
    assert "does not open" in problem_of(trusted(keystore_location=path, keystore_password=Secret("other")))
    assert "does not open" in problem_of(trusted(keystore_location=path))


def test_pkcs12_without_the_extra_names_it_and_the_command(file: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    problem = problem_of(trusted(keystore_location=file("alice.p12", b"\x30\x82\x01\x00")))
    assert "aioproducer[crypto]" in problem
    assert "openssl pkcs12 -in" in problem


def test_what_is_wrong_with_a_key_is_told_apart(file: Files) -> None:
    alice, broker = certificates().client, certificates().broker
    key, chain = key_of(alice), chain_of(alice)
    locked = key_of(alice, PASSWORD)
    at = partial(file, "both.pem")

    def problem(content: str | bytes, password: str | None = None) -> str:
        secret = None if password is None else Secret(password)
        return problem_of(trusted(keystore_location=at(content), key_password=secret))

    assert "has no private key" in problem(chain)
    assert "has no certificate" in problem(key)
    assert "is encrypted; give ssl_key_password" in problem(locked + chain)
    assert "ssl_key_password does not open the private key" in problem(locked + chain, "wrong")
    assert "is not that of the first certificate" in problem(key_of(broker) + chain)
    assert "2 private keys" in problem(key + key + chain)
    assert "keytool -importkeystore" in problem(b"\xfe\xed\xfe\xed\0\0\0\2")
    assert "does not read the key" in problem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + chain)
    assert "ssl_keyfile" in problem_of(trusted(certfile=file("c.pem", chain), keyfile=file("k.pem", chain)))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_context(
            TlsSettings(
                truststore_location=str(tmp_path / "a"), keystore_location=str(tmp_path / "b"), ciphers=("TLS_X",)
            )
        )
    assert len(caught.value.problems) == 3


def test_nothing_of_a_key_is_left_in_the_file_system(file: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)  # as where there is none
    temporary = file.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    alice = certificates().client
    make_context(trusted(keystore_location=file("both.pem", key_of(alice) + chain_of(alice))))
    assert not list(temporary.iterdir())


# ── versions, ciphers, revocation ────────────────────────────────────────────────────────────────────────────────────


def test_versions_and_ciphers() -> None:
    context = make_context(trusted(versions=("TLSv1.2",), ciphers=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",)))
    assert context.maximum_version is ssl.TLSVersion.TLSv1_2
    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert "ECDHE-RSA-AES128-GCM-SHA256" in names
    assert "ECDHE-RSA-AES256-GCM-SHA384" not in names


@pytest.mark.parametrize("name", ["TLS_NONE", "NO-SUCH-CIPHER"])
def test_unknown_ciphers_are_refused(name: str) -> None:
    assert problem_of(trusted(ciphers=(name,))).startswith("ssl_cipher_suites")


async def test_without_a_list_of_its_issuer_revocation_refuses(file: Files) -> None:
    context = make_context(trusted(crlfile=file("crl.pem", _empty_list(certificates().other_ca))))
    with pytest.raises(AuthenticationError, match="ssl_crlfile"):
        await secure(PeerStream(Peer(server_context())), context, HOST, 9093)
    await logs_in(trusted(crlfile=file("crl.pem", _empty_list(certificates().ca))), asks=False)


def _empty_list(ca: Any) -> bytes:
    import datetime

    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    builder = builder.last_update(now - datetime.timedelta(hours=1)).next_update(now + datetime.timedelta(days=1))
    key: Any = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


# ── kept, and made anew ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_context_is_made_once(file: Files) -> None:
    contexts = TlsContexts(TlsSettings(truststore_location=file("ca.pem", pem(certificates().ca.cert_pem))))
    assert await contexts.get() is await contexts.get()


async def test_a_replaced_file_is_used_by_the_next_connection(
    file: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tls_context, "LOOK_SECONDS", 0.0)
    path = file("ca.pem", pem(certificates().other_ca.cert_pem))
    contexts = TlsContexts(TlsSettings(truststore_location=path))
    before = await contexts.get()
    with caplog.at_level(logging.INFO, "aioproducer.connection"):
        file("ca.pem", "half-way")
        for _ in range(3):
            assert await contexts.get() is before
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "ssl_truststore_location" in warning.getMessage()
    file("ca.pem", pem(certificates().ca.cert_pem))
    after = await contexts.get()
    assert after is not before
    await secure(PeerStream(Peer(server_context())), after, HOST, 9093)


async def test_our_own_certificate_is_known_and_warned_of_when_it_has_ended(
    file: Files, caplog: pytest.LogCaptureFixture
) -> None:
    expired = certificates().expired
    contexts = TlsContexts(trusted(keystore_location=file("own.pem", key_of(expired) + chain_of(expired))))
    for _ in range(2):
        await contexts.get()
    assert contexts.ours is not None
    assert contexts.ours.names == (HOST,)
    (record,) = caplog.records
    assert record.getMessage().startswith("our own certificate has ended on ")


async def test_a_brokers_certificate_that_ends_is_warned_of_once(file: Files, caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ending = certificates().ca.issue_cert(
        HOST, not_before=now - datetime.timedelta(days=300), not_after=now + datetime.timedelta(days=3)
    )
    step = TlsStep(TlsContexts(trusted()))
    for certificate in (ending, ending, certificates().broker):
        layered = LayeredStream(PeerStream(Peer(server_context(certificate))), await step.new_layer(HOST, 9093))
        await layered.open()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the certificate of {HOST}:9093 ends on ")


async def test_files_are_not_looked_at_more_than_once_a_second(file: Files) -> None:
    path = file("ca.pem", pem(certificates().ca.cert_pem))
    contexts = TlsContexts(TlsSettings(truststore_location=path))
    before = await contexts.get()
    file("ca.pem", pem(certificates().ca.cert_pem, certificates().other_ca.cert_pem))
    assert await contexts.get() is before


async def test_the_first_context_that_cannot_be_made_raises_each_time(tmp_path: Path) -> None:
    contexts = TlsContexts(TlsSettings(truststore_location=str(tmp_path / "none.pem")))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"none\.pem"):
            await contexts.get()


async def test_a_context_of_the_programs_is_used_as_it_is() -> None:
    given = ssl.create_default_context()
    assert await TlsContexts(given).get() is given
    assert await TlsContexts(lambda: given).get() is given

    async def later() -> ssl.SSLContext:
        return given

    assert await TlsContexts(later).get() is given
    with pytest.raises(ConfigurationError, match="returned int"):
        await TlsContexts(lambda: 1).get()
