"""The keys of SCRAM, by the vectors of the RFCs."""

from __future__ import annotations

import base64

import pytest

from aioproducer._secret import Secret
from aioproducer.sasl._scram_keys import KEPT, Derivation, ScramKeyCache, client_proof, server_signature
from tests.unit.sasl.canary import CANARY, assert_object_hides

decode = base64.b64decode

RFC_5802 = (
    b"n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
    b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
)


def test_the_algorithm_is_that_of_rfc_5802() -> None:
    keys = Derivation("sha1", Secret("pencil"), decode("QSXCR+Q6sek8bf92"), 4096).derive()
    assert client_proof("sha1", keys, RFC_5802) == decode("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")
    assert server_signature("sha1", keys, RFC_5802) == decode("rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_the_server_key_is_that_of_rfc_7677() -> None:
    keys = Derivation("sha256", Secret("pencil"), decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096).derive()
    assert keys.server_key == Secret(decode("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="))


def derivation(password: str = CANARY, salt: bytes = b"salt", iterations: int = 4096) -> Derivation:
    return Derivation("sha256", Secret(password), salt, iterations)


def test_what_holds_keys_or_a_password_hides_them() -> None:
    assert_object_hides(derivation())
    assert_object_hides(derivation(iterations=1).derive())


def test_the_cache_knows_keys_by_all_that_they_come_from() -> None:
    cache = ScramKeyCache()
    keys = derivation(iterations=1).derive()
    cache.put("alice", derivation(), keys)
    assert cache.get("alice", derivation()) is keys
    assert cache.get("bob", derivation()) is None
    assert cache.get("alice", derivation(password="other")) is None
    assert cache.get("alice", derivation(salt=b"other")) is None
    assert cache.get("alice", derivation(iterations=8192)) is None


def test_the_cache_forgets_the_oldest() -> None:
    cache = ScramKeyCache()
    keys = derivation(iterations=1).derive()
    for number in range(KEPT + 1):
        cache.put(f"user{number}", derivation(), keys)
    assert cache.get("user0", derivation()) is None
    assert cache.get("user1", derivation()) is keys
    assert repr(cache) == f"ScramKeyCache({KEPT} of {KEPT})"


@pytest.mark.parametrize("password", [CANARY, ""])
def test_a_digest_is_not_the_password(password: str) -> None:
    assert derivation(password).digest() != derivation(password + "x").digest()
    assert len(derivation(password).digest()) == 64
