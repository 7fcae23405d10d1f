"""Fetch 4 to 17: whole batches from an offset on, at once or when there are enough.

4 isolation level; 5 log start offset; 7 sessions (KIP-227); 9 leader epoch (KIP-320); 10 zstd; 11 racks; 12 flexible,
leader hints; 13 topic ids; 15 replica state; 16 node endpoints; 17 directory ids.

No session is ever opened: the session id in the answer is 0, upon which clients send full requests. Any broker that is
the leader answers; followers do not. read_committed ends at the last stable offset and lists the aborted transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.fetch import (
    AbortedTransaction,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.requests import Refused, Wait

if TYPE_CHECKING:
    from aioproducer.testing._broker.partition import Partition
    from aioproducer.testing._broker.requests import Outcome, Request
    from aioproducer.testing._broker.state import ClusterState

READ_COMMITTED: Final = 1
UNKNOWN: Final = frozenset(
    {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.TOPIC_AUTHORIZATION_FAILED}
)
"""Refused before the log is asked, which is why there is a list, if an empty one, of aborted transactions."""


def handle(state: ClusterState, request: Request, message: FetchRequest) -> Outcome:
    """Answer with what there is, or wait for more, up to max_wait_ms."""
    if message.session_id != 0:
        return FetchResponse(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    deadline = request.now + max(0, message.max_wait_ms) / 1000

    def check(now: float) -> FetchResponse | None:
        response, size = _read(state, request, message)
        is_enough = size is None or size >= message.min_bytes or not message.topics
        return response if is_enough or now >= deadline else None

    return check(request.now) or Wait(check, deadline)


def refuse(message: FetchRequest, request: Request, code: int) -> FetchResponse:
    """Answer with an error code for every partition."""
    return FetchResponse(
        responses=[
            FetchableTopicResponse(
                topic=topic.topic,
                topic_id=topic.topic_id,
                partitions=[_error(asked.partition, code) for asked in topic.partitions],
            )
            for topic in message.topics
        ]
    )


def check_epoch(partition: Partition, node_id: int, current_leader_epoch: int) -> None:
    """Refuse what is not for this broker: it isn't the leader, or the client knows of another epoch.

    Raises:
        Refused: NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
    """
    if partition.leader != node_id:
        raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    if 0 <= current_leader_epoch < partition.leader_epoch:
        raise Refused(ErrorCode.FENCED_LEADER_EPOCH)
    if current_leader_epoch > partition.leader_epoch:
        raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH)


def _read(state: ClusterState, request: Request, message: FetchRequest) -> tuple[FetchResponse, int | None]:
    """The answer as of now and its bytes of records; None when there is an error, which is told at once."""
    size: int | None = 0
    room = message.max_bytes
    hinted: set[int] = set()
    responses: list[FetchableTopicResponse] = []
    for topic in message.topics:
        partitions: list[PartitionData] = []
        for asked in topic.partitions:
            is_first = room == message.max_bytes  # of whatever it is, the first batch is sent
            data, count = _partition(state, request, topic, asked, message.isolation_level, room, is_first=is_first)
            partitions.append(data)
            room -= count
            size = None if data.error_code or size is None else size + count
            if data.current_leader.leader_id >= 0:
                hinted.add(data.current_leader.leader_id)
        responses.append(FetchableTopicResponse(topic=topic.topic, topic_id=topic.topic_id, partitions=partitions))
    return FetchResponse(responses=responses, node_endpoints=_endpoints(state, request, hinted)), size


def _partition(
    state: ClusterState,
    request: Request,
    topic: FetchTopic,
    asked: FetchPartition,
    isolation_level: int,
    room: int,
    *,
    is_first: bool,
) -> tuple[PartitionData, int]:
    known = state.topics_by_id.get(topic.topic_id) if request.version >= 13 else state.topics.get(topic.topic)
    if known is None:
        is_by_id = request.version >= 13
        code = ErrorCode.UNKNOWN_TOPIC_ID if is_by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return _error(asked.partition, code), 0
    if not state.allows(request, Operation.READ, Resource.TOPIC, known.name):
        return _error(asked.partition, ErrorCode.TOPIC_AUTHORIZATION_FAILED), 0
    partition = state.partition(known.name, asked.partition)
    if partition is None:
        return _error(asked.partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), 0
    try:
        check_epoch(partition, request.node_id, asked.current_leader_epoch)
    except Refused as refused:
        has_hint = request.version >= 12 and refused.code is not ErrorCode.UNKNOWN_LEADER_EPOCH
        return _error(asked.partition, refused.code, partition if has_hint else None), 0
    if not partition.log.start_offset <= asked.fetch_offset <= partition.log.end_offset:
        return _error(asked.partition, ErrorCode.OFFSET_OUT_OF_RANGE), 0
    max_bytes = min(room, asked.partition_max_bytes)
    return _found(partition, asked, isolation_level, max_bytes, is_first=is_first)


def _found(
    partition: Partition, asked: FetchPartition, isolation_level: int, max_bytes: int, *, is_first: bool
) -> tuple[PartitionData, int]:
    is_committed = isolation_level == READ_COMMITTED
    last_stable_offset = partition.last_stable_offset
    before = last_stable_offset if is_committed else partition.high_watermark
    batches = partition.log.read(asked.fetch_offset, max_bytes, before, at_least_one=is_first)
    aborted = None
    if is_committed:
        aborted = [
            AbortedTransaction(producer_id=each.producer_id, first_offset=each.first_offset)
            for each in partition.log.aborted_between(asked.fetch_offset, before)
        ]
    data = PartitionData(
        partition_index=partition.index,
        high_watermark=partition.high_watermark,
        last_stable_offset=last_stable_offset,
        log_start_offset=partition.log.start_offset,
        aborted_transactions=aborted,
        records=batches,
    )
    return data, sum(map(len, batches))


def _error(index: int, code: int, leader: Partition | None = None) -> PartitionData:
    hint = LeaderIdAndEpoch()
    if leader is not None:
        hint = LeaderIdAndEpoch(leader_id=leader.leader, leader_epoch=leader.leader_epoch)
    return PartitionData(
        partition_index=index,
        error_code=code,
        high_watermark=-1,
        current_leader=hint,
        aborted_transactions=[] if code in UNKNOWN else None,
        records=b"",
    )


def _endpoints(state: ClusterState, request: Request, node_ids: set[int]) -> list[NodeEndpoint]:
    if request.version < 16:
        return []
    nodes = (state.nodes[node_id] for node_id in sorted(node_ids))
    return [NodeEndpoint(node_id=node.id, host=node.host, port=node.port, rack=node.rack) for node in nodes]
