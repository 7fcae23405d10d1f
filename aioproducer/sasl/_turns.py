"""Turns, which every mechanism here takes: its exchange goes on in one order, and ends once."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final, cast

from aioproducer.errors import AuthenticationError, IllegalStateError, ProtocolError

SHOWN_CHARACTERS: Final = 200
"""Of what a broker says, so much is put into a message."""


class Turn(Enum):
    """Where an exchange is. What a mechanism sends after its first message, and how often, is its own affair."""

    OURS = "nothing sent yet"
    THEIRS_FIRST = "first message sent"
    THEIRS_LAST = "last message sent"
    OVER = "over, well or badly"


class Exchange:
    """The turn of one exchange, and errors that end it.

    Attributes:
        name: of the mechanism.
        turn: where the exchange is.
    """

    __slots__ = ("name", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = Turn.OURS

    def begin(self) -> None:
        """Note that the first message is sent.

        Raises:
            IllegalStateError: it was before.
        """
        if self.turn is not Turn.OURS:
            raise IllegalStateError(f"{self.name}: the exchange has begun; make a new mechanism for another one")
        self.turn = Turn.THEIRS_FIRST

    def answered(self) -> Turn:
        """Return where the exchange was when the broker answered; it counts as over until `turn` is set again.

        So whatever goes wrong with the answer leaves nothing that could be gone on with.

        Raises:
            IllegalStateError: nothing was sent, or all is over.
        """
        turn = self.turn
        if turn not in (Turn.THEIRS_FIRST, Turn.THEIRS_LAST):
            raise IllegalStateError(f"{self.name}: no answer is awaited ({turn.value})")
        self.turn = Turn.OVER
        return turn

    def refused(self, text: str) -> AuthenticationError:
        """Return the error for a broker that refuses us, or that must not be trusted."""
        return AuthenticationError(f"{self.name}: {text}")

    def malformed(self, text: str) -> ProtocolError:
        """Return the error for an answer that is not what the mechanism prescribes."""
        return ProtocolError(f"{self.name}: {text}")

    def json(self, answer: bytes) -> dict[str, object]:
        """Return the broker's answer, which has to be a JSON object.

        Raises:
            ProtocolError: it is not.
        """
        found = json_object(answer)
        if found is None:
            raise self.malformed(f"the broker's answer of {len(answer)} bytes is not a JSON object")
        return found


def json_object(document: bytes) -> dict[str, object] | None:
    """Return the object that a JSON document is, or None; json's own error would carry the document along."""
    try:
        found: Any = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


def shown(text: str) -> str:
    """Return a broker's words as a message may hold them: quoted, escaped and cut."""
    return ascii(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")
