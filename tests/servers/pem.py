"""Certificates as PEM files that a real Kafka takes: a key in PKCS#8, then the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from pathlib import Path

    import trustme


def key_and_chain(certificate: trustme.LeafCert, password: bytes | None = None) -> bytes:
    """The key, encrypted if there is a password, and the chain."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    return pem + b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def write(folder: Path, name: str, content: bytes) -> str:
    """Write a file that only we read; its path."""
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)
