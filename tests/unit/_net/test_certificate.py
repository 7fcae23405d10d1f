"""What a certificate says of itself; `cryptography` makes them, and says the same."""

from __future__ import annotations

import logging
import random
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from aioproducer._net.certificate import (
    Certificate,
    EndingCertificates,
    certificate_of_pem,
    read_certificate,
)
from tests.unit._net.tls_peers import HOST, certificates

DAY = 86_400.0
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def der_of(leaf: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


def made(
    *, names: list[x509.GeneralName] | None = None, begin: datetime = BEGIN, end: datetime = BEGIN, title: str = "b"
) -> bytes:
    """A certificate with just this in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Exämple"), x509.NameAttribute(NameOID.COMMON_NAME, "CA")]
    )
    builder = x509.CertificateBuilder(
        issuer, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)]), key.public_key(), 1, begin, end
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_names_issuer_and_times() -> None:
    leaf = certificates().expired
    oracle = x509.load_der_x509_certificate(der_of(leaf))
    found = read_certificate(der_of(leaf))
    assert found is not None
    assert found.names == (HOST,)
    assert found.not_before == oracle.not_valid_before_utc.timestamp()
    assert found.not_after == oracle.not_valid_after_utc.timestamp()
    organization, unit = (
        oracle.issuer.get_attributes_for_oid(oid)[0].value
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    )
    assert found.issuer == f"O={organization!s}, OU={unit!s}"
    assert certificate_of_pem(leaf.cert_chain_pems[0].bytes()) == found


def test_addresses_are_names_and_others_are_not() -> None:
    found = read_certificate(der_of(certificates().broker))
    assert found is not None
    assert found.names == (HOST, "localhost", "127.0.0.1")
    six = trustme.CA().issue_cert("::1", "*.example.test", "somebody@example.test")
    found = read_certificate(der_of(six))
    assert found is not None
    assert sorted(found.names) == ["*.example.test", "::1"]


def test_the_common_name_counts_when_there_are_no_others() -> None:
    found = read_certificate(made(title="old.example", end=BEGIN + timedelta(days=1)))
    assert found is not None
    assert found.names == ("old.example",)
    assert found.issuer == "O=Exämple, CN=CA"
    found = read_certificate(made(names=[x509.DNSName("a.example")], end=BEGIN + timedelta(days=1)))
    assert found is not None
    assert found.names == ("a.example",)


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2999])
def test_both_forms_of_times(year: int) -> None:
    begin = datetime(year, 2, 28, 23, 59, 58, tzinfo=UTC)
    found = read_certificate(made(begin=begin, end=begin + timedelta(days=400)))
    assert found is not None
    assert (found.not_before, found.not_after) == (begin.timestamp(), (begin + timedelta(days=400)).timestamp())


def test_damaged_ones_are_not_understood_and_nothing_is_raised() -> None:
    whole = der_of(certificates().broker)
    for size in range(len(whole)):
        assert read_certificate(whole[:size]) is None
    rng = random.Random(7)
    understood = 0
    for _ in range(2_000):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        understood += read_certificate(bytes(damaged)) is not None
    assert understood  # most bytes are of keys and signatures
    assert certificate_of_pem(b"-----BEGIN CERTIFICATE-----\n\xff") is None
    assert certificate_of_pem(b"") is None


def test_names_of_a_strangers_are_shown_escaped_and_not_all() -> None:
    certificate = Certificate(("a\nb", *(f"n{number}.example" for number in range(500))), "CN=x", 0, DAY)
    assert certificate.shown_names.startswith("'a\\nb', 'n0.example', ")
    assert certificate.shown_names.endswith("'n8.example' and 491 more")
    assert certificate.period == "good from 1970-01-01 00:00 UTC until 1970-01-02 00:00 UTC"


@pytest.mark.parametrize(
    ("life", "left", "expected"),
    [
        (365 * DAY, 15 * DAY, False),
        (365 * DAY, 13 * DAY, True),
        (DAY, 0.2 * DAY, False),  # of a service mesh, which renews it at half of its life
        (DAY, 0.09 * DAY, True),
        (90 * DAY, -DAY, True),
    ],
)
def test_what_soon_is(life: float, left: float, expected: bool) -> None:
    now = 1_000 * DAY
    assert Certificate((), "", now + left - life, now + left).is_ending(now) is expected


def test_one_warning_for_each(caplog: pytest.LogCaptureFixture) -> None:
    now_ms = 1_000_000_000
    endings = EndingCertificates(lambda: now_ms)
    one, other = (Certificate((), "", 0, end) for end in (now_ms / 1000 + 100, now_ms / 1000 - 1))
    with caplog.at_level(logging.WARNING, "aioproducer.connection"):
        for _ in range(3):
            endings.look("the certificate of b:1", one)
        endings.look("the certificate of b:2", one)
        endings.look("our own certificate", other)
        endings.look("our own certificate", None)
        endings.look("our own certificate", Certificate((), "", 0, 2e9))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["the certificate of b"] * 2 + [
        "our own certificate has ended on 1970-01-12 13"
    ]
    assert "the certificate of b:1 ends on 1970-01-12 13:48 UTC: renew it" in caplog.text
    assert {getattr(record, "event_name", "") for record in caplog.records} == {"certificate_ending"}


def test_what_is_remembered_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    endings = EndingCertificates(lambda: 0)
    for number in [*range(1_000), 0]:
        endings.look(f"the certificate of b:{number}", Certificate((), "", -2, -1))
    assert len(caplog.records) == 1_001  # the first is forgotten, and told again
