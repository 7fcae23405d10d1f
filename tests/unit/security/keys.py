"""Private keys for tests, made when they run."""

from __future__ import annotations

from functools import cache
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Kind = Literal["RSA", "P-256", "P-384"]


@cache
def private_key(kind: Kind) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1() if kind == "P-256" else ec.SECP384R1())


@cache
def pem(kind: Kind, passphrase: str = "") -> bytes:
    """PKCS#8, encrypted if there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return private_key(kind).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
