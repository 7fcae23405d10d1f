"""AddPartitionsToTxn 0–5, AddOffsetsToTxn 0–4, EndTxn 0–5, DescribeTransactions 0: what a coordinator is asked.

AddPartitionsToTxn: 2 PRODUCER_FENCED; 3 flexible; 4 and 5 several transactions, verifying (between brokers).
AddOffsetsToTxn: 2 PRODUCER_FENCED; 3 flexible; 4 TRANSACTION_ABORTABLE. EndTxn: 2 PRODUCER_FENCED; 3 flexible; 4
TRANSACTION_ABORTABLE; 5 the epoch is raised, and the answer has the identity for the next transaction (KIP-890).

As in Kafka, a transaction is begun by its first partition or group, and its time-out counts from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._types import TopicPartition
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from aioproducer._wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionDescription,
)
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.transactions import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState


def handle_add_partitions(
    state: ClusterState, request: Request, message: AddPartitionsToTxnRequest
) -> AddPartitionsToTxnResponse:
    """Make partitions part of the transaction: all, or none."""
    return _answer(message, request, lambda each: _add(state, request, each))


def refuse_add_partitions(
    message: AddPartitionsToTxnRequest, request: Request, code: int
) -> AddPartitionsToTxnResponse:
    """Answer with an error code for every partition."""
    return _answer(message, request, lambda each: _results(each.topics, lambda _: code))


def handle_add_offsets(
    state: ClusterState, request: Request, message: AddOffsetsToTxnRequest
) -> AddOffsetsToTxnResponse:
    """Make the offsets of a group part of the transaction."""
    try:
        _check_may_write(state, request, message.transactional_id)
        if not state.allows(request, Operation.READ, Resource.GROUP, message.group_id):
            raise Refused(ErrorCode.GROUP_AUTHORIZATION_FAILED)
        state.check_coordinator(message.transactional_id, request.node_id)
        identity = Identity(message.producer_id, message.producer_epoch)
        state.transactions.add(message.transactional_id, identity, groups=[message.group_id])
    except Refused as refused:
        return AddOffsetsToTxnResponse(error_code=_code(refused, request))
    return AddOffsetsToTxnResponse()


def refuse_add_offsets(message: AddOffsetsToTxnRequest, request: Request, code: int) -> AddOffsetsToTxnResponse:
    """Answer with an error code."""
    return AddOffsetsToTxnResponse(error_code=code)


def handle_end(state: ClusterState, request: Request, message: EndTxnRequest) -> EndTxnResponse:
    """Commit or abort."""
    try:
        _check_may_write(state, request, message.transactional_id)
        state.check_coordinator(message.transactional_id, request.node_id)
        following = state.transactions.end(
            message.transactional_id,
            Identity(message.producer_id, message.producer_epoch),
            commit=message.committed,
            raises_epoch=request.version >= 5,
        )
    except Refused as refused:
        return EndTxnResponse(error_code=_code(refused, request))
    if request.version < 5:
        return EndTxnResponse()
    return EndTxnResponse(producer_id=following.producer_id, producer_epoch=following.epoch)


def refuse_end(message: EndTxnRequest, request: Request, code: int) -> EndTxnResponse:
    """Answer with an error code."""
    return EndTxnResponse(error_code=code)


def handle_describe(
    state: ClusterState, request: Request, message: DescribeTransactionsRequest
) -> DescribeTransactionsResponse:
    """Tell where transactional ids stand."""
    return DescribeTransactionsResponse(
        transaction_states=[_describe(state, request, each) for each in message.transactional_ids]
    )


def refuse_describe(message: DescribeTransactionsRequest, request: Request, code: int) -> DescribeTransactionsResponse:
    """Answer with an error code for each."""
    return DescribeTransactionsResponse(
        transaction_states=[_undescribed(each, code) for each in message.transactional_ids]
    )


def _describe(state: ClusterState, request: Request, transactional_id: str) -> TransactionDescription:
    if not transactional_id:
        return _undescribed(transactional_id, ErrorCode.INVALID_REQUEST)
    if not state.allows(request, Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, transactional_id):
        return _undescribed(transactional_id, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    try:
        state.check_coordinator(transactional_id, request.node_id)
    except Refused as refused:
        return _undescribed(transactional_id, refused.code)
    found = state.transactions.get(transactional_id)
    if found is None:
        return _undescribed(transactional_id, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
    topics: dict[str, list[int]] = {}
    for tp in sorted(found.partitions):
        topics.setdefault(tp.topic, []).append(tp.partition)
    return TransactionDescription(
        transactional_id=transactional_id,
        transaction_state=found.state.name.title().replace("_", ""),
        transaction_timeout_ms=found.timeout_ms,
        transaction_start_time_ms=state.wall_ms_at(found.started_at) if found.is_begun else -1,
        producer_id=found.producer_id,
        producer_epoch=found.epoch,
        topics=[TopicData(topic=topic, partitions=partitions) for topic, partitions in topics.items()],
    )


def _undescribed(transactional_id: str, code: int) -> TransactionDescription:
    return TransactionDescription(
        error_code=code,
        transactional_id=transactional_id,
    )


def _transactions(message: AddPartitionsToTxnRequest, request: Request) -> list[AddPartitionsToTxnTransaction]:
    if request.version >= 4:
        return message.transactions
    return [
        AddPartitionsToTxnTransaction(
            transactional_id=message.v3_and_below_transactional_id,
            producer_id=message.v3_and_below_producer_id,
            producer_epoch=message.v3_and_below_producer_epoch,
            topics=message.v3_and_below_topics,
        )
    ]


def _answer(
    message: AddPartitionsToTxnRequest,
    request: Request,
    carry_out: Callable[[AddPartitionsToTxnTransaction], list[AddPartitionsToTxnTopicResult]],
) -> AddPartitionsToTxnResponse:
    transactions = _transactions(message, request)
    if request.version < 4:
        return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=carry_out(transactions[0]))
    return AddPartitionsToTxnResponse(
        results_by_transaction=[
            AddPartitionsToTxnResult(transactional_id=each.transactional_id, topic_results=carry_out(each))
            for each in transactions
        ]
    )


def _add(
    state: ClusterState, request: Request, asked: AddPartitionsToTxnTransaction
) -> list[AddPartitionsToTxnTopicResult]:
    identity = Identity(asked.producer_id, asked.producer_epoch)
    partitions = [TopicPartition(topic.name, index) for topic in asked.topics for index in topic.partitions]
    try:
        _check_may_write(state, request, asked.transactional_id)
        errors = {tp: code for tp in partitions if (code := _partition_error(state, request, tp))}
        if errors:
            return _results(asked.topics, lambda tp: errors.get(tp, ErrorCode.OPERATION_NOT_ATTEMPTED))
        state.check_coordinator(asked.transactional_id, request.node_id)
        if asked.verify_only:
            for tp in partitions:
                state.transactions.verify(asked.transactional_id, identity, tp)
        else:
            state.transactions.add(asked.transactional_id, identity, partitions)
    except Refused as refused:
        code = _code(refused, request)
        return _results(asked.topics, lambda _: code)
    return _results(asked.topics, lambda _: ErrorCode.NONE)


def _partition_error(state: ClusterState, request: Request, tp: TopicPartition) -> ErrorCode:
    if not state.allows(request, Operation.WRITE, Resource.TOPIC, tp.topic):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    is_known = state.partition(tp.topic, tp.partition) is not None
    return ErrorCode.NONE if is_known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def _check_may_write(state: ClusterState, request: Request, transactional_id: str) -> None:
    """Refuse with TRANSACTIONAL_ID_AUTHORIZATION_FAILED whom the transactional id does not belong to."""
    if not state.allows(request, Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id):
        raise Refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)


def _results(
    topics: list[AddPartitionsToTxnTopic], code: Callable[[TopicPartition], int]
) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=index, partition_error_code=code(TopicPartition(topic.name, index))
                )
                for index in topic.partitions
            ],
        )
        for topic in topics
    ]


def _code(refused: Refused, request: Request) -> ErrorCode:
    is_old = refused.code is ErrorCode.PRODUCER_FENCED and request.version < 2
    return ErrorCode.INVALID_PRODUCER_EPOCH if is_old else refused.code
