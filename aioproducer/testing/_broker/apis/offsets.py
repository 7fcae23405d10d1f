"""OffsetCommit 2 to 9, OffsetFetch 1 to 9 and TxnOffsetCommit 0 to 5: the offsets of groups without members.

Offsets are taken only from those who are no members, as from a consumer that assigns its partitions itself; a member is
not known, nor is its generation. OffsetCommit: 9 GROUP_ID_NOT_FOUND. OffsetFetch: 2 all partitions; 7 require_stable; 8
several groups; 9 member epochs. TxnOffsetCommit: 3 group metadata; 4 TRANSACTION_ABORTABLE; 5 the group becomes part of
the transaction by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._types import TopicPartition
from aioproducer._wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
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
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.groups import CommittedOffset
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.transactions import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

NO_OFFSET = CommittedOffset(-1, -1, "")
DENIALS: Final = frozenset({ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ErrorCode.GROUP_AUTHORIZATION_FAILED})
"""Come before anything is looked at, whether there is such a partition included."""
MAX_METADATA: Final = 4_096
"""offset.metadata.max.bytes, which Kafka counts in characters."""


def handle_commit(state: ClusterState, request: Request, message: OffsetCommitRequest) -> OffsetCommitResponse:
    """Commit offsets at once."""
    code = _group_error(state, request, message.group_id, Operation.READ)
    if not code and _has_known_partition(state, message):
        has_member = message.generation_id_or_member_epoch >= 0
        unknown_group = ErrorCode.GROUP_ID_NOT_FOUND if request.version >= 9 else ErrorCode.ILLEGAL_GENERATION
        code = _member_error(state, message.group_id, has_member, unknown_group)

    def commit(topic: str, each: OffsetCommitRequestPartition) -> int:
        refused = _offset_error(state, request, code, topic, each)
        if not refused:
            tp = TopicPartition(topic, each.partition_index)
            state.groups.commit(message.group_id, tp, _offset_of(each))
        return refused

    return _commit_answer(message, commit)


def refuse_commit(message: OffsetCommitRequest, request: Request, code: int) -> OffsetCommitResponse:
    """Answer with one error code for every partition."""
    return _commit_answer(message, lambda topic, each: code)


def _commit_answer(
    message: OffsetCommitRequest, commit: Callable[[str, OffsetCommitRequestPartition], int]
) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetCommitResponsePartition(
                        partition_index=each.partition_index, error_code=commit(topic.name, each)
                    )
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
    code = _txn_commit_error(state, request, message)

    def commit(topic: str, each: TxnOffsetCommitRequestPartition) -> int:
        refused = _offset_error(state, request, code, topic, each)
        if not refused:
            tp = TopicPartition(topic, each.partition_index)
            state.groups.commit_later(message.group_id, message.producer_id, tp, _offset_of(each))
        return refused

    return _txn_commit_answer(message, commit)


def refuse_txn_commit(message: TxnOffsetCommitRequest, request: Request, code: int) -> TxnOffsetCommitResponse:
    """Answer with one error code for every partition."""
    return _txn_commit_answer(message, lambda topic, each: code)


def _txn_commit_answer(
    message: TxnOffsetCommitRequest, commit: Callable[[str, TxnOffsetCommitRequestPartition], int]
) -> TxnOffsetCommitResponse:
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    TxnOffsetCommitResponsePartition(
                        partition_index=each.partition_index, error_code=commit(topic.name, each)
                    )
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
    code = _group_error(state, request, message.group_id, Operation.DESCRIBE)
    if code:
        return refuse_fetch(message, request, code)
    asked = None
    if message.topics is not None:
        asked = [TopicPartition(topic.name, index) for topic in message.topics for index in topic.partition_indexes]
    found = _offsets(state, request, message.group_id, asked, message.require_stable)
    return OffsetFetchResponse(topics=_topics(found))


def refuse_fetch(message: OffsetFetchRequest, request: Request, code: int) -> OffsetFetchResponse:
    """Answer with an error code for every group."""
    if request.version >= 8:
        return OffsetFetchResponse(
            groups=[OffsetFetchResponseGroup(group_id=each.group_id, error_code=code) for each in message.groups]
        )
    asked = [TopicPartition(topic.name, index) for topic in message.topics or [] for index in topic.partition_indexes]
    return OffsetFetchResponse(error_code=code, topics=_topics([(tp, NO_OFFSET, code) for tp in asked]))


def _txn_commit_error(state: ClusterState, request: Request, message: TxnOffsetCommitRequest) -> ErrorCode:
    """Why nothing of it can be committed; NONE when it can, and the group is part of the transaction."""
    if not state.allows(request, Operation.WRITE, Resource.TRANSACTIONAL_ID, message.transactional_id):
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if not state.allows(request, Operation.READ, Resource.GROUP, message.group_id):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED
    if not _has_known_partition(state, message):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if not message.group_id:
        return ErrorCode.INVALID_GROUP_ID
    code = _group_error(state, request, message.group_id, Operation.READ)
    if code:
        return code
    identity = Identity(message.producer_id, message.producer_epoch)
    try:
        if request.version >= 5:
            state.transactions.add(message.transactional_id, identity, groups=[message.group_id])
        else:
            is_abortable = request.version >= 4
            state.transactions.verify_group(
                message.transactional_id, identity, message.group_id, is_abortable=is_abortable
            )
    except Refused as refused:
        is_old = refused.code is ErrorCode.PRODUCER_FENCED
        return ErrorCode.INVALID_PRODUCER_EPOCH if is_old else refused.code
    has_member = message.generation_id >= 0 or bool(message.member_id)
    return _member_error(state, message.group_id, has_member, ErrorCode.ILLEGAL_GENERATION)


def _has_known_partition(state: ClusterState, message: OffsetCommitRequest | TxnOffsetCommitRequest) -> bool:
    """Whether anything is left to ask the coordinators for."""
    asked = [(topic.name, each.partition_index) for topic in message.topics for each in topic.partitions]
    return any(state.partition(topic, index) is not None for topic, index in asked)


def _member_error(state: ClusterState, group: str, has_member: bool, unknown_group: ErrorCode) -> ErrorCode:
    """Whether somebody may commit: only who is no member, as there are none."""
    if has_member:
        return ErrorCode.UNKNOWN_MEMBER_ID if state.groups.exists(group) else unknown_group
    state.groups.touch(group)
    return ErrorCode.NONE


def _offset_error(
    state: ClusterState,
    request: Request,
    code: ErrorCode,
    topic: str,
    asked: OffsetCommitRequestPartition | TxnOffsetCommitRequestPartition,
) -> ErrorCode:
    """Why one offset is not committed; `code` is the reason why none is."""
    if code in DENIALS:
        return code
    if not state.allows(request, Operation.READ, Resource.TOPIC, topic):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    if state.partition(topic, asked.partition_index) is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if not code and len(asked.committed_metadata or "") > MAX_METADATA:
        return ErrorCode.OFFSET_METADATA_TOO_LARGE
    return code


def _offset_of(asked: OffsetCommitRequestPartition | TxnOffsetCommitRequestPartition) -> CommittedOffset:
    return CommittedOffset(asked.committed_offset, asked.committed_leader_epoch, asked.committed_metadata)


def _fetch_group(
    state: ClusterState, request: Request, asked: OffsetFetchRequestGroup, require_stable: bool
) -> OffsetFetchResponseGroup:
    code = _group_error(state, request, asked.group_id, Operation.DESCRIBE)
    if code:
        return OffsetFetchResponseGroup(group_id=asked.group_id, error_code=code)
    partitions = None
    if asked.topics is not None:
        partitions = [TopicPartition(topic.name, index) for topic in asked.topics for index in topic.partition_indexes]
    found = _offsets(state, request, asked.group_id, partitions, require_stable)
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
    state: ClusterState, request: Request, group: str, asked: list[TopicPartition] | None, require_stable: bool
) -> list[tuple[TopicPartition, CommittedOffset, int]]:
    committed = state.groups.offsets(group)
    found: list[tuple[TopicPartition, CommittedOffset, int]] = []
    for tp in asked if asked is not None else list(committed):
        if not state.allows(request, Operation.DESCRIBE, Resource.TOPIC, tp.topic):
            if asked is not None:
                found.append((tp, NO_OFFSET, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
        elif require_stable and state.groups.is_pending(group, tp):
            found.append((tp, NO_OFFSET, ErrorCode.UNSTABLE_OFFSET_COMMIT))
        else:
            found.append((tp, committed.get(tp, NO_OFFSET), ErrorCode.NONE))
    return found


def _group_error(state: ClusterState, request: Request, group: str, operation: Operation) -> ErrorCode:
    if not state.allows(request, operation, Resource.GROUP, group):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED
    try:
        state.check_coordinator(group, request.node_id)
    except Refused as refused:
        return refused.code
    return ErrorCode.NONE
