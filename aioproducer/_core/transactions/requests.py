"""What do the requests of a transaction look like, and which error codes does each answer have?

An exchange is a request that is repeated until it has its answer. It knows whom it is for, when it may be sent
(`attempts`), and how to make the message; what follows from the answer is decided in `_core/transactions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.requests.backoff import RetryTimer
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
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from aioproducer.errors import ErrorCode, UnsupportedVersionError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from aioproducer._config import ProducerConfig
    from aioproducer._core.requests.coordinators import Coordinator
    from aioproducer._wire.schema import Message, Request

VERSION_1: Final = 1
VERSION_2: Final = 2
"""The two ways to run a transaction: with requests that add partitions and groups to it, or as KIP-890 does."""

TRANSACTION_THROTTLE_SINCE: Final[dict[int, int]] = {
    ApiKey.FIND_COORDINATOR: 2,
    ApiKey.INIT_PRODUCER_ID: 1,
    ApiKey.ADD_PARTITIONS_TO_TXN: 1,
    ApiKey.ADD_OFFSETS_TO_TXN: 1,
    ApiKey.END_TXN: 1,
    ApiKey.TXN_OFFSET_COMMIT: 1,
}
"""The version from which on a broker expects the client to wait, after it has answered (KIP-219)."""

_END_RAISES_EPOCH_SINCE: Final = 5
_ADDS_IMPLICITLY_SINCE: Final = 5  # TxnOffsetCommit
_OWN_IDENTITY_SINCE: Final = 3  # InitProducerId
_GROUP_MEMBER_SINCE: Final = 3  # TxnOffsetCommit
_SEVERAL_KEYS_SINCE: Final = 4  # FindCoordinator
_CLIENTS_ADD_PARTITIONS_UNTIL: Final = 3


class Identity(NamedTuple):
    """A producer id and its epoch."""

    producer_id: int
    producer_epoch: int


class Told(NamedTuple):
    """One error code of an answer, and what it is about."""

    code: int
    message: str | None = None
    topic: str | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """Offsets that a transaction commits for a group."""

    group: ConsumerGroupMetadata
    offsets: Mapping[TopicPartition, OffsetAndMetadata]


class Exchange:
    """A request of a transaction, to a coordinator or (None) to any broker.

    Attributes:
        request: its class.
        at_most: the highest version that may be spoken; None for no limit.
        coordinator: whom to ask.
        attempts: when to send.
    """

    request: ClassVar[type[Request]]
    at_most: int | None = None

    def __init__(self, coordinator: Coordinator | None, config: ProducerConfig, rng: random.Random) -> None:
        self.coordinator = coordinator
        self.attempts = RetryTimer(config, rng)

    def build(self, version: int) -> Message:
        """Return the message in a version.

        Raises:
            UnsupportedVersionError: what it has to say cannot be said in this version.
        """
        raise NotImplementedError

    def told(self, answer: Message) -> list[Told]:
        """Return the error codes in the answer; an answer of a wrong class has none and is a bug of the caller."""
        raise NotImplementedError


class FindCoordinator(Exchange):
    """Look up a coordinator; any broker knows."""

    request = FindCoordinatorRequest

    def __init__(self, wanted: Coordinator, config: ProducerConfig, rng: random.Random) -> None:
        super().__init__(None, config, rng)
        self.wanted = wanted
        self.attempts = wanted.lookups

    def build(self, version: int) -> FindCoordinatorRequest:
        key_type = int(self.wanted.key_type)
        if version >= _SEVERAL_KEYS_SINCE:
            return FindCoordinatorRequest(key_type=key_type, coordinator_keys=[self.wanted.key])
        return FindCoordinatorRequest(key=self.wanted.key, key_type=key_type)

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, FindCoordinatorResponse)
        if answer.coordinators:
            return [Told(each.error_code, each.error_message) for each in answer.coordinators]
        return [Told(answer.error_code, answer.error_message)]

    def broker(self, answer: Message) -> Broker:
        """Return the broker that an answer without an error names."""
        assert isinstance(answer, FindCoordinatorResponse)
        for each in answer.coordinators:
            return Broker(each.node_id, each.host, each.port)
        return Broker(answer.node_id, answer.host, answer.port)


class InitProducerId(Exchange):
    """Get a producer id and epoch for the transactional id.

    Attributes:
        own: the identity whose epoch is to be raised (KIP-360): only if it is the current one does that succeed. None
            takes over from whoever has it, and aborts what that one had begun.
    """

    request = InitProducerIdRequest

    def __init__(self, coordinator: Coordinator, config: ProducerConfig, rng: random.Random) -> None:
        super().__init__(coordinator, config, rng)
        self.own: Identity | None = None
        self._transactional_id = coordinator.key
        self._timeout_ms = config.transaction_timeout_ms

    def build(self, version: int) -> InitProducerIdRequest:
        own = self.own
        if own is not None and version < _OWN_IDENTITY_SINCE:
            raise UnsupportedVersionError(
                "the transaction failed, and the coordinator is too old to go on after that (InitProducerId"
                f" {version}, {_OWN_IDENTITY_SINCE} is needed); make a new producer, or upgrade to Kafka 2.5",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="InitProducerId",
            )
        producer_id, producer_epoch = own or Identity(-1, -1)
        return InitProducerIdRequest(
            transactional_id=self._transactional_id,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
        )

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, InitProducerIdResponse)
        return [Told(answer.error_code)]


class AddPartitions(Exchange):
    """Make partitions part of the transaction (version 1).

    Attributes:
        wanted: those that data waits for.
        asked: those of the request that has no answer yet; a repeated request has the same.
    """

    request = AddPartitionsToTxnRequest
    at_most = _CLIENTS_ADD_PARTITIONS_UNTIL

    def __init__(
        self, coordinator: Coordinator, identity: Identity, config: ProducerConfig, rng: random.Random
    ) -> None:
        super().__init__(coordinator, config, rng)
        self.wanted: set[TopicPartition] = set()
        self.asked: set[TopicPartition] = set()
        self._own = identity

    def build(self, version: int) -> AddPartitionsToTxnRequest:
        if not self.asked:
            self.asked, self.wanted = self.wanted, set()
        return AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.coordinator.key if self.coordinator else "",
            v3_and_below_producer_id=self._own.producer_id,
            v3_and_below_producer_epoch=self._own.producer_epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=partitions)
                for topic, partitions in _by_topic(self.asked).items()
            ],
        )

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, AddPartitionsToTxnResponse)
        told = [
            Told(each.partition_error_code, None, topic.name, each.partition_index)
            for topic in answer.results_by_topic_v3_and_below
            for each in topic.results_by_partition
        ]
        # All are added or none: those beside a partition that is refused, or not known yet, were just not attempted.
        reasons = [each for each in told if each.code not in {0, ErrorCode.OPERATION_NOT_ATTEMPTED}]
        return reasons or told


class AddOffsets(Exchange):
    """Make the offsets of a group part of the transaction (version 1)."""

    request = AddOffsetsToTxnRequest

    def __init__(
        self, coordinator: Coordinator, identity: Identity, group_id: str, config: ProducerConfig, rng: random.Random
    ) -> None:
        super().__init__(coordinator, config, rng)
        self.group_id = group_id
        self._own = identity

    def build(self, version: int) -> AddOffsetsToTxnRequest:
        return AddOffsetsToTxnRequest(
            transactional_id=self.coordinator.key if self.coordinator else "",
            producer_id=self._own.producer_id,
            producer_epoch=self._own.producer_epoch,
            group_id=self.group_id,
        )

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, AddOffsetsToTxnResponse)
        return [Told(answer.error_code)]


class CommitOffsets(Exchange):
    """Give a group's offsets to its coordinator; they count when the transaction commits."""

    request = TxnOffsetCommitRequest

    def __init__(
        self,
        coordinator: Coordinator,
        transactional_id: str,
        identity: Identity,
        commit: OffsetCommit,
        version: int,
        config: ProducerConfig,
        rng: random.Random,
    ) -> None:
        super().__init__(coordinator, config, rng)
        self.at_most = None if version == VERSION_2 else _ADDS_IMPLICITLY_SINCE - 1
        self._transactional_id = transactional_id
        self._own = identity
        self._commit = commit
        self._version = version

    def build(self, version: int) -> TxnOffsetCommitRequest:
        group = self._commit.group
        is_member = bool(group.member_id) or group.group_instance_id is not None
        needed = _ADDS_IMPLICITLY_SINCE if self._version == VERSION_2 else _GROUP_MEMBER_SINCE if is_member else 0
        if version < needed:
            raise UnsupportedVersionError(
                f"the coordinator of group {group.group_id!r} is too old for what it has to be told (TxnOffsetCommit"
                f" {version}, {needed} is needed); upgrade it, or give the group's id alone",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="TxnOffsetCommit",
            )
        offsets = self._commit.offsets
        return TxnOffsetCommitRequest(
            transactional_id=self._transactional_id,
            group_id=group.group_id,
            producer_id=self._own.producer_id,
            producer_epoch=self._own.producer_epoch,
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

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, TxnOffsetCommitResponse)
        return [
            Told(each.error_code, None, topic.name, each.partition_index)
            for topic in answer.topics
            for each in topic.partitions
        ]


class EndTransaction(Exchange):
    """Commit or abort.

    Attributes:
        is_commit: which of the two.
        was_lost: an answer was lost, so that it may have taken effect.
    """

    request = EndTxnRequest

    def __init__(
        self,
        coordinator: Coordinator,
        identity: Identity,
        version: int,
        config: ProducerConfig,
        rng: random.Random,
        *,
        is_commit: bool,
    ) -> None:
        super().__init__(coordinator, config, rng)
        self.is_commit = is_commit
        self.was_lost = False
        self.at_most = None if version == VERSION_2 else _END_RAISES_EPOCH_SINCE - 1
        self._own = identity
        self._version = version

    def build(self, version: int) -> EndTxnRequest:
        if self._version == VERSION_2 and version < _END_RAISES_EPOCH_SINCE:
            raise UnsupportedVersionError(
                "the cluster has transaction.version 2, but the coordinator does not know it (EndTxn"
                f" {version}, {_END_RAISES_EPOCH_SINCE} is needed); upgrade it",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="EndTxn",
            )
        return EndTxnRequest(
            transactional_id=self.coordinator.key if self.coordinator else "",
            producer_id=self._own.producer_id,
            producer_epoch=self._own.producer_epoch,
            committed=self.is_commit,
        )

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, EndTxnResponse)
        return [Told(answer.error_code)]


class DescribeTransaction(Exchange):
    """Ask the coordinator who has the transactional id now, and where its transaction stands."""

    request = DescribeTransactionsRequest

    def build(self, version: int) -> DescribeTransactionsRequest:
        return DescribeTransactionsRequest(transactional_ids=[self.coordinator.key if self.coordinator else ""])

    def told(self, answer: Message) -> list[Told]:
        assert isinstance(answer, DescribeTransactionsResponse)
        return [Told(each.error_code) for each in answer.transaction_states]


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
