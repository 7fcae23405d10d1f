"""SaslAuthenticate, versions 0 to 2: a token of the mechanism that SaslHandshake has chosen (KIP-152).

1 how long the session lasts (KIP-368) · 2 flexible. What the tokens are is the mechanism's affair; they can be secret,
and are never printed.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, binary, int16, int64, string


class SaslAuthenticateRequest(Request):
    """The client's next token."""

    api_key = ApiKey.SASL_AUTHENTICATE
    min_version = 0
    max_version = 2
    flexible_from = 2

    auth_bytes: bytes = binary()


class SaslAuthenticateResponse(Response):
    """The broker's next token, or why it refuses; and after the last one, for how long the session is good."""

    api_key = ApiKey.SASL_AUTHENTICATE
    min_version = 0
    max_version = 2
    flexible_from = 2

    error_code: int = int16()
    error_message: str | None = string(nullable_since=0)
    auth_bytes: bytes = binary()
    session_lifetime_ms: int = int64(since=1, ignorable=True)
