"""The tokens that the brokers accept: unsecured ones, unless told otherwise: anybody can write such a token."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from aioproducer._public import public_in


@public_in("aioproducer.testing")
@dataclass(frozen=True, slots=True)
class AcceptedToken:
    """A token that is good.

    Attributes:
        principal: whose it is.
        expires_at_ms: milliseconds since 1970; None for never.
    """

    principal: str
    expires_at_ms: int | None = None


@public_in("aioproducer.testing")
class TokenError(Exception):
    """A token is refused.

    Attributes:
        status: for the client: "invalid_token", "insufficient_scope" or "invalid_request".
        scope: the scope that it would need, or None.
    """

    def __init__(self, status: str = "invalid_token", scope: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.scope = scope


TokenValidator: TypeAlias = Callable[[str, int], AcceptedToken]
"""Looks at a token, at a time in milliseconds since 1970; raises TokenError."""


def validate_unsecured(token: str, wall_ms: int) -> AcceptedToken:
    """Accept an unsecured JWS whose `sub` and `exp` are there and which has not expired, as Kafka's own validator of
    them does (Java class OAuthBearerUnsecuredValidatorCallbackHandler). For tests: anybody can write such a token.

    Raises:
        TokenError: it is none, or has expired.
    """
    parts = token.split(".")
    if len(parts) != 3 or parts[2]:
        raise TokenError
    header, claims = _object(parts[0]), _object(parts[1])
    expires_at, principal = claims.get("exp"), claims.get("sub")
    if header.get("alg") != "none" or not isinstance(principal, str) or not principal.strip():
        raise TokenError
    if not isinstance(expires_at, int | float) or wall_ms >= expires_at * 1000:
        raise TokenError
    return AcceptedToken(principal, int(expires_at * 1000))


def unsecured_token(principal: str, wall_ms: int, lifetime: float, claims: dict[str, object] | None = None) -> str:
    """An unsecured JWS that `validate_unsecured` accepts for so many seconds."""
    issued = wall_ms / 1000
    body = {"sub": principal, "iat": issued, "exp": issued + lifetime, **(claims or {})}
    return f"{_base64({'alg': 'none'})}.{_base64(body)}."


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _object(part: str) -> dict[str, Any]:
    try:
        found: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        raise TokenError from None
    if not isinstance(found, dict):
        raise TokenError
    return cast("dict[str, Any]", found)
