"""SaslHandshake, versions 0 to 1: this connection wants to authenticate with that mechanism (KIP-43).

0 tokens follow bare, each behind its length only · 1 tokens follow in SaslAuthenticate (KIP-152). It was never made
flexible, so its headers are the oldest that there are.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, array, int16, string


class SaslHandshakeRequest(Request):
    """Let us authenticate with this mechanism."""

    api_key = ApiKey.SASL_HANDSHAKE
    min_version = 0
    max_version = 1
    flexible_from = None

    mechanism: str = string()


class SaslHandshakeResponse(Response):
    """Whether the mechanism is enabled, and all that are."""

    api_key = ApiKey.SASL_HANDSHAKE
    min_version = 0
    max_version = 1
    flexible_from = None

    error_code: int = int16()
    mechanisms: list[str] = array(string)
