"""Signed statements (Java's AssertionUtilsTest, DefaultAssertionCreatorTest and the tests of its templates)."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._assertions import Algorithm, AssertionFile, Claims, SignedAssertion
from tests.unit.sasl.canary import CANARY, assert_hidden, error_of
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.jwts import claims_in
from tests.unit.security.keys import pem, private_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLAIMS = Claims(issuer="orders", subject="orders", audience="https://login.example.com")


def signature_of(token: str) -> tuple[bytes, bytes]:
    signed, _, signature = token.rpartition(".")
    return signed.encode(), base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))


async def test_rs256_is_pkcs1_with_sha256() -> None:
    token = (await SignedAssertion(private_key=pem("RSA"), claims=CLAIMS)()).reveal()
    signed, signature = signature_of(token)
    key = private_key("RSA")
    assert isinstance(key, rsa.RSAPrivateKey)
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    assert claims_in(token, 0) == {"alg": "RS256", "typ": "JWT"}


async def test_es256_is_two_numbers_and_not_der() -> None:
    assertion = SignedAssertion(private_key=pem("P-256"), algorithm="ES256", key_id="k1", claims=CLAIMS)
    token = (await assertion()).reveal()
    signed, signature = signature_of(token)
    assert len(signature) == 64
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    key = private_key("P-256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    key.public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))
    assert claims_in(token, 0) == {"alg": "ES256", "typ": "JWT", "kid": "k1"}


async def test_its_claims_are_those_of_now() -> None:
    token = (await SignedAssertion(private_key=pem("P-256"), algorithm="ES256", claims=CLAIMS)()).reveal()
    claims = claims_in(token)
    now = cast("int", claims["iat"])
    assert abs(now - time.time()) < 60
    assert claims == {
        "iss": "orders",
        "sub": "orders",
        "aud": "https://login.example.com",
        "iat": now,
        "exp": now + 300,
        "nbf": now - 60,
    }


async def test_each_has_its_own_id_if_wanted() -> None:
    assertion = SignedAssertion(private_key=pem("P-256"), algorithm="ES256", claims=Claims(has_id=True))
    ids = {claims_in((await assertion()).reveal())["jti"] for _ in range(2)}
    assert len(ids) == 2


def test_what_is_only_true_now_wins_over_the_template_and_that_over_the_fixed() -> None:
    claims = Claims(audience="fixed", issuer="fixed", others={"iss": "other", "x": "other", "y": "other"})
    template: dict[str, object] = {"aud": "template", "x": "template", "exp": 1}
    assert claims.payload(template, now_ms=1_000_999, unique_id="") == {
        "aud": "template",
        "iss": "fixed",
        "x": "template",
        "y": "other",
        "iat": 1000,
        "exp": 1300,
        "nbf": 940,
    }


async def test_a_template_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    assertion = SignedAssertion(private_key=pem("P-256"), algorithm="ES256", template_file=path)
    path.write_text(json.dumps({"header": {"kid": "k1"}, "payload": {"x": 1}}))
    token = (await assertion()).reveal()
    assert (claims_in(token, 0)["kid"], claims_in(token)["x"]) == ("k1", 1)
    path.write_text(json.dumps({"header": {"kid": "k2"}}))
    assert claims_in((await assertion()).reveal(), 0)["kid"] == "k2"


@pytest.mark.parametrize("text", ["[]", "{", '{"header": 1}', '{"payload": []}'])
async def test_what_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "template.json"
    path.write_text(text)
    error = await error_when_awaited(SignedAssertion(private_key=pem("RSA"), template_file=path)())
    assert "is no template" in str(error)


@pytest.mark.parametrize("as_file", [True, False])
async def test_an_encrypted_key_is_opened(tmp_path: Path, as_file: bool) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem("P-256", CANARY))
    given: dict[str, Any] = {"private_key_file": path} if as_file else {"private_key": pem("P-256", CANARY)}
    assertion = SignedAssertion(**given, passphrase=CANARY, algorithm="ES256")
    assert len(signature_of((await assertion()).reveal())[1]) == 64
    assert_hidden(repr(assertion) + repr(vars(assertion)))


async def test_a_passphrase_for_a_key_that_needs_none_does_not_matter() -> None:
    await SignedAssertion(private_key=pem("RSA"), passphrase=CANARY)()


TRADITIONAL = b"-----BEGIN EC PRIVATE KEY-----\n" + CANARY.encode()
BAD_KEYS: list[tuple[Algorithm, bytes, str | None, str]] = [
    ("RS256", pem("P-256"), None, "not RSA"),
    ("ES256", pem("RSA"), None, "not on P-256"),
    ("ES256", pem("P-384"), None, "not on P-256"),
    ("ES256", pem("P-256", CANARY), None, "is encrypted, and no passphrase was given"),
    ("ES256", pem("P-256", "other"), CANARY, "passphrase does not open"),
    ("ES256", TRADITIONAL, None, "is not PEM"),
    ("RS256", CANARY.encode(), None, "is not PEM"),
]


@pytest.mark.parametrize("number", range(len(BAD_KEYS)))
async def test_a_key_that_does_not_do_is_told_apart_and_not_shown(number: int) -> None:
    algorithm, key, passphrase, words = BAD_KEYS[number]
    del key, passphrase
    assertion = SignedAssertion(private_key=BAD_KEYS[number][1], passphrase=BAD_KEYS[number][2], algorithm=algorithm)
    error = await error_when_awaited(assertion())
    assert not error.retriable
    assert words in str(error)


async def test_a_key_file_that_is_not_there_may_come(tmp_path: Path) -> None:
    assert (await error_when_awaited(SignedAssertion(tmp_path / "missing")())).retriable


PATH = "/key.pem"
WRONG: dict[str, Callable[[], object]] = {
    "one of private_key_file and private_key": lambda: SignedAssertion(),
    "one of private_key_file": lambda: SignedAssertion(PATH, private_key=CANARY, passphrase=CANARY),
    "RS256 or ES256, not 'HS256'": lambda: SignedAssertion(private_key=CANARY, algorithm=cast("Algorithm", "HS256")),
}


@pytest.mark.parametrize(("words", "make"), WRONG.items(), ids=range(3))
def test_what_cannot_be_right_is_refused(words: str, make: Callable[[], object]) -> None:
    error = error_of(make)
    assert isinstance(error, ConfigurationError)
    assert words in str(error)


def test_without_cryptography_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aioproducer\[crypto\]'"):
        SignedAssertion(PATH)


async def test_a_statement_that_somebody_else_signs_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "statement"
    path.write_text("first\n")
    assertion = AssertionFile(path)
    assert await assertion() == Secret("first")
    path.write_text("second")
    assert await assertion() == Secret("second")
    assert repr(assertion) == f"AssertionFile({str(path)!r})"
