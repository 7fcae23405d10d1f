"""SCRAM, by the vectors of the RFCs and against a broker that may lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from aioproducer.errors import AuthenticationError, ConfigurationError, IllegalStateError, ProtocolError
from aioproducer.sasl._scram import HASHES, Scram, ScramName
from aioproducer.sasl._scram_keys import ScramKeyCache
from tests.unit.sasl.canary import CANARY, assert_hidden, assert_object_hides, error_of
from tests.unit.sasl.scram_server import ScramServer

if TYPE_CHECKING:
    from collections.abc import Callable

NONCE = "rOprNGfwEbeRWgbNEkqO"
FULL_NONCE = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = f"r={FULL_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()

VECTORS: list[tuple[ScramName, str, str, bytes, bytes, bytes]] = [
    (  # RFC 7677 §3
        "SCRAM-SHA-256",
        "user",
        "pencil",
        b"n=user",
        b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
    (  # made by Kafka's ScramFormatter, as the next one
        "SCRAM-SHA-512",
        "user",
        "pencil",
        b"n=user",
        b"gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        b"ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    ),
    (  # "=" and "," are escaped, and SASLprep, which would change this password, is not applied
        "SCRAM-SHA-256",
        "a=b,c",
        "\u0070\u00aa\u00ad\u212b",
        b"n=a=3Db=2Cc",
        b"yMjeSAk1xdUi4NoWJOGzJKHzF6VJmvk04VfTVtC5dDE=",
        b"2DH/n+L6GXyVk3uMMOc+G12vD9lNkSKmYtYnIIxnL2w=",
    ),
]


def run(step: object) -> bytes:
    """The bytes of a step, which are slow to make."""
    assert callable(step)
    return cast("Callable[[], bytes]", step)()


@pytest.mark.parametrize(("name", "user", "password", "escaped", "proof", "signature"), VECTORS)
def test_its_messages_are_those_of_the_vectors(
    name: ScramName, user: str, password: str, escaped: bytes, proof: bytes, signature: bytes
) -> None:
    mechanism = Scram(name, user, password, nonce=NONCE)
    assert mechanism.name == name
    assert mechanism.first() == b"n,," + escaped + b",r=" + NONCE.encode()
    assert run(mechanism.next(SERVER_FIRST)) == b"c=biws,r=" + FULL_NONCE.encode() + b",p=" + proof
    assert mechanism.next(b"v=" + signature) is None


def mechanism_for(name: ScramName = "SCRAM-SHA-256", **more: Any) -> Scram:
    return Scram(name, "alice", CANARY, nonce=NONCE, **more)


@pytest.mark.parametrize("name", HASHES)
def test_it_logs_in(name: ScramName) -> None:
    server = ScramServer(HASHES[name], CANARY)
    mechanism = mechanism_for(name)
    answer = server.last(run(mechanism.next(server.first(mechanism.first()))))
    assert server.logged_in
    assert mechanism.next(answer) is None


def test_extensions_of_the_broker_are_signed_as_they_came() -> None:
    class WithExtensions(ScramServer):
        def first(self, client_first: bytes) -> bytes:
            self._server_first = super().first(client_first) + b",x=more"
            return self._server_first

    server = WithExtensions("sha256", CANARY)
    mechanism = mechanism_for()
    assert mechanism.next(server.last(run(mechanism.next(server.first(mechanism.first()))))) is None
    assert server.logged_in


def test_a_delegation_token_says_that_it_is_one() -> None:
    mechanism = mechanism_for(is_delegation_token=True)
    assert mechanism.first() == b"n,,n=alice,r=" + NONCE.encode() + b",tokenauth=true"


def after_first(mechanism: Scram) -> Scram:
    """A mechanism that has sent its proof."""
    mechanism.first()
    run(mechanism.next(SERVER_FIRST))
    return mechanism


def test_a_broker_that_does_not_know_the_password_is_refused() -> None:
    other = ScramServer("sha256", "another password")
    mechanism = mechanism_for()
    answer = other.last(run(mechanism.next(other.first(mechanism.first()))))
    error = error_of(lambda: mechanism.next(answer))
    assert isinstance(error, AuthenticationError)
    assert "signature is wrong" in str(error)


def test_an_empty_or_cut_signature_is_refused() -> None:
    with pytest.raises(ProtocolError, match="attribute 1"):
        after_first(mechanism_for()).next(b"")
    with pytest.raises(AuthenticationError, match="signature is wrong"):
        after_first(mechanism_for()).next(b"v=AAAA")


def test_nothing_goes_on_after_a_failure() -> None:
    mechanism = mechanism_for()
    mechanism.first()
    error_of(lambda: mechanism.next(b"r=someone-elses,s=c2FsdA==,i=4096"))
    with pytest.raises(IllegalStateError, match="over"):
        mechanism.next(SERVER_FIRST)


def test_the_last_message_is_not_taken_before_the_proof_was_made() -> None:
    mechanism = mechanism_for()
    mechanism.first()
    assert callable(mechanism.next(SERVER_FIRST))
    with pytest.raises(IllegalStateError, match="over"):
        mechanism.next(b"v=AAAA")


def test_keys_are_derived_once_for_all_connections() -> None:
    server = ScramServer("sha256", CANARY)
    cache = ScramKeyCache()
    first = mechanism_for(cache=cache)
    first.next(server.last(run(first.next(server.first(first.first())))))
    second = mechanism_for(cache=cache)
    step = second.next(server.first(second.first()))
    assert isinstance(step, bytes)
    assert second.next(server.last(step)) is None
    assert server.logged_in


def test_keys_of_a_login_that_failed_are_not_kept() -> None:
    cache = ScramKeyCache()
    mechanism = after_first(mechanism_for(cache=cache))
    error_of(lambda: mechanism.next(b"v=AAAA"))
    assert repr(cache).startswith("ScramKeyCache(0 ")


def test_a_refusal_is_explained_by_the_step() -> None:
    mechanism = mechanism_for()
    mechanism.first()
    assert mechanism.hint == "unknown user 'alice', or it has no SCRAM-SHA-256 credential"
    run(mechanism.next(SERVER_FIRST))
    assert mechanism.hint == "wrong password for user 'alice'"
    assert "ASCII" in Scram("SCRAM-SHA-512", "zoë", CANARY, nonce=NONCE).hint


def test_it_hides_the_password_at_every_step() -> None:
    mechanism = mechanism_for()
    assert_object_hides(mechanism)
    after_first(mechanism)
    assert_object_hides(mechanism)
    assert_hidden(repr([getattr(mechanism, name) for name in Scram.__slots__]))


NUL = "\0" + CANARY
BAD: dict[str, Callable[[], object]] = {
    "needs a user name": lambda: Scram("SCRAM-SHA-256", "", CANARY, nonce=NONCE),
    "contains NUL at 0": lambda: Scram("SCRAM-SHA-256", "alice", NUL, nonce=NONCE),
    "no mechanism 'SCRAM-SHA-1'": lambda: Scram(cast("ScramName", "SCRAM-SHA-1"), "alice", CANARY, nonce=NONCE),
    "at least 16": lambda: Scram("SCRAM-SHA-256", "alice", CANARY, nonce="short"),
    "no comma": lambda: Scram("SCRAM-SHA-256", "alice", CANARY, nonce="0123456789,abcdef"),
}


@pytest.mark.parametrize(("words", "make"), BAD.items(), ids=BAD)
def test_what_cannot_be_right_is_refused(words: str, make: Callable[[], object]) -> None:
    error = error_of(make)
    assert isinstance(error, ConfigurationError)
    assert words in str(error)
