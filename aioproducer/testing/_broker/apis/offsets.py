"""OffsetCommit 2 to 9, OffsetFetch 1 to 9 and TxnOffsetCommit 0 to 5: the offsets of groups without members.

OffsetCommit is taken only with generation −1, as from a consumer that assigns its partitions itself. OffsetFetch: 2 all
partitions; 7 require_stable; 8 several groups; 9 member epochs. TxnOffsetCommit: 3 group metadata; there are
no members, so that of one is refused with UNKNOWN_MEMBER_ID; 5 the group becomes part of the transaction by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from aioproducer._wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer.errors import ErrorCode
from aioproducer.records import TopicPartition
from aioproducer.testing._broker.groups import CommittedOffset
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.transactions import Identity

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

NO_OFFSET = CommittedOffset(-1, -1, "")


def handle_commit(state: ClusterState, request: Request, message: OffsetCommitRequest) -> OffsetCommitResponse:
    """Commit offsets at once."""
    code = _group_error(state, request, message.group_id)
    if not code and message.generation_id_or_member_epoch >= 0:
        code = ErrorCode.UNKNOWN_MEMBER_ID
    if code:
        return refuse_commit(message, request, code)
    for topic in message.topics:
        for each in topic.partitions:
            offset = CommittedOffset(each.committed_offset, each.committed_leader_epoch, each.committed_metadata)
            state.groups.commit(message.group_id, TopicPartition(topic.name, each.partition_index), offset)
    return refuse_commit(message, request, ErrorCode.NONE)


def refuse_commit(message: OffsetCommitRequest, request: Request, code: int) -> OffsetCommitResponse:
    """Answer with one error code for every partition."""
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                    for each in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    )


def handle_txn_commit(
    state: ClusterState, request: Request, message: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Keep offsets until the transaction commits."""
    identity = Identity(message.producer_id, message.producer_epoch)
    code = _group_error(state, request, message.group_id)
    if not code and (message.generation_id >= 0 or message.member_id):
        code = ErrorCode.UNKNOWN_MEMBER_ID
    if code:
        return refuse_txn_commit(message, request, code)
    try:
        if request.version >= 5:
            state.transactions.add(message.transactional_id, identity, groups=[message.group_id])
        else:
            state.transactions.verify_group(message.transactional_id, identity, message.group_id)
    except Refused as refused:
        is_old = refused.code is ErrorCode.PRODUCER_FENCED
        return refuse_txn_commit(message, request, ErrorCode.INVALID_PRODUCER_EPOCH if is_old else refused.code)
    for topic in message.topics:
        for each in topic.partitions:
            offset = CommittedOffset(each.committed_offset, each.committed_leader_epoch, each.committed_metadata)
            tp = TopicPartition(topic.name, each.partition_index)
            state.groups.commit_later(message.group_id, message.producer_id, tp, offset)
    return refuse_txn_commit(message, request, ErrorCode.NONE)


def refuse_txn_commit(message: TxnOffsetCommitRequest, request: Request, code: int) -> TxnOffsetCommitResponse:
    """Answer with one error code for every partition."""
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    TxnOffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                    for each in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    )


def handle_fetch(state: ClusterState, request: Request, message: OffsetFetchRequest) -> OffsetFetchResponse:
    """Tell what groups have committed."""
    if request.version >= 8:
        groups = [_fetch_group(state, request, each, message.require_stable) for each in message.groups]
        return OffsetFetchResponse(groups=groups)
    code = _group_error(state, request, message.group_id)
    if code:
        return refuse_fetch(message, request, code)
    asked = None
    if message.topics is not None:
        asked = [TopicPartition(topic.name, index) for topic in message.topics for index in topic.partition_indexes]
    found = _offsets(state, message.group_id, asked, message.require_stable)
    return OffsetFetchResponse(topics=_topics(found))


def refuse_fetch(message: OffsetFetchRequest, request: Request, code: int) -> OffsetFetchResponse:
    """Answer with an error code for every group."""
    if request.version >= 8:
        return OffsetFetchResponse(
            groups=[OffsetFetchResponseGroup(group_id=each.group_id, error_code=code) for each in message.groups]
        )
    asked = [TopicPartition(topic.name, index) for topic in message.topics or [] for index in topic.partition_indexes]
    return OffsetFetchResponse(error_code=code, topics=_topics([(tp, NO_OFFSET, code) for tp in asked]))


def _fetch_group(
    state: ClusterState, request: Request, asked: OffsetFetchRequestGroup, require_stable: bool
) -> OffsetFetchResponseGroup:
    code = _group_error(state, request, asked.group_id)
    if code:
        return OffsetFetchResponseGroup(group_id=asked.group_id, error_code=code)
    partitions = None
    if asked.topics is not None:
        partitions = [TopicPartition(topic.name, index) for topic in asked.topics for index in topic.partition_indexes]
    found = _offsets(state, asked.group_id, partitions, require_stable)
    return OffsetFetchResponseGroup(
        group_id=asked.group_id,
        topics=[
            OffsetFetchResponseTopics(
                name=name,
                partitions=[
                    OffsetFetchResponsePartitions(
                        partition_index=tp.partition,
                        committed_offset=offset.offset,
                        committed_leader_epoch=offset.leader_epoch,
                        metadata=offset.metadata,
                        error_code=error,
                    )
                    for tp, offset, error in of_topic
                ],
            )
            for name, of_topic in _by_topic(found).items()
        ],
    )


def _topics(found: list[tuple[TopicPartition, CommittedOffset, int]]) -> list[OffsetFetchResponseTopic]:
    return [
        OffsetFetchResponseTopic(
            name=name,
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=tp.partition,
                    committed_offset=offset.offset,
                    committed_leader_epoch=offset.leader_epoch,
                    metadata=offset.metadata,
                    error_code=error,
                )
                for tp, offset, error in of_topic
            ],
        )
        for name, of_topic in _by_topic(found).items()
    ]


def _by_topic(
    found: list[tuple[TopicPartition, CommittedOffset, int]],
) -> dict[str, list[tuple[TopicPartition, CommittedOffset, int]]]:
    topics: dict[str, list[tuple[TopicPartition, CommittedOffset, int]]] = {}
    for each in found:
        topics.setdefault(each[0].topic, []).append(each)
    return topics


def _offsets(
    state: ClusterState, group: str, asked: list[TopicPartition] | None, require_stable: bool
) -> list[tuple[TopicPartition, CommittedOffset, int]]:
    committed = state.groups.offsets(group)
    found: list[tuple[TopicPartition, CommittedOffset, int]] = []
    for tp in asked if asked is not None else list(committed):
        if require_stable and state.groups.is_pending(group, tp):
            found.append((tp, NO_OFFSET, ErrorCode.UNSTABLE_OFFSET_COMMIT))
        else:
            found.append((tp, committed.get(tp, NO_OFFSET), ErrorCode.NONE))
    return found


def _group_error(state: ClusterState, request: Request, group: str) -> ErrorCode:
    try:
        state.check_coordinator(group, request.node_id)
    except Refused as refused:
        return refused.code
    return ErrorCode.NONE
