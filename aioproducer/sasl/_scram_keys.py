"""The keys of SCRAM: how they come from a password, what is proved with them, and how long they are kept.

Deriving them is slow on purpose: 16,384 rounds took 3 to 27 ms with SHA-256 and 6 to 35 with SHA-512, depending on what
else the machine did (CPython 3.11, OpenSSL 3.0). Salt and count of a user stay the same, so one derivation serves all
connections.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Hashable

KEPT: Final = 16
"""So many users' keys are kept; a producer has one user, or two while a password changes."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a client keeps instead of the password: with these it can log in, and recognise the broker."""

    client_key: Secret
    server_key: Secret


@dataclass(frozen=True, slots=True)
class Derivation:
    """What keys are derived from; slow to `derive`, and safe to do so in any thread.

    Attributes:
        hash_name: as hashlib has it, such as "sha256".
        password: used as it is, in UTF-8, as Apache Kafka does: SASLprep (RFC 4013) would change some.
        salt: the broker's, for this user.
        iterations: rounds of PBKDF2.
    """

    hash_name: str
    password: Secret
    salt: bytes
    iterations: int

    def derive(self) -> ScramKeys:
        """Return the keys (RFC 5802 §3: SaltedPassword, ClientKey, ServerKey)."""
        salted = Secret(
            hashlib.pbkdf2_hmac(self.hash_name, self.password.reveal_bytes(), self.salt, self.iterations)
        ).reveal_bytes
        return ScramKeys(
            client_key=Secret(hmac.digest(salted(), b"Client Key", self.hash_name)),
            server_key=Secret(hmac.digest(salted(), b"Server Key", self.hash_name)),
        )

    def digest(self) -> bytes:
        """Return what tells this password from another one with the same salt, without being it."""
        return hmac.digest(self.salt, self.password.reveal_bytes(), "sha512")


def client_proof(hash_name: str, keys: ScramKeys, auth_message: bytes) -> bytes:
    """Return ClientKey XOR ClientSignature, which proves to the broker that we have the key (RFC 5802 §3)."""
    stored_key = hashlib.new(hash_name, keys.client_key.reveal_bytes()).digest()
    signature = hmac.digest(stored_key, auth_message, hash_name)
    return bytes(a ^ b for a, b in zip(keys.client_key.reveal_bytes(), signature, strict=True))


def server_signature(hash_name: str, keys: ScramKeys, auth_message: bytes) -> bytes:
    """Return ServerSignature, which proves to us that the broker has the key (RFC 5802 §3)."""
    return hmac.digest(keys.server_key.reveal_bytes(), auth_message, hash_name)


@public_in("aioproducer.sasl")
class ScramKeyCache:
    """Keys that have led to a login, for the next connections of the same user.

    Only what the broker has proved to know enters, so there is nothing to drop after a refusal. It keeps no password.
    A producer has one; its calls are made by one thread at a time.
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[Hashable, ScramKeys] = {}

    def get(self, username: str, derivation: Derivation) -> ScramKeys | None:
        """Return the keys of a user, or None when they have to be derived."""
        return self._keys.get(_key(username, derivation))

    def put(self, username: str, derivation: Derivation, keys: ScramKeys) -> None:
        """Keep the keys of a user; the oldest go."""
        self._keys[_key(username, derivation)] = keys
        while len(self._keys) > KEPT:
            del self._keys[next(iter(self._keys))]

    def __repr__(self) -> str:
        return f"ScramKeyCache({len(self._keys)} of {KEPT})"


def _key(username: str, derivation: Derivation) -> Hashable:
    return username, derivation.hash_name, derivation.salt, derivation.iterations, derivation.digest()
