"""Token: what OAUTHBEARER logs in with, when it ends, and what can be read from it without its issuer."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import AuthenticationError
from aioproducer.sasl._turns import json_object

_LARGEST_SECONDS: Final = 1e11
"""A larger number is milliseconds: in seconds it would be the year 5138."""


@public_in("aioproducer.security")
@dataclass(frozen=True, slots=True, init=False)
class Token:
    """A bearer token. Its text is shown by nothing.

    Attributes:
        value: what is sent, without "Bearer ".
        expires_at_ms: wall clock; None when nobody knows: it is then asked for again at each authentication.
        principal: whom it stands for, as far as is known. Only for messages: the broker decides.
        extensions: what is sent with it (KIP-342), read only.
        issued_at_ms: wall clock; None counts as when it arrived.
    """

    value: Secret
    expires_at_ms: int | None
    principal: str | None
    extensions: Mapping[str, str]
    issued_at_ms: int | None

    def __init__(
        self,
        value: SecretLike,
        *,
        expires_at_ms: int | None = None,
        principal: str | None = None,
        extensions: Mapping[str, str] | None = None,
        issued_at_ms: int | None = None,
    ) -> None:
        """Keep a token; whitespace around it is dropped, as it comes from files and is never part of one."""
        value = Secret(Secret(value).reveal_bytes().strip())
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "expires_at_ms", expires_at_ms)
        object.__setattr__(self, "principal", principal)
        object.__setattr__(self, "extensions", MappingProxyType(dict(extensions or {})))
        object.__setattr__(self, "issued_at_ms", issued_at_ms)


@public_in("aioproducer.security")
def token_from_text(
    value: SecretLike, *, extensions: Mapping[str, str] | None = None, principal_claim: str = "sub"
) -> Token:
    """Return a token with what its own claims say, if it is a JWT: expiry, time of issue and principal.

    Nothing is verified: that is for the broker, and this side only has to know when to get another one.

    Example:
        >>> token_from_text("opaque").expires_at_ms is None
        True
    """
    value = Secret(Secret(value).reveal_bytes().strip())
    claims = claims_of(value) or {}
    principal = claims.get(principal_claim)
    return Token(
        value,
        expires_at_ms=_milliseconds(claims.get("exp")),
        principal=principal if isinstance(principal, str) else None,
        extensions=extensions,
        issued_at_ms=_milliseconds(claims.get("iat")),
    )


def claims_of(value: Secret) -> dict[str, object] | None:
    """Return the claims of a JWT without verifying them, or None when it is none (RFC 7519)."""
    parts = value.reveal_bytes().split(b".")
    if len(parts) != 3:
        return None
    try:
        payload = Secret(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return json_object(payload.reveal_bytes())


def token_from_answer(answer: object) -> Token:
    """Return the token in whatever form a provider gave it.

    Args:
        answer: a Token; str, bytes or Secret, whose expiry is read from it if it is a JWT; or a tuple as other clients'
            callbacks return: (token, expiry), (…, principal), (…, extensions). An expiry above 10¹¹ is milliseconds, as
            Amazon's signer has it, else seconds, as confluent-kafka has it; both since 1970.

    Raises:
        AuthenticationError: it is none of these; the message has types only.
    """
    if isinstance(answer, Token):
        return answer
    if isinstance(answer, str | bytes | Secret):
        return token_from_text(answer)
    token = _from_tuple(cast("tuple[object, ...]", answer)) if isinstance(answer, tuple) else None
    kind = type(cast("object", answer)).__name__  # type: ignore[redundant-cast]
    del answer  # a traceback with locals would show it
    if token is None:
        raise AuthenticationError(f"the token provider returned {kind}: return a Token, a str, or (token, expiry)")
    return token


def _from_tuple(answer: tuple[object, ...]) -> Token | None:
    if len(answer) < 2:
        return None
    value, expiry, *more = answer
    if not isinstance(value, str | bytes | Secret) or not isinstance(expiry, int | float):
        return None
    principal = more[0] if more and isinstance(more[0], str) else None
    extensions: dict[str, str] = {}
    if len(more) > 1 and isinstance(more[1], Mapping):
        extensions = {str(name): str(text) for name, text in cast("Mapping[object, object]", more[1]).items()}
    seconds = expiry / 1000 if expiry > _LARGEST_SECONDS else expiry
    return Token(value, expires_at_ms=_milliseconds(seconds), principal=principal, extensions=extensions)


def _milliseconds(seconds: object) -> int | None:
    """Return a claim's time (RFC 7519's NumericDate) in milliseconds; None for what is not one."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not math.isfinite(seconds) or not 0 <= seconds <= _LARGEST_SECONDS:
        return None
    return int(seconds * 1000)
