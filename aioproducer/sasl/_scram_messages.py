"""The broker's messages of SCRAM, read strictly (RFC 5802 §7).

Nothing that a broker sends is trusted before its signature: a fake one could otherwise collect proofs that are cheap to
guess the password from (few iterations, a nonce that it chose alone), or keep us busy for hours (many iterations).
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer.sasl._turns import shown

if TYPE_CHECKING:
    from aioproducer.sasl._turns import Exchange

MIN_ITERATIONS: Final = 4096
"""As Apache Kafka's (ScramMechanism) and RFC 7677's minimum."""

MAX_ITERATIONS: Final = 1_000_000
"""Apache Kafka stores no more than 16,384. A million took 0.25 s with SHA-256 and 0.38 with SHA-512 (CPython 3.11)."""

_ATTRIBUTE: Final = re.compile(r"([A-Za-z])=([^,\0]+)")
_NONCE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_COUNT: Final = re.compile(r"[1-9][0-9]*")
_COUNT_DIGITS: Final = len(str(MAX_ITERATIONS))


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """The broker's first message, as far as it may be trusted.

    Attributes:
        text: the message as it came: byte for byte part of what is signed.
        nonce: ours and the broker's part after it.
        salt: at least one byte.
        iterations: within MIN_ITERATIONS and MAX_ITERATIONS.
    """

    text: bytes
    nonce: str
    salt: bytes
    iterations: int


def is_nonce(text: str) -> bool:
    """Return whether a text has only what a nonce may have: printable ASCII without a comma."""
    return _NONCE.fullmatch(text) is not None


def read_server_first(exchange: Exchange, message: bytes, client_nonce: str) -> ServerFirst:
    """Read `r=<nonce>,s=<salt>,i=<iterations>`; extensions after them are ignored.

    Raises:
        AuthenticationError: the broker refuses us (`e=`), asks for an extension that we don't have (`m=`), did not keep
            our nonce or added nothing to it, or asks for too few or too many iterations.
        ProtocolError: it is not such a message.
    """
    attributes = _attributes(exchange, message, "first")
    _refuse_mandatory_and_errors(exchange, attributes)
    if [name for name, _ in attributes[:3]] != ["r", "s", "i"]:
        raise exchange.malformed("the broker's first message does not consist of r, s and i, in this order")
    if any(name in "rsim" for name, _ in attributes[3:]):
        raise exchange.malformed("the broker's first message has one of r, s, i and m once more after them")
    (_, nonce), (_, salt), (_, iterations) = attributes[:3]
    _check_nonce(exchange, nonce, client_nonce)
    return ServerFirst(
        text=message,
        nonce=nonce,
        salt=_base64(exchange, salt, "salt"),
        iterations=_iterations(exchange, iterations),
    )


def read_server_final(exchange: Exchange, message: bytes) -> bytes:
    """Read `v=<signature>` and return the signature, which is still to be compared.

    Raises:
        AuthenticationError: the broker refuses us (`e=`).
        ProtocolError: it is not such a message.
    """
    attributes = _attributes(exchange, message, "last")
    _refuse_mandatory_and_errors(exchange, attributes)
    name, value = attributes[0]
    if name != "v":
        raise exchange.malformed("the broker's last message has no signature (v)")
    return _base64(exchange, value, "signature")


def _attributes(exchange: Exchange, message: bytes, which: str) -> list[tuple[str, str]]:
    try:
        text = message.decode()
    except UnicodeDecodeError as error:
        raise exchange.malformed(f"the broker's {which} message is not UTF-8 at {error.start}") from None
    matches = [_ATTRIBUTE.fullmatch(part) for part in text.split(",")]
    found = [match for match in matches if match is not None]
    if len(found) != len(matches):
        number = 1 + matches.index(None)
        raise exchange.malformed(f"attribute {number} of the broker's {which} message is not of the form x=…")
    return [(match[1], match[2]) for match in found]


def _refuse_mandatory_and_errors(exchange: Exchange, attributes: list[tuple[str, str]]) -> None:
    match attributes[0]:
        case "e", text:
            raise exchange.refused(f"the broker refuses us: {shown(text)}")
        case "m", _:
            raise exchange.refused("the broker asks for an extension (m) that does not exist here; this ends SCRAM")
        case _:
            pass


def _check_nonce(exchange: Exchange, nonce: str, client_nonce: str) -> None:
    if not is_nonce(nonce):
        raise exchange.malformed("the broker's nonce has characters that a nonce must not have")
    if not nonce.startswith(client_nonce):
        raise exchange.refused("the broker's nonce does not begin with ours: an answer to someone else, or replayed")
    if nonce == client_nonce:
        raise exchange.refused("the broker added nothing to our nonce: an answer of its could be replayed")


def _iterations(exchange: Exchange, text: str) -> int:
    if _COUNT.fullmatch(text) is None:
        raise exchange.malformed(f"the broker's number of iterations is not a positive number: {shown(text)}")
    if len(text) > _COUNT_DIGITS or int(text) > MAX_ITERATIONS:
        raise exchange.refused(
            f"the broker asks for {shown(text)} iterations, more than {MAX_ITERATIONS:,}: it would keep us busy"
        )
    if int(text) < MIN_ITERATIONS:
        raise exchange.refused(
            f"the broker asks for {text} iterations, fewer than {MIN_ITERATIONS:,}: a downgrade, which would make the"
            " password easy to guess; create the user's credential again with more"
        )
    return int(text)


def _base64(exchange: Exchange, text: str, what: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # also for characters beyond ASCII
        raise exchange.malformed(f"the broker's {what} is not base64") from None
