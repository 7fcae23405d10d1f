"""A hand-driven shell around a transactional Sender: the brokers' answers to the requests of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer._core.transactions.requests import OffsetCommit
from aioproducer._core.transactions.states import TransactionState
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)
from aioproducer._wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionDescription,
)
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    FoundCoordinator,
)
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from tests.unit._core.harness import Shell, metadata_answer, topic_answer

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionTicket
    from aioproducer._wire.messages.metadata import MetadataResponseTopic
    from aioproducer._wire.schema import Message, Request

COORDINATOR = 2
"""The broker that coordinates everything; the partitions are led by broker 1."""

HIGHEST = {
    ApiKey.PRODUCE: 13,
    ApiKey.METADATA: 13,
    ApiKey.FIND_COORDINATOR: 6,
    ApiKey.INIT_PRODUCER_ID: 5,
    ApiKey.ADD_PARTITIONS_TO_TXN: 5,
    ApiKey.ADD_OFFSETS_TO_TXN: 4,
    ApiKey.END_TXN: 5,
    ApiKey.TXN_OFFSET_COMMIT: 5,
    ApiKey.DESCRIBE_TRANSACTIONS: 0,
}


def broker_versions(level: int, epoch: int = 1, **highest: int) -> BrokerVersions:
    """Return what brokers can do, with transaction.version at a level; -1 takes an API away."""
    apis = {**HIGHEST, **{ApiKey[name.upper()]: version for name, version in highest.items()}}
    return BrokerVersions(
        apis={key: ApiVersionRange(0, version) for key, version in apis.items() if version >= 0},
        finalized_features={"transaction.version": level} if level else {},
        finalized_features_epoch=epoch,
    )


class TransactionalShell(Shell):
    """Two brokers: 1 leads the partitions of "t" (two of them), 2 coordinates.

    Attributes:
        level: of the feature transaction.version.
    """

    def __init__(self, level: int, **settings: Unpack[ProducerSettings]) -> None:
        settings.setdefault("transactional_id", "x")
        settings.setdefault("linger_ms", 0)
        super().__init__(brokers=(1, 2), **settings)
        self.level = level
        self.versions = broker_versions(level)
        self._identity = (7, 0)

    @property
    def transactions(self) -> TransactionManager:
        """What is tested."""
        assert self.sender.transactions is not None
        return self.sender.transactions

    @property
    def state(self) -> TransactionState:
        """Where it is."""
        return self.transactions.state

    def is_in(self, state: TransactionState) -> bool:
        """Whether it is there; a call, as type checkers take a property for unchanged."""
        return self.state is state

    def start(self, *topics: MetadataResponseTopic) -> TransactionalShell:
        """Learn about the topic, find the coordinator, get producer id 7."""
        answers = topics or (topic_answer(leaders=(1, 1)),)
        for answer in answers:
            assert answer.name is not None
            self.accumulator.wait_for_topic(answer.name, self.now, self.now + 60.0)
        self.poll()
        while self.state is TransactionState.INITIALIZING:
            if self.has_request(MetadataRequest):
                self.pop(MetadataRequest, metadata_answer(*answers, brokers=self.brokers))
            elif self.has_request(FindCoordinatorRequest):
                self.find()
            else:
                self.init()
            self.poll()
        while self.has_request(MetadataRequest):
            self.pop(MetadataRequest, metadata_answer(*answers, brokers=self.brokers))
            self.poll()
        return self

    # ── answers ──

    def pop(self, kind: type[Request], answer: Message) -> Any:
        """Answer the only request of a kind, those before it on its connection with what comes to mind; return it."""
        send = self.request(kind)
        queue = self.sent[send.node_id]
        while queue[0] is not send:
            first = queue[0].message
            assert isinstance(first, MetadataRequest), f"{first} has to be answered first"
            self.answer(send.node_id, metadata_answer(brokers=self.brokers))
        self.answer(send.node_id, answer)
        return send.message

    def version_of(self, kind: type[Request]) -> int:
        """Return the version in which the only request of a kind was sent."""
        return self.request(kind).request.version

    def find(self, error: int = 0, node_id: int = COORDINATOR) -> FindCoordinatorRequest:
        """Answer FindCoordinator."""
        message = self.request(FindCoordinatorRequest).message
        assert isinstance(message, FindCoordinatorRequest)
        (key,) = message.coordinator_keys
        found = FoundCoordinator(key=key, node_id=node_id, host=f"host{node_id}", port=9092, error_code=error)
        request: FindCoordinatorRequest = self.pop(
            FindCoordinatorRequest, FindCoordinatorResponse(coordinators=[found])
        )
        return request

    def init(self, error: int = 0, identity: tuple[int, int] = (7, 0)) -> InitProducerIdRequest:
        """Answer InitProducerId."""
        answer = InitProducerIdResponse(error_code=error, producer_id=identity[0], producer_epoch=identity[1])
        request: InitProducerIdRequest = self.pop(InitProducerIdRequest, answer)
        if not error:
            self._identity = identity
        return request

    def add_partitions(self, error: int = 0) -> list[tuple[str, list[int]]]:
        """Answer AddPartitionsToTxn; return what it asked for."""
        send = self.request(AddPartitionsToTxnRequest)
        assert isinstance(send.message, AddPartitionsToTxnRequest)
        topics = send.message.v3_and_below_topics
        answer = AddPartitionsToTxnResponse(
            results_by_topic_v3_and_below=[
                AddPartitionsToTxnTopicResult(
                    name=topic.name,
                    results_by_partition=[
                        AddPartitionsToTxnPartitionResult(partition_index=index, partition_error_code=error)
                        for index in topic.partitions
                    ],
                )
                for topic in topics
            ]
        )
        self.pop(AddPartitionsToTxnRequest, answer)
        return [(topic.name, topic.partitions) for topic in topics]

    def add_offsets(self, error: int = 0) -> AddOffsetsToTxnRequest:
        """Answer AddOffsetsToTxn."""
        request: AddOffsetsToTxnRequest = self.pop(AddOffsetsToTxnRequest, AddOffsetsToTxnResponse(error_code=error))
        return request

    def commit_offsets(self, error: int = 0) -> TxnOffsetCommitRequest:
        """Answer TxnOffsetCommit."""
        answer = TxnOffsetCommitResponse(
            topics=[
                TxnOffsetCommitResponseTopic(
                    name="in", partitions=[TxnOffsetCommitResponsePartition(partition_index=0, error_code=error)]
                )
            ]
        )
        request: TxnOffsetCommitRequest = self.pop(TxnOffsetCommitRequest, answer)
        return request

    def end(self, error: int = 0, identity: tuple[int, int] | None = None) -> EndTxnRequest:
        """Answer EndTxn, with version 2 with the next epoch."""
        following = identity or (self._identity[0], self._identity[1] + 1)
        answer = EndTxnResponse(error_code=error)
        if self.level == 2 and not error:
            answer = EndTxnResponse(producer_id=following[0], producer_epoch=following[1])
            self._identity = following
        request: EndTxnRequest = self.pop(EndTxnRequest, answer)
        return request

    def describe(self, state: str, identity: tuple[int, int], error: int = 0) -> None:
        """Answer DescribeTransactions."""
        told = TransactionDescription(
            error_code=error,
            transactional_id="x",
            transaction_state=state,
            transaction_timeout_ms=60_000,
            transaction_start_time_ms=0,
            producer_id=identity[0],
            producer_epoch=identity[1],
        )
        self.pop(DescribeTransactionsRequest, DescribeTransactionsResponse(transaction_states=[told]))

    # ── transactions ──

    def begin(self) -> OpenTransaction:
        """Begin one."""
        return self.transactions.begin(self.now)

    def begin_with_a_record(self) -> OpenTransaction:
        """Begin one and have a record of it acknowledged."""
        transaction = self.begin()
        self.send()
        if transaction.version == 1:
            self.add_partitions()
            self.poll()
        self.acknowledge()
        self.poll()
        return transaction

    def commit(self, transaction: OpenTransaction) -> TransactionTicket:
        """Call commit and poll."""
        ticket = self.transactions.commit(transaction, self.now)
        self.poll()
        return ticket

    def abort(self, transaction: OpenTransaction) -> TransactionTicket:
        """Call abort and poll."""
        ticket = self.transactions.abort(transaction, self.now)
        self.poll()
        return ticket

    def send_offsets(
        self, transaction: OpenTransaction, group: ConsumerGroupMetadata | None = None
    ) -> TransactionTicket:
        """Call send_offsets and poll."""
        offsets = {TopicPartition("in", 0): OffsetAndMetadata(42)}
        commit = OffsetCommit(group or ConsumerGroupMetadata("g"), offsets)
        ticket = self.transactions.send_offsets(transaction, commit, self.now)
        self.poll()
        return ticket

    def begin_with_offsets_under_way(self, coordinator: int = COORDINATOR) -> tuple[OpenTransaction, TransactionTicket]:
        """Begin one and call send_offsets; TxnOffsetCommit is sent and not answered."""
        transaction = self.begin()
        ticket = self.send_offsets(transaction)
        if transaction.version == 1:
            self.add_offsets()
            self.poll()
        self.find(node_id=coordinator)
        self.poll()
        assert self.has_request(TxnOffsetCommitRequest)
        return transaction, ticket
