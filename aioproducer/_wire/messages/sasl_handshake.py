"""SaslHandshake, versions 0 and 1: I want to log in by this mechanism (KIP-43).

1 SaslAuthenticate follows (KIP-152); after version 0 the mechanism's bytes do, without Kafka's headers, which is not
spoken here.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, array, int16, string


class SaslHandshakeRequest(Request):
    """Which mechanism the client wants."""

    api_key = ApiKey.SASL_HANDSHAKE
    min_version = 0
    max_version = 1
    flexible_from = None

    mechanism: str = string()


class SaslHandshakeResponse(Response):
    """Whether it is offered, and which are."""

    api_key = ApiKey.SASL_HANDSHAKE
    min_version = 0
    max_version = 1
    flexible_from = None

    error_code: int = int16()
    mechanisms: list[str] = array(string)
