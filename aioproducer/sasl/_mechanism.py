"""A SASL mechanism, as whoever carries its bytes sees it.

One object is one exchange with one broker: made with the credentials, the nonce and the time it needs, asked for bytes,
dropped at the end. It does no I/O, reads no clock and draws no random number. This carries any of them::

    token = mechanism.first()
    while token is not None:
        challenge = await ask_broker(token)               # SaslAuthenticate; error 58 ends it, see `hint`
        step = mechanism.next(challenge)
        token = await in_a_thread(step) if callable(step) else step
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from aioproducer._public import public_in

Step: TypeAlias = bytes | Callable[[], bytes] | None
"""What comes next: bytes to send (they may be empty), a slow function that makes them, or None: nothing, it is over."""


@public_in("aioproducer.sasl")
class Mechanism(Protocol):
    """One exchange of a SASL mechanism, as steps from bytes to bytes (RFC 4422; KIP-152).

    The bytes that it returns may hold a password or token: whoever carries them logs none of them.
    """

    @property
    def name(self) -> str:
        """The mechanism as SaslHandshake names it, such as "SCRAM-SHA-512"."""
        ...

    @property
    def hint(self) -> str:
        """What it means when the broker refuses us (error 58) at the present step, in words; empty if nobody knows."""
        ...

    def first(self) -> bytes:
        """Return the client's first message.

        Raises:
            IllegalStateError: the exchange has begun: each takes an object of its own.
        """
        ...

    def next(self, challenge: bytes) -> Step:
        """Take an answer of the broker (auth_bytes of a response with error code 0) and return what comes next.

        A function is to be called once, in any thread, before anything else is asked of the mechanism: it takes
        milliseconds of CPU or waits for others, and raises what this method raises. None is to be believed together
        with the broker's error code 0 only.

        Raises:
            AuthenticationError: the broker refuses us, or it is not the one that knows our password.
            ProtocolError: the answer is not what the mechanism prescribes.
            IllegalStateError: it is not the broker's turn.
        """
        ...
