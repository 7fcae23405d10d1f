"""The answers of token endpoints: which are tokens, which are final, and what may be said of them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._turns import json_object, shown
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._token import token_from_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from aioproducer.errors import AuthenticationError
    from aioproducer.security._http import HttpResponse
    from aioproducer.security._token import Token

OK: Final = frozenset({200, 201})

FINAL: Final = frozenset({*range(400, 408), *range(409, 416), 501, 505})
"""Statuses that asking again does not change (Java's HttpJwtRetriever)."""

_DESCRIPTIONS: Final = (("error", "error_description"), ("errorCode", "errorSummary"), ("Code", "Message"))
"""What services call the kind of an error and its text: RFC 6749 §5.2, Okta, AWS."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a service is asked again, and how often; Kafka's sasl.login.retry.backoff.ms and .max.ms.

    Attributes:
        backoff_ms: the first pause; each is twice the one before.
        total_ms: after so long no further attempt begins.
    """

    backoff_ms: int = 100
    total_ms: int = 10_000

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: one is negative.
        """
        if self.backoff_ms < 0 or self.total_ms < 0:
            raise ConfigurationError("retry_backoff_ms and retry_backoff_max_ms are at least 0")

    def pause(self, attempt: int, *, elapsed: float, retry_after: float | None) -> float | None:
        """Return the seconds until the next attempt, or None: no more.

        Args:
            attempt: the number of the one that failed, from 1 on.
            elapsed: seconds since the first one began.
            retry_after: seconds that the service asked for.
        """
        left = self.total_ms / 1000 - elapsed
        wanted = retry_after or 0.0
        if left <= 0 or wanted > left:
            return None
        return min(left, max(wanted, math.ldexp(self.backoff_ms / 1000, min(attempt - 1, 32))))


def error_from(name: str, response: HttpResponse, final: Collection[int] = FINAL) -> AuthenticationError:
    """Return the error for an answer that is none of OK.

    Args:
        name: the service, as messages name it.
        response: of its text only what JSON calls an error is shown, as other pages may quote the request.
        final: the statuses that asking again does not change.
    """
    said = _said(json_object(response.body.reveal_bytes()))
    if 300 <= response.status < 400:
        return refused(f"{name} redirects (HTTP {response.status}); give the address that it redirects to")
    make = refused if response.status in final else unavailable
    return make(f"{name} answered HTTP {response.status}{said}")


def token_in(
    name: str, response: HttpResponse, *, now_ms: int, extensions: Mapping[str, str], principal_claim: str = "sub"
) -> Token:
    """Return the token in a good answer: `access_token`, else `id_token`.

    Its expiry is that of its own claims, else what `expires_in` or Azure's `expires_on` say.

    Raises:
        AuthenticationError: there is none (retriable: something on the way may have answered).
    """
    fields = object_in(name, response)
    value = Secret(_text(fields.get("access_token")) or _text(fields.get("id_token")))
    expires_at_ms = expiry_in(fields, now_ms=now_ms)
    del fields  # a traceback with locals would show it
    if not value:
        raise unavailable(f"{name} answered HTTP {response.status} without access_token")
    token = token_from_text(value, extensions=extensions, principal_claim=principal_claim)
    if token.expires_at_ms is not None:
        return token
    return replace(token, expires_at_ms=expires_at_ms, issued_at_ms=now_ms)


def object_in(name: str, response: HttpResponse) -> dict[str, object]:
    """Return the JSON object that an answer is.

    Raises:
        AuthenticationError: it is none; its text may be a token, so it is not shown.
    """
    fields = json_object(response.body.reveal_bytes())
    if fields is None:
        size = len(response.body.reveal_bytes())
        raise unavailable(f"{name} answered HTTP {response.status} with {size:,} bytes that are no JSON object")
    return fields


def expiry_in(fields: Mapping[str, object], *, now_ms: int) -> int | None:
    """Return when a token ends, by `expires_in` (seconds from now) or `expires_on` (seconds since 1970)."""
    seconds_from_now = _number(fields.get("expires_in"))
    if seconds_from_now is not None:
        return now_ms + int(1000 * seconds_from_now)
    seconds = _number(fields.get("expires_on"))
    return None if seconds is None else int(1000 * seconds)


def _said(fields: Mapping[str, object] | None) -> str:
    for kind, text in _DESCRIPTIONS:
        found = [_text((fields or {}).get(name)) for name in (kind, text)]
        if any(found):
            return f": {' '.join(shown(part) for part in found if part)}"
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    """Return a number, which some services write as a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 1e12 else None
