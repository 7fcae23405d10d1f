"""Produce 3 to 13: what becomes of each partition's batch.

3 RecordBatch v2 and a transactional id; 4 and 5 KAFKA_STORAGE_ERROR, log_start_offset; 7 zstd; 8 record errors
(KIP-467); 9 flexible; 10 the new leader in NOT_LEADER_OR_FOLLOWER (KIP-951); 11 TRANSACTION_ABORTABLE; 12 a partition
becomes part of the transaction by being written to (KIP-890); 13 topic ids instead of names. Versions 0 to 2 are
listed but refused, as in Kafka 4.

acks: 0 no answer, and the connection is closed when a batch was refused; 1 the leader has it; −1 all in-sync replicas
have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aioproducer._records.compression import Codec
from aioproducer._records.header import ATTRIBUTES_OFFSET, CODEC_MASK, MAGIC, MAGIC_OFFSET, TRANSACTIONAL_BIT
from aioproducer._types import TopicPartition
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.faults import Effect
from aioproducer.testing._broker.requests import NoAnswer, Refused, Wait
from aioproducer.testing._broker.state import INTERNAL_TOPICS
from aioproducer.testing._broker.transactions import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._records.decode import BatchHeader
    from aioproducer._wire.schema import Records
    from aioproducer.testing._broker.partition import Appended, Partition
    from aioproducer.testing._broker.requests import Outcome, Request
    from aioproducer.testing._broker.state import ClusterState

CODEC_BYTE: Final = ATTRIBUTES_OFFSET + 1
AFTER_APPEND: Final = frozenset({ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode.REQUEST_TIMED_OUT})
"""Errors that say: it is in the leader's log. A fault with one of them strikes after the append."""


class _Result:
    """What one partition of a request has come to."""

    __slots__ = ("partition", "required_offset", "response")

    def __init__(
        self, response: PartitionProduceResponse, partition: Partition | None, required_offset: int = -1
    ) -> None:
        self.response = response
        self.partition = partition
        self.required_offset = required_offset  # the high watermark that acks=all waits for; -1: nothing to wait for


def handle(state: ClusterState, request: Request, message: ProduceRequest) -> Outcome:
    """Append what is right, refuse what is not, and answer when acks says so."""
    if not _may_write_transactions(state, request, message.transactional_id) and _has_transactional_batch(message):
        code, text = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "not authorized for the transactional id"
        results = [
            [_Result(_refusal(request, data.index, None, Refused(code, text)), None) for data in topic.partition_data]
            for topic in message.topic_data
        ]
    else:
        results = [
            [_carry_out(state, request, message, topic, data) for data in topic.partition_data]
            for topic in message.topic_data
        ]
    if message.acks == 0:
        return NoAnswer(close=any(result.response.error_code for topic in results for result in topic))
    waiting = [result for topic in results for result in topic if result.required_offset >= 0]
    deadline = request.now + max(0, message.timeout_ms) / 1000
    leaders = [result.partition.leader if result.partition is not None else -1 for result in waiting]

    def check(now: float) -> ProduceResponse | None:
        for result, leader in zip(waiting, leaders, strict=True):
            if result.required_offset >= 0:
                _check_replicas(result, leader, is_late=now >= deadline)
        if any(result.required_offset >= 0 for result in waiting):
            return None
        return _answer(state, request, message, results)

    return check(request.now) or Wait(check, deadline)


def partitions_of(state: ClusterState, message: ProduceRequest) -> list[TopicPartition]:
    """The partitions that a request is about, by name; without those whose topic id is not known."""
    found: list[TopicPartition] = []
    for topic in message.topic_data:
        name = topic.name or _name_of(state, topic)
        if name is not None:
            found += [TopicPartition(name, data.index) for data in topic.partition_data]
    return found


def _may_write_transactions(state: ClusterState, request: Request, transactional_id: str | None) -> bool:
    return transactional_id is not None and state.allows(
        request, Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id
    )


def _has_transactional_batch(message: ProduceRequest) -> bool:
    """Java class RequestUtils.hasTransactionalRecords."""
    batches = (_one_buffer(data.records) for topic in message.topic_data for data in topic.partition_data)
    return any(
        len(batch) > CODEC_BYTE and batch[MAGIC_OFFSET] == MAGIC and batch[CODEC_BYTE] & TRANSACTIONAL_BIT
        for batch in batches
    )


def _carry_out(
    state: ClusterState, request: Request, message: ProduceRequest, topic: TopicProduceData, data: PartitionProduceData
) -> _Result:
    name = _name_of(state, topic) if request.version >= 13 else topic.name
    partition = state.partition(name, data.index) if name is not None else None
    try:
        if message.acks not in (-1, 0, 1):
            raise Refused(ErrorCode.INVALID_REQUIRED_ACKS)
        if name is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_ID)
        if not state.allows(request, Operation.WRITE, Resource.TOPIC, name):
            raise Refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        if name in INTERNAL_TOPICS:
            raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Cannot append to internal topic {name}")
        if partition is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return _append(state, request, message, partition, data)
    except Refused as refused:
        return _Result(_refusal(request, data.index, partition, refused), partition)


def _append(
    state: ClusterState, request: Request, message: ProduceRequest, partition: Partition, data: PartitionProduceData
) -> _Result:
    if partition.leader != request.node_id:
        raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    fault_code = _fault(state, request, message, partition) if state.faults else 0
    if fault_code and fault_code not in AFTER_APPEND:
        raise Refused(_error(fault_code), "refused by a fault that was set")
    if message.acks == -1 and not partition.has_enough_replicas:
        text = f"The size of the current ISR {partition.isr} is insufficient for {partition.topic}-{partition.index}"
        raise Refused(ErrorCode.NOT_ENOUGH_REPLICAS, text, log_start_offset=partition.log.start_offset)
    records = _one_buffer(data.records)
    if request.version < 7 and len(records) > CODEC_BYTE and records[CODEC_BYTE] & CODEC_MASK == Codec.ZSTD:
        raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce 7 or later")
    appended = partition.append(
        records, state.wall_ms, _Verifier(state, request.version, message.transactional_id, partition)
    )
    if fault_code:
        raise Refused(_error(fault_code), "appended, then refused by a fault that was set")
    return _accepted(message, partition, data.index, appended)


def _accepted(message: ProduceRequest, partition: Partition, index: int, appended: Appended) -> _Result:
    response = PartitionProduceResponse(
        index=index,
        base_offset=appended.base_offset,
        log_append_time_ms=appended.log_append_time_ms,
        log_start_offset=appended.log_start_offset,
    )
    return _Result(response, partition, appended.last_offset + 1 if message.acks == -1 else -1)


def _check_replicas(result: _Result, leader: int, *, is_late: bool) -> None:
    """Settle a partition that waits for its replicas, if it is time."""
    partition = result.partition
    assert partition is not None
    code = ErrorCode.NONE
    if partition.leader != leader:
        code = ErrorCode.NOT_LEADER_OR_FOLLOWER
    elif partition.high_watermark >= result.required_offset:
        if not partition.has_enough_replicas:
            code = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    elif is_late:
        code = ErrorCode.REQUEST_TIMED_OUT
    else:
        return
    result.required_offset = -1
    if code:
        index = result.response.index
        result.response = PartitionProduceResponse(index=index, error_code=code, base_offset=-1)


class _Verifier:
    """Asks the coordinator about a partition, and from Produce 12 on makes it part of the transaction."""

    __slots__ = ("_state", "_tp", "_transactional_id", "_version")

    def __init__(self, state: ClusterState, version: int, transactional_id: str | None, partition: Partition) -> None:
        self._state = state
        self._version = version
        self._transactional_id = transactional_id or ""
        self._tp = TopicPartition(partition.topic, partition.index)

    @property
    def raises_epoch(self) -> bool:
        return self._version >= 12

    def verify(self, header: BatchHeader) -> None:
        identity = Identity(header.producer_id, header.producer_epoch)
        try:
            if self.raises_epoch:
                self._state.transactions.add(self._transactional_id, identity, [self._tp])
            else:
                self._state.transactions.verify(self._transactional_id, identity, self._tp)
        except Refused as refused:
            raise Refused(_disguised(refused.code, self._version), refused.text) from refused


def _disguised(code: ErrorCode, version: int) -> ErrorCode:
    if version < 11 and code is ErrorCode.TRANSACTION_ABORTABLE:
        return ErrorCode.INVALID_TXN_STATE
    if version < 12 and code is ErrorCode.CONCURRENT_TRANSACTIONS:
        return ErrorCode.NOT_ENOUGH_REPLICAS
    return ErrorCode.INVALID_PRODUCER_EPOCH if code is ErrorCode.PRODUCER_FENCED else code


def _refusal(request: Request, index: int, partition: Partition | None, refused: Refused) -> PartitionProduceResponse:
    has_hint = refused.code is ErrorCode.NOT_LEADER_OR_FOLLOWER and partition is not None and request.version >= 10
    return PartitionProduceResponse(
        index=index,
        error_code=refused.code,
        base_offset=-1,
        log_start_offset=refused.log_start_offset,
        record_errors=[
            BatchIndexAndErrorMessage(batch_index=at, batch_index_error_message=text)
            for at, text in refused.record_errors
        ],
        error_message=refused.text,
        current_leader=LeaderIdAndEpoch(leader_id=partition.leader, leader_epoch=partition.leader_epoch)
        if has_hint and partition is not None
        else LeaderIdAndEpoch(),
    )


def _answer(
    state: ClusterState, request: Request, message: ProduceRequest, results: list[list[_Result]]
) -> ProduceResponse:
    responses = [
        TopicProduceResponse(
            name=topic.name, topic_id=topic.topic_id, partition_responses=[result.response for result in of_topic]
        )
        for topic, of_topic in zip(message.topic_data, results, strict=True)
    ]
    hinted = (each.current_leader.leader_id for topic in responses for each in topic.partition_responses)
    return ProduceResponse(
        responses=responses, node_endpoints=_endpoints(state, {node for node in hinted if node >= 0})
    )


def _endpoints(state: ClusterState, node_ids: Iterable[int]) -> list[NodeEndpoint]:
    nodes = (state.nodes[node_id] for node_id in sorted(node_ids))
    return [NodeEndpoint(node_id=node.id, host=node.host, port=node.port, rack=node.rack) for node in nodes]


def _fault(state: ClusterState, request: Request, message: ProduceRequest, partition: Partition) -> int:
    touched = [TopicPartition(partition.topic, partition.index)]
    fault = state.faults.strike(Effect.FAIL, ApiKey.PRODUCE, request.node_id, touched, message.acks)
    return fault.code if fault is not None else 0


def _error(code: int) -> ErrorCode:
    return ErrorCode(code)


def _name_of(state: ClusterState, topic: TopicProduceData) -> str | None:
    found = state.topics_by_id.get(topic.topic_id)
    return found.name if found is not None else None


def _one_buffer(records: Records | None) -> bytes | memoryview:
    if records is None:
        return b""
    if isinstance(records, bytes | bytearray | memoryview):
        return cast("bytes | memoryview", records)  # decoded messages have one memoryview here
    return b"".join(records)
