"""ListOffsets 1 to 10: the offset at a time, or at the ends of a log.

1 one offset per partition; 2 isolation level; 4 leader epoch; 6 flexible; 7 −3, the record with the latest time; 8 −4,
the first local offset; 9 −5, the last tiered offset (there is none: −1); 10 a timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._records.decode import decode_batch
from aioproducer._wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.apis.fetch import READ_COMMITTED, check_epoch
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from aioproducer.testing._broker.partition import Partition
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
SPOKEN_SINCE: Final = {LATEST: 1, EARLIEST: 1, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9}
"""The version from which on a negative time means something."""


def handle(state: ClusterState, request: Request, message: ListOffsetsRequest) -> ListOffsetsResponse:
    """Answer for each partition."""
    is_committed = message.isolation_level == READ_COMMITTED
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[_partition(state, request, topic.name, asked, is_committed) for asked in topic.partitions],
            )
            for topic in message.topics
        ]
    )


def refuse(message: ListOffsetsRequest, request: Request, code: int) -> ListOffsetsResponse:
    """Answer with an error code for every partition."""
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name, partitions=[_error(asked.partition_index, code) for asked in topic.partitions]
            )
            for topic in message.topics
        ]
    )


def _partition(
    state: ClusterState, request: Request, topic: str, asked: ListOffsetsPartition, is_committed: bool
) -> ListOffsetsPartitionResponse:
    if not state.allows(request, Operation.DESCRIBE, Resource.TOPIC, topic):
        return _error(asked.partition_index, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    partition = state.partition(topic, asked.partition_index)
    if partition is None:
        return _error(asked.partition_index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if asked.timestamp < 0 and request.version < SPOKEN_SINCE.get(asked.timestamp, request.version + 1):
        return _error(asked.partition_index, ErrorCode.UNSUPPORTED_VERSION)
    try:
        check_epoch(partition, request.node_id, asked.current_leader_epoch)
    except Refused as refused:
        return _error(asked.partition_index, refused.code)
    end = partition.last_stable_offset if is_committed else partition.high_watermark
    timestamp, offset = _find(partition, asked.timestamp, end)
    return ListOffsetsPartitionResponse(
        partition_index=asked.partition_index,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=partition.leader_epoch if request.version >= 4 and offset >= 0 else -1,
    )


def _find(partition: Partition, timestamp: int, end: int) -> tuple[int, int]:
    """(timestamp, offset) of what is asked for; -1 each when there is none."""
    if timestamp == LATEST:
        return -1, end
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return -1, partition.log.start_offset
    if timestamp == LATEST_TIERED:
        return -1, -1
    if timestamp == MAX_TIMESTAMP:
        timestamp = max((batch.max_timestamp for batch in partition.log.batches), default=0)
    batch = partition.log.first_at(timestamp)
    if batch is None:
        return -1, -1
    for record in decode_batch(batch.data).records:
        if record.timestamp_ms >= timestamp and record.offset < end:
            return record.timestamp_ms, record.offset
    return -1, -1


def _error(index: int, code: int) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(partition_index=index, error_code=code)
