"""security/_pem.py."""

from __future__ import annotations

import pytest

from aioproducer._secret import Secret
from aioproducer.security._pem import joined, kind_of, pem_blocks, way_out

BODY = "A" * 64 + "\n" + "B" * 64 + "\nCC=="
PEM = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"
OLD_KEY = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n"


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", " "),
        PEM.replace("\n", ""),
        f"\n\n  subject=é\n{PEM}\n\n",
        f'"{PEM}"',
    ],
)
def test_every_shape_of_pem_is_the_same(text: str) -> None:
    (block,) = pem_blocks(Secret(text))
    assert block.text.reveal() == PEM
    assert block.is_certificate
    assert not block.is_key


def test_the_headers_of_an_old_encrypted_key_stay() -> None:
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{OLD_KEY}-----END RSA PRIVATE KEY-----\n"
    (block,) = pem_blocks(Secret(text))
    assert block.is_key
    assert block.is_encrypted
    assert block.text.reveal() == text


def test_blocks_are_found_in_order_and_joined() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    blocks = pem_blocks(Secret("bag\n" + key + "between\n" + PEM + PEM))
    assert [block.label for block in blocks] == ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]
    assert joined(blocks).reveal() == key + PEM + PEM
    assert "AAAA" not in repr(blocks)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PEM.encode(), "PEM"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "JKS"),
        (b"\xce\xce\xce\xce", "JCEKS"),
        (b"\x30\x82\x0a\x00", "PKCS12"),
        (b"password=x", "unknown"),
        (b"", "unknown"),
    ],
)
def test_a_store_is_known_by_its_content(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


def test_the_way_out_of_a_java_store_can_be_typed() -> None:
    trust = way_out("JKS", "ssl_truststore_location", "/etc/trust.jks")
    assert "keytool -exportcert -rfc -keystore /etc/trust.jks" in trust
    own = way_out("JKS", "ssl_keystore_location", "/etc/key.jks")
    assert "keytool -importkeystore -srckeystore /etc/key.jks -destkeystore /etc/key.p12" in own
    assert "openssl pkcs12 -in /etc/key.p12 -nodes -out /etc/key.pem" in own
