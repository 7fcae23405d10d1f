"""InitProducerId 0 to 5: a producer id, with an epoch of its own for a transactional id.

2 flexible; 3 the identity whose epoch is to be raised (KIP-360); 4 PRODUCER_FENCED, which before is
INVALID_PRODUCER_EPOCH; 5 TRANSACTION_ABORTABLE. Any broker gives ids to producers without a transactional id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.transactions import Identity

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState


def handle(state: ClusterState, request: Request, message: InitProducerIdRequest) -> InitProducerIdResponse:
    """Give a producer id."""
    code = _denial(state, request, message.transactional_id)
    if code:
        return refuse(message, request, code)
    if (message.producer_id >= 0) != (message.producer_epoch >= 0):
        return refuse(message, request, ErrorCode.INVALID_REQUEST)
    if message.transactional_id is None:
        return InitProducerIdResponse(producer_id=state.new_producer_id(), producer_epoch=0)
    expected = None
    if message.producer_id >= 0:
        expected = Identity(message.producer_id, message.producer_epoch)
    try:
        state.check_coordinator(message.transactional_id, request.node_id)
        identity = state.transactions.init_producer(message.transactional_id, message.transaction_timeout_ms, expected)
    except Refused as refused:
        is_old = refused.code is ErrorCode.PRODUCER_FENCED and request.version < 4
        return refuse(message, request, ErrorCode.INVALID_PRODUCER_EPOCH if is_old else refused.code)
    return InitProducerIdResponse(producer_id=identity.producer_id, producer_epoch=identity.epoch)


def _denial(state: ClusterState, request: Request, transactional_id: str | None) -> ErrorCode:
    """Why the client may have no producer id; NONE when it may."""
    if transactional_id is not None:
        is_allowed = state.allows(request, Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id)
        return ErrorCode.NONE if is_allowed else ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    # Who may write to any topic may do so as an idempotent producer (KIP-679).
    is_allowed = state.allows(request, Operation.IDEMPOTENT_WRITE, Resource.CLUSTER)
    if is_allowed or state.acls.allows_on_any_topic(request.principal, Operation.WRITE):
        return ErrorCode.NONE
    return ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def refuse(message: InitProducerIdRequest, request: Request, code: int) -> InitProducerIdResponse:
    """Answer with an error code."""
    return InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)
