"""SaslHandshake 0 to 1 and SaslAuthenticate 0 to 2 where there is nothing to authenticate.

On a listener without SASL, and on a connection whose session is not to be renewed, both are answered with
ILLEGAL_SASL_STATE, and the connection stays. What becomes of them elsewhere is in `sasl.session`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer.errors import ErrorCode

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

TOO_LATE: Final = "SaslAuthenticate request received after successful authentication"


def handle_handshake(state: ClusterState, request: Request, message: SaslHandshakeRequest) -> SaslHandshakeResponse:
    """Refuse, without telling the mechanisms."""
    return refuse_handshake(message, request, ErrorCode.ILLEGAL_SASL_STATE)


def refuse_handshake(message: SaslHandshakeRequest, request: Request, code: int) -> SaslHandshakeResponse:
    """Answer with an error code."""
    return SaslHandshakeResponse(error_code=code)


def handle_authenticate(
    state: ClusterState, request: Request, message: SaslAuthenticateRequest
) -> SaslAuthenticateResponse:
    """Refuse."""
    return SaslAuthenticateResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=TOO_LATE)


def refuse_authenticate(message: SaslAuthenticateRequest, request: Request, code: int) -> SaslAuthenticateResponse:
    """Answer with an error code."""
    return SaslAuthenticateResponse(error_code=code, error_message=None)
