"""SCRAM as in RFC 7677 and as Kafka's own classes compute it; what is wrong in any part is refused without a reason."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from dataclasses import dataclass, field
from typing import Final

import pytest

from aioproducer.testing._broker.sasl.scram import Scram
from aioproducer.testing._broker.sasl.steps import Authenticated, Challenge, SaslError
from aioproducer.testing._broker.users import SCRAM_HASHES, DelegationToken, ScramCredential, Users, scram_credential

CLIENT_NONCE: Final = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE: Final = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT: Final = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SERVER_FIRST: Final = f"r={CLIENT_NONCE}{SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
PROOF: Final = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
FINAL: Final = f"c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={PROOF}"


@dataclass
class Known:
    """Users whose salt is that of the RFC."""

    passwords: dict[str, str]
    tokens: dict[str, DelegationToken] = field(default_factory=lambda: dict[str, DelegationToken]())

    def is_password(self, name: str, password: str) -> bool:
        raise NotImplementedError

    def scram(self, mechanism: str, name: str) -> ScramCredential | None:
        password = self.passwords.get(name)
        return None if password is None else scram_credential(SCRAM_HASHES[mechanism], password, SALT, 4096)

    def token(self, token_id: str) -> DelegationToken | None:
        return self.tokens.get(token_id)

    def token_scram(self, mechanism: str, token: DelegationToken) -> ScramCredential:
        return scram_credential(SCRAM_HASHES[mechanism], token.hmac, SALT, 4096)


def server(known: Known, mechanism: str = "SCRAM-SHA-256", wall_ms: int = 0) -> Scram:
    return Scram(mechanism, known, SERVER_NONCE, wall_ms)


@pytest.mark.parametrize(
    ("mechanism", "user", "name", "password", "proof", "verifier"),
    [
        (
            "SCRAM-SHA-256",
            "user",
            "user",
            "pencil",
            PROOF,
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
        (
            "SCRAM-SHA-512",
            "user",
            "user",
            "pencil",
            "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
            "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
        ),
        (
            "SCRAM-SHA-256",
            "a=b,c",
            "a=3Db=2Cc",
            "p\u00aa\u00ad\u212b",
            "yMjeSAk1xdUi4NoWJOGzJKHzF6VJmvk04VfTVtC5dDE=",
            "2DH/n+L6GXyVk3uMMOc+G12vD9lNkSKmYtYnIIxnL2w=",
        ),
    ],
    ids=["RFC 7677", "SHA-512", "no SASLprep"],
)
def test_exchanges_of_the_rfc_and_of_kafka(
    mechanism: str, user: str, name: str, password: str, proof: str, verifier: str
) -> None:
    scram = server(Known({user: password}), mechanism)
    assert scram.step(f"n,,n={name},r={CLIENT_NONCE}".encode()) == Challenge(SERVER_FIRST)
    final = f"c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={proof}".encode()
    assert scram.step(final) == Authenticated(user, f"v={verifier}".encode())


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\xff",
        b"n,,n=nobody,r=abc",
        b"y,,n=user,r=abc",
        b"p=tls-unique,,n=user,r=abc",
        b"n,,n=,r=abc",
        b"n,,n=user,r=",
        b"n,,n=us=er,r=abc",
        b"n,,r=abc,n=user",
        "n,,n=ü,r=abc".encode(),
        b"n,,n=user,r=abc,tokenauth=true",
    ],
)
def test_first_messages_that_are_refused_without_a_reason(first: bytes) -> None:
    with pytest.raises(SaslError) as caught:
        server(Known({"user": "pencil", "ü": "x"})).step(first)
    assert caught.value.text is None


@pytest.mark.parametrize(
    "final",
    [
        FINAL.replace("p=d", "p=e"),
        FINAL.replace("c=biws", "c=eSws"),
        FINAL.replace(SERVER_NONCE, SERVER_NONCE + "x"),
        FINAL.replace(CLIENT_NONCE, "x"),
        FINAL.replace(PROOF, "AAAA"),
        FINAL.replace(",p=", ",x="),
        "",
    ],
)
def test_final_messages_that_are_refused_without_a_reason(final: str) -> None:
    scram = server(Known({"user": "pencil"}))
    scram.step(f"n,,n=user,r={CLIENT_NONCE}".encode())
    with pytest.raises(SaslError) as caught:
        scram.step(final.encode())
    assert caught.value.text is None


def test_an_authorization_id_must_be_the_user() -> None:
    known = Known({"user": "pencil"})
    assert isinstance(server(known).step(b"n,a=user,n=user,r=abc"), Challenge)
    with pytest.raises(SaslError, match="authorization id that is different from username"):
        server(known).step(b"n,a=other,n=user,r=abc")


def proven(bare: str, password: str) -> bytes:
    """The final message of a client (RFC 5802 section 3)."""
    without_proof = f"c=biws,r={CLIENT_NONCE}{SERVER_NONCE}"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signed = f"{bare},{SERVER_FIRST.decode()},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
    return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def test_a_delegation_token_logs_its_owner_in_until_it_expires() -> None:
    known = Known({}, {"token-1": DelegationToken("token-1", "pencil", "alice", 1_000)})
    first = f"n,,n=token-1,r={CLIENT_NONCE},tokenauth=true".encode()
    scram = server(known, wall_ms=999)
    assert scram.step(first) == Challenge(SERVER_FIRST)
    bare = first.decode().removeprefix("n,,")
    assert isinstance(scram.step(proven(bare, "pencil")), Authenticated)
    scram = server(known, wall_ms=999)
    scram.step(first)
    with pytest.raises(SaslError):
        scram.step(FINAL.encode())  # the proof of another first message
    with pytest.raises(SaslError):
        server(known, wall_ms=1_000).step(first)


def test_salts_and_tokens_are_made_once_each() -> None:
    users = Users(4096, random.Random(1).randbytes)
    users.set("alice", "secret")
    one = users.scram("SCRAM-SHA-256", "alice")
    assert one is not None and users.scram("SCRAM-SHA-256", "alice") is one
    users.set("alice", "other")
    assert users.scram("SCRAM-SHA-256", "alice") is not one
