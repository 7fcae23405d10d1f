"""OAUTHBEARER (RFC 7628; Java classes OAuthBearerSaslServer and OAuthBearerClientInitialResponse).

A token that is refused is answered in two steps: JSON as if all were well, and the failure once the client has sent a
single byte 0x01 to it. What is not a message of the mechanism is refused at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from aioproducer.testing._broker.sasl.steps import Authenticated, Challenge, SaslError, Step

_SEPARATOR: Final = "\x01"
_NAME: Final = r"(?:[\x02-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+"
_PAIR: Final = r"[A-Za-z]+=[\x21-\x7e \t\r\n]+\x01"
_INITIAL: Final = re.compile(rf"n,(?:a=(?P<authzid>{_NAME}))?,\x01(?P<pairs>(?:{_PAIR})*)\x01")
_AUTH: Final = re.compile(r"(?P<scheme>\w+) +(?P<token>[-_~+/.a-zA-Z0-9]+=*)", re.ASCII)
_GIVEN_UP: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class AcceptedToken:
    """A token that is good.

    Attributes:
        principal: whose it is.
        expires_at_ms: milliseconds since 1970; None for never.
    """

    principal: str
    expires_at_ms: int | None = None


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


class OAuthBearer:
    """The broker's side.

    Attributes:
        extensions: what the client has said besides its token.
    """

    def __init__(self, validate: TokenValidator, wall_ms: int) -> None:
        self._validate = validate
        self._wall_ms = wall_ms
        self._failure: str | None = None
        self.extensions: dict[str, str] = {}

    def step(self, token: bytes) -> Step:
        """Take the client's message, or its consent to have failed."""
        if self._failure is not None and token == _GIVEN_UP:
            raise SaslError(self._failure)
        authorization_id, bearer = self._parse(token)
        try:
            accepted = self._validate(bearer, self._wall_ms)
        except TokenError as error:
            told = {"status": error.status} | ({} if error.scope is None else {"scope": error.scope})
            self._failure = json.dumps(told, separators=(",", ":"))
            return Challenge(self._failure.encode())
        if authorization_id and authorization_id != accepted.principal:
            raise SaslError(
                f"Authentication failed: Client requested an authorization id ({authorization_id}) that is different "
                f"from the token's principal name ({accepted.principal})"
            )
        return Authenticated(accepted.principal, expires_at_ms=accepted.expires_at_ms)

    def _parse(self, data: bytes) -> tuple[str, str]:
        """The authorization id and the token."""
        found = _INITIAL.fullmatch(data.decode("utf-8", "replace"))
        if found is None:
            raise SaslError
        pairs = dict(pair.split("=", 1) for pair in found["pairs"].split(_SEPARATOR) if pair)
        auth = _AUTH.fullmatch(pairs.pop("auth", ""))
        if auth is None or auth["scheme"].lower() != "bearer":
            raise SaslError
        self.extensions = pairs
        return (found["authzid"] or "").replace("=2C", ",").replace("=3D", "="), auth["token"]


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
