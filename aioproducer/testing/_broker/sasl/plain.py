"""PLAIN (RFC 4616): authorization id, user and password, with a NUL between them (Java class PlainSaslServer)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer.testing._broker.sasl.steps import Authenticated, SaslError

if TYPE_CHECKING:
    from aioproducer.testing._broker.users import Login

MOST_TOKENS: Final = 4  # where Kafka stops counting


class Plain:
    """The broker's side."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def step(self, token: bytes) -> Authenticated:
        """Look at the one message that there is."""
        parts = token.decode("utf-8", "replace").split("\0", MOST_TOKENS - 1)
        if len(parts) != 3:
            raise SaslError(f"Invalid SASL/PLAIN response: expected 3 tokens, got {len(parts)}")
        authorization_id, user, password = parts
        if not user:
            raise SaslError("Authentication failed: username not specified")
        if not password:
            raise SaslError("Authentication failed: password not specified")
        if not self._login.is_password(user, password):
            raise SaslError("Authentication failed: Invalid username or password")
        if authorization_id and authorization_id != user:
            raise SaslError(
                "Authentication failed: Client requested an authorization id that is different from username"
            )
        return Authenticated(user)
