"""The broker's messages of SCRAM: every malformed or dishonest one is refused."""

from __future__ import annotations

import random
from functools import partial

import pytest

from aioproducer.errors import AuthenticationError, KafkaError, ProtocolError
from aioproducer.sasl._scram_messages import (
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    is_nonce,
    read_server_final,
    read_server_first,
)
from aioproducer.sasl._turns import Exchange

OURS = "0123456789abcdef"
GOOD = f"r={OURS}theirs,s=c2FsdA==,i=4096"
EXCHANGE = Exchange("SCRAM-SHA-256")


def test_a_good_first_message_is_read() -> None:
    found = read_server_first(EXCHANGE, GOOD.encode(), OURS)
    assert (found.text, found.nonce, found.salt, found.iterations) == (GOOD.encode(), OURS + "theirs", b"salt", 4096)


def test_extensions_are_passed_over_and_stay_in_what_is_signed() -> None:
    message = f"{GOOD},x=1,y=a=b".encode()
    assert read_server_first(EXCHANGE, message, OURS).text == message


@pytest.mark.parametrize("iterations", [MIN_ITERATIONS, MAX_ITERATIONS])
def test_the_limits_of_iterations_are_inclusive(iterations: int) -> None:
    message = f"r={OURS}theirs,s=c2FsdA==,i={iterations}".encode()
    assert read_server_first(EXCHANGE, message, OURS).iterations == iterations


MALFORMED = {
    "": "attribute 1",
    "r": "attribute 1",
    "r=": "attribute 1",
    "x=1": "does not consist of r, s and i",
    f"s=c2FsdA==,i=4096,r={OURS}x": "in this order",
    f"r={OURS}x": "does not consist",
    f"r={OURS}x,s=c2FsdA==": "does not consist",
    f"r={OURS}x,i=4096": "does not consist",
    f"r={OURS}x,s=c2FsdA==,i=": "attribute 3",
    f"r={OURS}x,s=,i=4096": "attribute 2",
    f"r={OURS}x,s=c2FsdA==,i=4096,": "attribute 4",
    f"r={OURS}x,s=c2FsdA==,i=4096,xx=1": "attribute 4",
    f"r={OURS}x,s=c2FsdA==,i=4096,i=8192": "once more",
    f"r={OURS}x,s=c2FsdA==,i=4096,r={OURS}y": "once more",
    f"r={OURS}x,s=c2FsdA==,i=4096,m=y": "once more",
    f"r={OURS}\u00e9,s=c2FsdA==,i=4096": "characters that a nonce must not have",
    f"r={OURS} ,s=c2FsdA==,i=4096": "characters that a nonce must not have",
    f"r={OURS}\x7f,s=c2FsdA==,i=4096": "characters that a nonce must not have",
    f"r={OURS}\0,s=c2FsdA==,i=4096": "attribute 1",
    f"r={OURS}x,s=c2FsdA=,i=4096": "salt is not base64",
    f"r={OURS}x,s=c2FsdA===,i=4096": "salt is not base64",
    f"r={OURS}x,s=c2Fs dA==,i=4096": "salt is not base64",
    f"r={OURS}x,s=====,i=4096": "salt is not base64",
    f"r={OURS}x,s=\u00e9,i=4096": "salt is not base64",
    f"r={OURS}x,s=c2FsdA==,i=0": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=-4096": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=+4096": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=04096": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=4_096": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=4096.0": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i= 4096": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=\u0664\u0660\u0669\u0666": "not a positive number",
    f"r={OURS}x,s=c2FsdA==,i=many": "not a positive number",
}


@pytest.mark.parametrize(("message", "words"), MALFORMED.items())
def test_a_malformed_first_message_is_refused(message: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        read_server_first(EXCHANGE, message.encode(), OURS)


DISHONEST = {
    "e=unknown-user": "refuses us: 'unknown-user'",
    "e=unknown-user,x=1": "refuses us",
    f"m=y,{GOOD}": "extension",
    f"r={OURS},s=c2FsdA==,i=4096": "added nothing",
    "r=abc,s=c2FsdA==,i=4096": "does not begin with ours",
    f"r=x{OURS},s=c2FsdA==,i=4096": "does not begin with ours",
    f"r={OURS[:-1]},s=c2FsdA==,i=4096": "does not begin with ours",
    f"r={OURS.upper()}x,s=c2FsdA==,i=4096": "does not begin with ours",
    f"r={OURS}x,s=c2FsdA==,i=1": "downgrade",
    f"r={OURS}x,s=c2FsdA==,i=4095": "asks for 4095 iterations, fewer than 4,096",
    f"r={OURS}x,s=c2FsdA==,i=1000001": "more than 1,000,000",
    f"r={OURS}x,s=c2FsdA==,i={'9' * 10_000}": "more than 1,000,000",
}


@pytest.mark.parametrize(("message", "words"), DISHONEST.items())
def test_a_dishonest_first_message_is_refused(message: str, words: str) -> None:
    with pytest.raises(AuthenticationError, match=words) as caught:
        read_server_first(EXCHANGE, message.encode(), OURS)
    assert len(str(caught.value)) < 500


def test_bytes_that_are_no_text_are_malformed() -> None:
    with pytest.raises(ProtocolError, match="not UTF-8 at 2"):
        read_server_first(EXCHANGE, b"r=\xff", OURS)


def test_a_good_last_message_is_read() -> None:
    assert read_server_final(EXCHANGE, b"v=c2ln") == b"sig"
    assert read_server_final(EXCHANGE, b"v=c2ln,x=1") == b"sig"


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        (b"", ProtocolError, "attribute 1"),
        (b"v=", ProtocolError, "attribute 1"),
        (b"x=1", ProtocolError, "no signature"),
        (b"x=1,v=c2ln", ProtocolError, "no signature"),
        (b"v=c2l", ProtocolError, "signature is not base64"),
        (b"\xff", ProtocolError, "not UTF-8"),
        (b"e=invalid-proof", AuthenticationError, "refuses us: 'invalid-proof'"),
        (b"m=1", AuthenticationError, "extension"),
    ],
)
def test_a_bad_last_message_is_refused(message: bytes, error: type[KafkaError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_server_final(EXCHANGE, message)


def test_a_nonce_is_printable_and_has_no_comma() -> None:
    assert is_nonce("!~+-=")
    assert [text for text in ("", " ", "a,b", "\x7f", "\u00e9", "a\n") if is_nonce(text)] == []


def test_bytes_changed_at_random_raise_nothing_else() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(1000):
        message = bytearray(GOOD.encode())
        for _ in range(rng.randint(1, 4)):
            message[rng.randrange(len(message))] = rng.randrange(256)
        for read in (partial(read_server_first, client_nonce=OURS), read_server_final):
            try:
                read(EXCHANGE, bytes(message))
            except (AuthenticationError, ProtocolError):
                pass
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error
