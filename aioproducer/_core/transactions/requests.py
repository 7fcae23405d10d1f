"""The requests of a transaction: what each says in every version, and which error codes its response has.

`wanted` says when they are sent, `responses` what follows from an message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.requests.control_request import OwnedRequest, ResponseError
from aioproducer._core.requests.verdicts import TRANSACTION_VERDICTS, Verdict
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from aioproducer.errors import BrokerError, ErrorCode, KafkaError, UnsupportedVersionError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._core.cluster.node import Node
    from aioproducer._core.requests.backoff import RetryTimer
    from aioproducer._core.requests.control_request import RequestOwner
    from aioproducer._core.requests.coordinators import Coordinator
    from aioproducer._core.requests.producer_id import ProducerIdAndEpoch
    from aioproducer._wire.schema import Message

VERSION_1: Final = 1
VERSION_2: Final = 2
"""The two ways to run a transaction: with requests that add partitions and groups to it, or as KIP-890 does."""

_END_RAISES_EPOCH_SINCE: Final = 5
_ADDS_IMPLICITLY_SINCE: Final = 5  # TxnOffsetCommit
_GROUP_MEMBER_SINCE: Final = 3  # TxnOffsetCommit
_SEVERAL_KEYS_SINCE: Final = 4  # FindCoordinator
_CLIENTS_ADD_PARTITIONS_UNTIL: Final = 3

_NOWHERE: Final = ResponseError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "it named a broker with a negative number")
"""What it means that FindCoordinator is answered without an error and without a broker. Numbers below zero are those of
the bootstrap servers here: taken for one, its connection would be opened, and closed as nobody needs it, in turn."""


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """Offsets that a transaction commits for a group."""

    group: ConsumerGroupMetadata
    offsets: Mapping[TopicPartition, OffsetAndMetadata]


class FindCoordinator(OwnedRequest):
    """Look up a coordinator; any broker knows."""

    request = FindCoordinatorRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.FIND_COORDINATOR]

    def __init__(self, owner: RequestOwner, wanted: Coordinator) -> None:
        super().__init__(owner, wanted.lookups)
        self.wanted = wanted

    @property
    def subject(self) -> str:
        return self.wanted.subject

    def build(self, version: int) -> FindCoordinatorRequest:
        key_type = int(self.wanted.key_type)
        if version >= _SEVERAL_KEYS_SINCE:
            return FindCoordinatorRequest(key_type=key_type, coordinator_keys=[self.wanted.key])
        return FindCoordinatorRequest(key=self.wanted.key, key_type=key_type)

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, FindCoordinatorResponse)
        if message.coordinators:
            answers = [(each.error_code, each.error_message, each.node_id) for each in message.coordinators]
        else:
            answers = [(message.error_code, message.error_message, message.node_id)]
        return [_NOWHERE if not code and node_id < 0 else ResponseError(code, text) for code, text, node_id in answers]

    def broker(self, message: Message) -> Broker:
        """Return the broker that a response without an error names."""
        assert isinstance(message, FindCoordinatorResponse)
        for each in message.coordinators:
            return Broker(each.node_id, each.host, each.port)
        return Broker(message.node_id, message.host, message.port)


class TransactionRequest(OwnedRequest):
    """A request about a transaction, or for a part of it, to a coordinator.

    Attributes:
        transactional_id: whose transaction it is.
        producer: the producer id and epoch that the transaction has.
    """

    def __init__(
        self,
        owner: RequestOwner,
        retry_timer: RetryTimer,
        coordinator: Coordinator,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
    ) -> None:
        super().__init__(owner, retry_timer, coordinator)
        self.transactional_id = transactional_id
        self.producer = producer


class AddPartitions(TransactionRequest):
    """Make partitions part of the transaction: with version 1, and for leaders that do not do it themselves.

    Attributes:
        wanted: those that data waits for.
        asked: those of the request that has no answer yet; a repeated request has the same.
        refused: by partition, why the last answer refuses it for good.
    """

    request = AddPartitionsToTxnRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.ADD_PARTITIONS_TO_TXN]
    at_most = _CLIENTS_ADD_PARTITIONS_UNTIL

    def __init__(
        self,
        owner: RequestOwner,
        retry_timer: RetryTimer,
        coordinator: Coordinator,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
    ) -> None:
        super().__init__(owner, retry_timer, coordinator, transactional_id, producer)
        self.wanted: set[TopicPartition] = set()
        self.asked: set[TopicPartition] = set()
        self.refused: dict[TopicPartition, BrokerError] = {}

    def build(self, version: int) -> AddPartitionsToTxnRequest:
        if not self.asked:
            self.asked, self.wanted = self.wanted, set()
        return AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactional_id,
            v3_and_below_producer_id=self.producer.producer_id,
            v3_and_below_producer_epoch=self.producer.producer_epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=partitions)
                for topic, partitions in _by_topic(self.asked).items()
            ],
        )

    def on_response(self, message: Message, node: Node, now: float) -> None:
        self.refused = {
            TopicPartition(each.topic or "", each.partition or 0): error_for(
                each.code, api=self.api, node=node.node_id, topic=each.topic, partition=each.partition
            )
            for each in self.response_errors(message)
            if self.verdicts.get(each.code) is Verdict.ABORT
        }
        super().on_response(message, node, now)

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, AddPartitionsToTxnResponse)
        errors = [
            ResponseError(each.partition_error_code, None, topic.name, each.partition_index)
            for topic in message.results_by_topic_v3_and_below
            for each in topic.results_by_partition
        ]
        # All are added or none: those beside a partition that is refused, or not known yet, were just not attempted.
        reasons = [each for each in errors if each.code not in {ErrorCode.NONE, ErrorCode.OPERATION_NOT_ATTEMPTED}]
        return reasons or errors


class AddOffsets(TransactionRequest):
    """Make the offsets of a group part of the transaction (version 1)."""

    request = AddOffsetsToTxnRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.ADD_OFFSETS_TO_TXN]

    def __init__(
        self,
        owner: RequestOwner,
        retry_timer: RetryTimer,
        coordinator: Coordinator,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        group_id: str,
    ) -> None:
        super().__init__(owner, retry_timer, coordinator, transactional_id, producer)
        self.group_id = group_id

    def build(self, version: int) -> AddOffsetsToTxnRequest:
        return AddOffsetsToTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self.producer.producer_id,
            producer_epoch=self.producer.producer_epoch,
            group_id=self.group_id,
        )

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, AddOffsetsToTxnResponse)
        return [ResponseError(message.error_code)]


class CommitOffsets(TransactionRequest):
    """Give a group's offsets to its coordinator; they count when the transaction commits."""

    request = TxnOffsetCommitRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.TXN_OFFSET_COMMIT]

    def __init__(
        self,
        owner: RequestOwner,
        retry_timer: RetryTimer,
        coordinator: Coordinator,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        commit: OffsetCommit,
        transaction_version: int,
    ) -> None:
        super().__init__(owner, retry_timer, coordinator, transactional_id, producer)
        self.at_most = None if transaction_version == VERSION_2 else _ADDS_IMPLICITLY_SINCE - 1
        self._commit = commit
        self._transaction_version = transaction_version

    def build(self, version: int) -> TxnOffsetCommitRequest:
        group = self._commit.group
        is_member = bool(group.member_id) or group.group_instance_id is not None
        needed = _GROUP_MEMBER_SINCE if is_member else 0
        if self._transaction_version == VERSION_2:
            needed = _ADDS_IMPLICITLY_SINCE
        if version < needed:
            raise UnsupportedVersionError(
                f"the coordinator of group {group.group_id!r} is too old for what it has to be told (TxnOffsetCommit"
                f" {version}, {needed} is needed); upgrade it, or give the group's id alone",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="TxnOffsetCommit",
            )
        offsets = self._commit.offsets
        return TxnOffsetCommitRequest(
            transactional_id=self.transactional_id,
            group_id=group.group_id,
            producer_id=self.producer.producer_id,
            producer_epoch=self.producer.producer_epoch,
            generation_id=group.generation_id if version >= _GROUP_MEMBER_SINCE else -1,
            member_id=group.member_id,
            group_instance_id=group.group_instance_id,
            topics=[
                TxnOffsetCommitRequestTopic(
                    name=topic,
                    partitions=[_offset(index, offsets[TopicPartition(topic, index)]) for index in partitions],
                )
                for topic, partitions in _by_topic(offsets).items()
            ],
        )

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, TxnOffsetCommitResponse)
        return [
            ResponseError(each.error_code, None, topic.name, each.partition_index)
            for topic in message.topics
            for each in topic.partitions
        ]


class EndTransaction(TransactionRequest):
    """Commit or abort.

    Attributes:
        is_commit: which of the two.
        was_lost: an answer was lost, so that it may have taken effect.
    """

    request = EndTxnRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.END_TXN]

    def __init__(
        self,
        owner: RequestOwner,
        retry_timer: RetryTimer,
        coordinator: Coordinator,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        transaction_version: int,
        *,
        is_commit: bool,
    ) -> None:
        super().__init__(owner, retry_timer, coordinator, transactional_id, producer)
        self.is_commit = is_commit
        self.was_lost = False
        self.at_most = None if transaction_version == VERSION_2 else _END_RAISES_EPOCH_SINCE - 1
        self._transaction_version = transaction_version

    def build(self, version: int) -> EndTxnRequest:
        if self._transaction_version == VERSION_2 and version < _END_RAISES_EPOCH_SINCE:
            raise UnsupportedVersionError(
                "the cluster has transaction.version 2, but the coordinator does not know it (EndTxn"
                f" {version}, {_END_RAISES_EPOCH_SINCE} is needed); upgrade it",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="EndTxn",
            )
        return EndTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self.producer.producer_id,
            producer_epoch=self.producer.producer_epoch,
            committed=self.is_commit,
        )

    @property
    def is_commit_in_doubt(self) -> bool:
        """Whether it has gone out as a commit and nobody has said what came of it."""
        return self.is_commit and (self.was_lost or self.retry_timer.in_progress)

    def may_be_committed(self, refusal: BrokerError) -> bool:
        """Whether it may have taken effect though the broker refuses it: an earlier one may, or this broken one."""
        return self.is_commit and (self.was_lost or refusal.code == ErrorCode.UNKNOWN_SERVER_ERROR)

    def on_lost(self, error: KafkaError, now: float) -> None:
        self.was_lost = True
        super().on_lost(error, now)

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, EndTxnResponse)
        return [ResponseError(message.error_code)]


class DescribeTransaction(OwnedRequest):
    """Ask the coordinator who has the transactional id now, and where its transaction stands."""

    request = DescribeTransactionsRequest
    verdicts = TRANSACTION_VERDICTS[ApiKey.DESCRIBE_TRANSACTIONS]

    def __init__(
        self, owner: RequestOwner, retry_timer: RetryTimer, coordinator: Coordinator, transactional_id: str
    ) -> None:
        super().__init__(owner, retry_timer, coordinator)
        self.transactional_id = transactional_id

    def build(self, version: int) -> DescribeTransactionsRequest:
        return DescribeTransactionsRequest(transactional_ids=[self.transactional_id])

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, DescribeTransactionsResponse)
        return [ResponseError(each.error_code) for each in message.transaction_states]


def _by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for tp in sorted(partitions):
        topics.setdefault(tp.topic, []).append(tp.partition)
    return topics


def _offset(index: int, position: OffsetAndMetadata) -> TxnOffsetCommitRequestPartition:
    return TxnOffsetCommitRequestPartition(
        partition_index=index,
        committed_offset=position.offset,
        committed_leader_epoch=-1 if position.leader_epoch is None else position.leader_epoch,
        committed_metadata=position.metadata,
    )
