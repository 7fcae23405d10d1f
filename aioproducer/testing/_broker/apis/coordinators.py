"""FindCoordinator 0 to 6: which broker coordinates a group or a transactional id.

1 key type, throttle time; 3 flexible; 4 several keys in one request; 5 TRANSACTION_ABORTABLE; 6 share groups (not
here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    FoundCoordinator,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

GROUP: Final = 0
TRANSACTION: Final = 1
DENIALS: Final = {
    GROUP: (Resource.GROUP, ErrorCode.GROUP_AUTHORIZATION_FAILED),
    TRANSACTION: (Resource.TRANSACTIONAL_ID, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
}
"""What a key is, and what is answered to whom its coordinator is not told."""


def handle(state: ClusterState, request: Request, message: FindCoordinatorRequest) -> FindCoordinatorResponse:
    """Answer with a broker that is alive, for each key."""
    if request.version >= 4:
        keys = message.coordinator_keys
        found = [_coordinator(state, request, message.key_type, key) for key in keys]
        return FindCoordinatorResponse(coordinators=found)
    return _single(_coordinator(state, request, message.key_type, message.key))


def refuse(message: FindCoordinatorRequest, request: Request, code: int) -> FindCoordinatorResponse:
    """Answer with an error code for every key."""
    if request.version >= 4:
        return FindCoordinatorResponse(coordinators=[_error(key, code) for key in message.coordinator_keys])
    return _single(_error(message.key, code))


def _coordinator(state: ClusterState, request: Request, key_type: int, key: str) -> FoundCoordinator:
    if key_type not in DENIALS:
        return _error(key, ErrorCode.INVALID_REQUEST)
    resource, code = DENIALS[key_type]
    if not state.allows(request, Operation.DESCRIBE, resource, key):
        return _error(key, code)
    node = state.coordinator_of(key)
    if node is None:
        return _error(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return FoundCoordinator(key=key, node_id=node.id, host=node.host, port=node.port, error_message=None)


def _error(key: str, code: int) -> FoundCoordinator:
    return FoundCoordinator(key=key, node_id=-1, port=-1, error_code=code, error_message=None)


def _single(found: FoundCoordinator) -> FindCoordinatorResponse:
    return FindCoordinatorResponse(
        error_code=found.error_code,
        error_message=None,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )
