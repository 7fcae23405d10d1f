"""SaslAuthenticate, versions 0 to 2: the bytes of a mechanism (KIP-152).

1 the answer says how long the session lasts (KIP-368) · 2 flexible.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, binary, int16, int64, string


class SaslAuthenticateRequest(Request):
    """What the client's side of the mechanism says. The bytes may hold a password: they are dumped nowhere."""

    api_key = ApiKey.SASL_AUTHENTICATE
    min_version = 0
    max_version = 2
    flexible_from = 2

    auth_bytes: bytes = binary()


class SaslAuthenticateResponse(Response):
    """What the broker's side says."""

    api_key = ApiKey.SASL_AUTHENTICATE
    min_version = 0
    max_version = 2
    flexible_from = 2

    error_code: int = int16()
    error_message: str | None = string(nullable_since=0)
    auth_bytes: bytes = binary()
    session_lifetime_ms: int = int64(since=1, ignorable=True)
