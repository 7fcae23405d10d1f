"""GSSAPI: Kerberos tickets say who we are, and who the broker is (RFC 4752).

Tokens are made by a library of the system's, behind `GssContext`; what is done with them is here. A layer that would
protect what is sent afterwards is offered by GSSAPI and never taken: Kafka has TLS for that.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from aioproducer._public import public_in
from aioproducer.sasl._turns import Exchange, Turn

if TYPE_CHECKING:
    from aioproducer.sasl._mechanism import Step

GSSAPI: Final = "GSSAPI"

_NO_LAYER: Final = 1
_LAYER_BYTES: Final = 4
_ANSWER: Final = bytes([_NO_LAYER, 0, 0, 0])
"""No layer, so that no size is told, and no authorization id: brokers take the ticket's principal."""


@public_in("aioproducer.sasl")
class GssContext(Protocol):
    """A security context of GSSAPI's that is being established (RFC 2743), on the side that begins.

    Each call may wait for others (the KDC) or for files: none is made on an event loop's thread. They raise what a
    Mechanism's `next` may raise.
    """

    @property
    def target(self) -> str:
        """The broker's principal as it was asked for, such as "kafka/broker-1.example.com"."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether both sides know each other."""
        ...

    def step(self, token: bytes) -> bytes:
        """Take the broker's token, and return the next for it; empty: there is none."""
        ...

    def unwrap(self, message: bytes) -> bytes:
        """Return what is in a message that the broker has signed."""
        ...

    def wrap(self, message: bytes) -> bytes:
        """Return a message that is signed, not encrypted."""
        ...


class _Stage(Enum):
    """What the broker's next answer is for."""

    CONTEXT = "tokens, until the context is complete"
    LAYER = "which layers it has"


@public_in("aioproducer.sasl")
class Gssapi:
    """The mechanism GSSAPI.

    The context's first token takes a call to the KDC, so that whoever makes this has got it already. Each further step
    is a function, for a thread.

    Example:
        from aioproducer.sasl import Gssapi, GssContext

        def mechanism(context: GssContext) -> Gssapi:
            return Gssapi(context, context.step(b""))  # in a thread
    """

    __slots__ = ("_context", "_exchange", "_first", "_stage")

    def __init__(self, context: GssContext, first_token: bytes) -> None:
        """Take what one exchange needs.

        Args:
            context: new, for one broker.
            first_token: what its first step has returned.
        """
        self._exchange = Exchange(GSSAPI)
        self._context = context
        self._first = first_token
        self._stage = _Stage.LAYER if context.is_complete else _Stage.CONTEXT

    @property
    def name(self) -> str:
        """GSSAPI."""
        return GSSAPI

    @property
    def hint(self) -> str:
        """What a refusal means."""
        return (
            f"the broker did not accept the ticket for {self._context.target!r}: its keytab may lack that principal or"
            " the newest key of it, or its rules (sasl.kerberos.principal.to.local.rules) know no name for ours"
        )

    def first(self) -> bytes:
        """Return the context's first token; it holds a ticket."""
        self._exchange.begin()
        return self._first

    def next(self, challenge: bytes) -> Step:
        """Take an answer: tokens, then the broker's layers, then an empty one; see Mechanism."""
        if self._exchange.answered() is Turn.THEIRS_LAST:
            if challenge:
                raise self._exchange.malformed(
                    f"the broker's last answer has {len(challenge)} bytes where none are expected"
                )
            return None
        return partial(self._after_token if self._stage is _Stage.CONTEXT else self._after_layers, challenge)

    def _after_token(self, token: bytes) -> bytes:
        answer = self._context.step(token)
        if self._context.is_complete:
            self._stage = _Stage.LAYER  # it is the broker's turn even when we have nothing to say
        elif not answer:
            raise self._exchange.malformed("the context is not complete, and yet there is no token for the broker")
        self._exchange.turn = Turn.THEIRS_FIRST
        return answer

    def _after_layers(self, message: bytes) -> bytes:
        layers = self._context.unwrap(message)
        if len(layers) != _LAYER_BYTES:
            raise self._exchange.malformed(f"the broker tells its layers in {len(layers)} bytes, not {_LAYER_BYTES}")
        if not layers[0] & _NO_LAYER:
            raise self._exchange.refused(
                "the broker insists on a layer of GSSAPI's around all that is sent, which no Kafka has; use SASL_SSL"
            )
        self._exchange.turn = Turn.THEIRS_LAST
        return self._context.wrap(_ANSWER)

    def __repr__(self) -> str:
        return f"Gssapi({self._context.target!r})"
