"""The steps of an exchange: what a mechanism gets, and what can become of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias


class SaslError(Exception):
    """The client is not who it says it is, or does not speak the mechanism.

    Attributes:
        text: the broker's words; None for those that tell nothing of the reason.
    """

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Challenge:
    """Go on: this for the client, and the client's answer to it is due."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The client is who it says it is.

    Attributes:
        user: who that is.
        data: the last bytes for the client.
        expires_at_ms: when the credential expires, milliseconds since 1970; None for never.
    """

    user: str
    data: bytes = b""
    expires_at_ms: int | None = None


Step: TypeAlias = Challenge | Authenticated


class Mechanism(Protocol):
    """The broker's side of one exchange."""

    def step(self, token: bytes) -> Step:
        """Take the client's next token.

        Raises:
            SaslError: it is refused.
        """
        ...
