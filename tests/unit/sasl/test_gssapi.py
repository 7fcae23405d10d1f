"""GSSAPI, with contexts that play Kerberos by counting."""

from __future__ import annotations

import pytest

from aioproducer.errors import AuthenticationError, IllegalStateError, ProtocolError
from aioproducer.sasl import Gssapi, Mechanism


class CountingContext:
    """Complete after so many tokens of the broker's; signs by writing in front what it has done."""

    def __init__(self, rounds: int = 1, *, last_token: bytes = b"") -> None:
        self.target = "kafka/broker-1"
        self._rounds = rounds
        self._last_token = last_token
        self._taken = -1  # the first step takes none

    @property
    def is_complete(self) -> bool:
        return self._taken >= self._rounds

    def step(self, token: bytes) -> bytes:
        self._taken += 1
        if token != (b"" if self._taken == 0 else b"theirs %d" % self._taken):
            raise AuthenticationError("the ticket was forged")
        return self._last_token if self.is_complete else b"ours %d" % self._taken

    def unwrap(self, message: bytes) -> bytes:
        return message.removeprefix(b"signed:")

    def wrap(self, message: bytes) -> bytes:
        return b"signed:" + message


def begun(context: CountingContext) -> Mechanism:
    return Gssapi(context, context.step(b""))


def answer(mechanism: Mechanism, challenge: bytes) -> bytes:
    """What is sent for an answer of the broker's; each step may block, so that each is a function."""
    step = mechanism.next(challenge)
    assert callable(step)
    return step()


def test_tokens_then_layers_then_nothing() -> None:
    mechanism = begun(CountingContext(2))
    assert mechanism.name == "GSSAPI"
    assert mechanism.first() == b"ours 0"
    assert answer(mechanism, b"theirs 1") == b"ours 1"
    assert answer(mechanism, b"theirs 2") == b""  # complete: the broker goes on, when it is let
    assert answer(mechanism, b"signed:\x07\x00\x10\x00") == b"signed:\x01\x00\x00\x00"
    assert mechanism.next(b"") is None


def test_a_last_token_of_ours_is_sent() -> None:
    mechanism = begun(CountingContext(1, last_token=b"and this"))
    mechanism.first()
    assert answer(mechanism, b"theirs 1") == b"and this"
    assert answer(mechanism, b"signed:\x01\xff\xff\xff") == b"signed:\x01\x00\x00\x00"


def test_a_context_that_is_complete_at_once() -> None:
    """Without mutual authentication the broker's first answer is about layers."""
    context = CountingContext(0, last_token=b"all")
    mechanism = begun(context)
    assert mechanism.first() == b"all"
    assert answer(mechanism, b"signed:\x01\x00\x00\x00") == b"signed:\x01\x00\x00\x00"
    assert mechanism.next(b"") is None


def at_layers() -> Mechanism:
    mechanism = begun(CountingContext())
    mechanism.first()
    answer(mechanism, b"theirs 1")
    return mechanism


@pytest.mark.parametrize("layers", [b"\x06\x00\x10\x00", b"\x00\x00\x00\x00"])
def test_a_broker_that_insists_on_a_layer_is_refused(layers: bytes) -> None:
    mechanism = at_layers()
    with pytest.raises(AuthenticationError, match="insists on a layer"):
        answer(mechanism, b"signed:" + layers)
    with pytest.raises(IllegalStateError):
        mechanism.next(b"")  # nothing can be gone on with


@pytest.mark.parametrize("layers", [b"", b"\x01\x00\x00", b"\x01\x00\x00\x00\x00"])
def test_layers_have_four_bytes(layers: bytes) -> None:
    with pytest.raises(ProtocolError, match=f"in {len(layers)} bytes, not 4"):
        answer(at_layers(), layers)


def test_a_forged_token_ends_it() -> None:
    mechanism = begun(CountingContext())
    mechanism.first()
    with pytest.raises(AuthenticationError, match="forged"):
        answer(mechanism, b"theirs 9")
    with pytest.raises(IllegalStateError):
        mechanism.next(b"theirs 1")


def test_a_context_that_stalls_is_told() -> None:
    class Stalled(CountingContext):
        def step(self, token: bytes) -> bytes:
            return b""

    mechanism = Gssapi(Stalled(), b"first")
    mechanism.first()
    with pytest.raises(ProtocolError, match="no token for the broker"):
        answer(mechanism, b"theirs")


def test_the_last_answer_is_empty() -> None:
    mechanism = at_layers()
    answer(mechanism, b"signed:\x01\x00\x00\x00")
    with pytest.raises(ProtocolError, match="has 3 bytes where none are expected"):
        mechanism.next(b"abc")


def test_a_refusal_names_the_brokers_principal() -> None:
    mechanism = begun(CountingContext())
    assert "'kafka/broker-1'" in mechanism.hint
    assert repr(mechanism) == "Gssapi('kafka/broker-1')"
