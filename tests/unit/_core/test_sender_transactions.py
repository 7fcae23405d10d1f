"""Transactions seen from the wire: which request follows which answer, and what becomes of records meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    FoundCoordinator,
)
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.errors import (
    AuthorizationError,
    BrokerError,
    DeliveryTimeoutError,
    KafkaError,
    ProducerClosedError,
    ProducerFencedError,
    TransactionAbortableError,
    TransactionAbortedError,
    UnsupportedVersionError,
)
from tests.unit._core.harness import Shell, topic_answer

if TYPE_CHECKING:
    from typing import Any

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionTicket
    from aioproducer._wire.schema import Message

_S = TransactionState
GROUP = ConsumerGroupMetadata("g")
ABORTABLE = _S.ABORTABLE_ERROR
FATAL = _S.FATAL_ERROR
OPEN = _S.IN_TRANSACTION

HIGHEST = {
    ApiKey.PRODUCE: 13,
    ApiKey.METADATA: 13,
    ApiKey.FIND_COORDINATOR: 6,
    ApiKey.INIT_PRODUCER_ID: 5,
    ApiKey.ADD_PARTITIONS_TO_TXN: 5,
    ApiKey.ADD_OFFSETS_TO_TXN: 4,
    ApiKey.TXN_OFFSET_COMMIT: 5,
    ApiKey.END_TXN: 5,
    ApiKey.DESCRIBE_TRANSACTIONS: 0,
}


def versions(level: int = 1, **highest: int) -> BrokerVersions:
    """Return what a broker can do; a negative version takes a request away."""
    apis = HIGHEST | {ApiKey[name.upper()]: version for name, version in highest.items()}
    return BrokerVersions(
        apis={key: ApiVersionRange(0, version) for key, version in apis.items() if version >= 0},
        finalized_features={"transaction.version": level},
        finalized_features_epoch=1,
    )


class Story:
    """A transactional producer on one broker, which is leader and coordinator, and answers when the test says so."""

    def __init__(self, level: int = 1, *, can: BrokerVersions | None = None, **settings: Any) -> None:
        self.shell = Shell(transactional_id="me", **settings)
        self.shell.versions = can or versions(level)
        self.shell.accumulator.wait_for_topic("t", self.shell.now, self.shell.now + 60.0)
        self.shell.poll()

    def ready(self) -> Story:
        """Learn about topic "t" with three partitions, and get producer id 7, epoch 0."""
        self.shell.answer_metadata(topic_answer(leaders=(1, 1, 1)))
        self.shell.poll()
        self.find()
        self.shell.answer_init()
        self.shell.poll()
        assert self.transactions.state is _S.READY
        return self

    def begun(self) -> Story:
        """Begin a transaction too."""
        self.ready()
        self.transaction: OpenTransaction = self.transactions.begin(self.shell.now)
        return self

    @property
    def transactions(self) -> TransactionManager:
        transactions = self.shell.sender.transactions
        assert transactions is not None
        return transactions

    @property
    def state(self) -> TransactionState:
        return self.transactions.state

    def has(self, kind: type[Message]) -> bool:
        return self.shell.has_request(kind)

    def wait_for(self, kind: type[Message]) -> None:
        self.shell.wait_until(lambda: self.has(kind), within=2.0)

    def reply(self, kind: type[Message], answer: Message) -> None:
        """Answer the only request of a kind; the connection answers in order, so what is before it must be answered."""
        self.shell.answer_out_of(self.shell.request(kind).node_id, kind, answer)
        self.shell.poll()

    def find(self, code: int = 0) -> None:
        coordinator = FoundCoordinator(key="", node_id=1, host="host1", port=9092, error_code=code)
        self.wait_for(FindCoordinatorRequest)
        self.reply(FindCoordinatorRequest, FindCoordinatorResponse(coordinators=[coordinator]))

    def asked(self) -> list[int]:
        """Return the partitions of the AddPartitionsToTxn request."""
        message = self.shell.request(AddPartitionsToTxnRequest).message
        assert isinstance(message, AddPartitionsToTxnRequest)
        (topic,) = message.v3_and_below_topics
        return topic.partitions

    def add(self, code: int = 0, *, only: int | None = None) -> None:
        """Answer AddPartitionsToTxn; with `only`, the code is that partition's, and the others' not attempted."""
        results = [
            AddPartitionsToTxnPartitionResult(
                partition_index=index, partition_error_code=code if only in {None, index} else 55
            )
            for index in self.asked()
        ]
        topics = [AddPartitionsToTxnTopicResult(name="t", results_by_partition=results)]
        self.reply(AddPartitionsToTxnRequest, AddPartitionsToTxnResponse(results_by_topic_v3_and_below=topics))

    def add_offsets(self, code: int = 0) -> None:
        self.reply(AddOffsetsToTxnRequest, AddOffsetsToTxnResponse(error_code=code))

    def commit_offsets(self, code: int = 0) -> None:
        partition = TxnOffsetCommitResponsePartition(partition_index=0, error_code=code)
        topics = [TxnOffsetCommitResponseTopic(name="in", partitions=[partition])]
        self.reply(TxnOffsetCommitRequest, TxnOffsetCommitResponse(topics=topics))

    def end(self, code: int = 0, *, identity: tuple[int, int] = (-1, -1)) -> None:
        answer = EndTxnResponse(error_code=code, producer_id=identity[0], producer_epoch=identity[1])
        self.reply(EndTxnRequest, answer)

    def is_commit(self) -> bool:
        message = self.shell.request(EndTxnRequest).message
        assert isinstance(message, EndTxnRequest)
        return message.committed

    def commit(self) -> TransactionTicket:
        ticket = self.transactions.commit(self.transaction, self.shell.now)
        self.shell.poll()
        return ticket

    def abort(self) -> TransactionTicket:
        ticket = self.transactions.abort(self.transaction, self.shell.now)
        self.shell.poll()
        return ticket

    def offsets(self, group: ConsumerGroupMetadata = GROUP) -> TransactionTicket:
        commit = OffsetCommit(group, {TopicPartition("in", 0): OffsetAndMetadata(5)})
        ticket = self.transactions.send_offsets(self.transaction, commit, self.shell.now)
        self.shell.poll()
        return ticket

    def written(self, partition: int = 0) -> ProducerBatch:
        """Send a record whose partition becomes part of the transaction, and have it acknowledged."""
        batch = self.shell.send(partition)
        if self.has(AddPartitionsToTxnRequest):
            self.add()
            self.shell.poll()
        assert [batch] in self.shell.batches()
        self.shell.acknowledge()
        self.shell.poll()
        return batch

    def answer_next(self) -> None:
        """Answer the oldest request, which is for data or for partitions: all is well."""
        if self.shell.sent[1][0].produce is None:
            self.add()
        else:
            self.shell.acknowledge()
            self.shell.poll()

    def own_epoch(self) -> tuple[int, int]:
        """Return the identity whose epoch InitProducerId is to raise."""
        message = self.shell.request(InitProducerIdRequest).message
        assert isinstance(message, InitProducerIdRequest)
        return message.producer_id, message.producer_epoch


def begun(level: int = 1, **settings: Any) -> Story:
    return Story(level, **settings).begun()


# ── the usual ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_of_version_1_is_these_requests_in_this_order() -> None:
    story = begun()
    batch = story.shell.send()
    assert not story.shell.batches()
    story.add()
    assert story.shell.batches() == [[batch]]
    assert story.shell.sent[1][0].request.version == 11
    assert not story.has(AddOffsetsToTxnRequest)
    story.shell.acknowledge()
    ticket = story.offsets()
    assert not story.has(TxnOffsetCommitRequest)
    story.add_offsets()
    story.find()  # the group's coordinator
    story.commit_offsets()
    assert (ticket.done, ticket.error) == (True, None)
    now = story.shell.now
    ending = story.commit()
    assert story.is_commit()
    assert story.shell.request(EndTxnRequest).request.version == 4
    story.end()
    assert (ending.done, ending.error, story.state) == (True, None, _S.READY)
    assert story.shell.now == now  # no request waited for anything but the answer before it
    second = story.transactions.begin(story.shell.now)
    assert second.producer == (7, 0)


def test_in_version_2_data_adds_its_partition_and_each_end_brings_an_epoch() -> None:
    story = begun(2)
    batch = story.shell.send()
    assert story.shell.batches() == [[batch]]
    assert story.shell.sent[1][0].request.version == 13
    story.shell.acknowledge()
    story.offsets()
    story.find()
    assert story.shell.request(TxnOffsetCommitRequest).request.version == 5
    story.commit_offsets()
    story.commit()
    assert story.shell.request(EndTxnRequest).request.version == 5
    story.end(identity=(7, 1))
    story.transaction = story.transactions.begin(story.shell.now)
    batch = story.shell.send()
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 1, 0)
    story.shell.acknowledge()
    story.abort()
    assert not story.is_commit()
    story.end(identity=(8, 0))
    assert story.transactions.begin(story.shell.now).producer == (8, 0)


def test_a_cluster_that_is_upgraded_changes_version_between_transactions_with_a_new_epoch() -> None:
    story = begun(1)
    story.written()
    upgraded = versions(2)
    story.transactions.on_versions(
        BrokerVersions(apis=upgraded.apis, finalized_features=upgraded.finalized_features, finalized_features_epoch=2)
    )
    story.commit()
    assert story.shell.request(EndTxnRequest).request.version == 4  # as it began
    story.end()
    assert story.own_epoch() == (7, 0)
    story.shell.answer_init(epoch=1)
    story.shell.poll()
    story.transaction = story.transactions.begin(story.shell.now)
    batch = story.shell.send()
    assert story.shell.batches() == [[batch]]
    assert (batch.producer_epoch, batch.base_sequence) == (1, 0)


def test_data_waits_until_its_partition_is_part_of_the_transaction() -> None:
    story = begun()
    first = story.shell.send(0)
    second = story.shell.send(1)  # while the first partition is being added
    assert story.asked() == [0]
    assert story.shell.batches() == []
    story.add()
    assert story.asked() == [1]
    assert story.shell.batches() == [[first]]
    assert not any(second in batches for batches in story.shell.batches())


def test_partitions_are_added_together_and_late_ones_in_a_second_request() -> None:
    story = begun()
    for partition in (0, 2):
        story.shell.append(partition)
    story.shell.poll(after=0.005)
    assert story.asked() == [0, 2]
    story.shell.append(1)
    story.shell.append(0)
    ending = story.commit()
    story.add()
    assert story.asked() == [1]
    while story.shell.sent[1]:
        assert not story.has(EndTxnRequest)
        story.answer_next()
        if story.has(EndTxnRequest):
            break
    assert story.is_commit()
    story.end()
    assert ending.error is None


def test_commit_sends_what_lingers_at_once_and_waits_for_what_is_in_flight() -> None:
    story = begun(linger_ms=10_000)
    story.shell.append()
    ending = story.commit()
    story.add()
    assert len(story.shell.batches()) == 1
    assert not story.has(EndTxnRequest)
    story.shell.acknowledge()
    story.shell.poll()
    assert story.is_commit()
    assert not ending.done


def test_the_pause_is_short_while_the_coordinator_ends_the_transaction_before() -> None:
    story = begun(retry_backoff_ms=500)
    story.shell.send()
    start = story.shell.now
    story.add(51)  # CONCURRENT_TRANSACTIONS
    story.wait_for(AddPartitionsToTxnRequest)
    assert story.shell.now - start <= 0.05
    start = story.shell.now
    story.add(14)  # COORDINATOR_LOAD_IN_PROGRESS
    story.wait_for(AddPartitionsToTxnRequest)
    assert story.shell.now - start >= 0.3


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("is_commit", [True, False])
def test_nothing_is_told_to_the_coordinator_when_nothing_was_part_of_the_transaction(
    level: int, is_commit: bool
) -> None:
    story = begun(level)
    ending = story.commit() if is_commit else story.abort()
    assert (ending.done, ending.error, story.state) == (True, None, _S.READY)
    assert not story.has(EndTxnRequest)


def test_a_batch_that_is_too_large_is_split_within_the_transaction() -> None:
    story = begun()
    story.written()
    batch = story.shell.send(records=4)
    story.shell.refuse(10)
    story.shell.poll()
    assert batch.split_into is not None
    parts = [part for _, part in batch.split_into]
    ending = story.commit()
    for part in parts:
        story.shell.wait_until(lambda part=part: [part] in story.shell.batches(), within=1.0)  # type: ignore[misc]
        assert not story.has(EndTxnRequest)
        story.shell.acknowledge()
        story.shell.poll()
    assert [part.error for part in parts] == [None] * len(parts)
    story.end()
    assert ending.error is None


# ── answers of coordinators ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "state", "error"),
    [
        (29, ABORTABLE, AuthorizationError),
        (48, FATAL, BrokerError),
        (49, FATAL, BrokerError),
        (53, FATAL, AuthorizationError),
        (47, FATAL, ProducerFencedError),
        (90, FATAL, ProducerFencedError),
        (120, ABORTABLE, TransactionAbortableError),
        (3, OPEN, None),
        (14, OPEN, None),
        (7, OPEN, None),
    ],
)
def test_an_answer_to_add_partitions_leads_to(code: int, state: TransactionState, error: type | None) -> None:
    story = begun()
    batch = story.shell.send()
    story.add(code)
    assert story.state is state
    if error is None:
        story.wait_for(AddPartitionsToTxnRequest)
        story.add()
        assert story.shell.batches() == [[batch]]
        return
    cause = story.transactions.fatal_error or story.transaction.cause
    assert isinstance(cause, error)
    if code == 29:
        assert "'t'" in str(cause)
    assert batch.error is not None
    assert not batch.error.possibly_written
    if state is ABORTABLE:
        # Nothing became part of the transaction, so there is nothing to be ended.
        ending = story.abort()
        assert (ending.done, ending.error, story.has(EndTxnRequest)) == (True, None, False)


def test_a_partition_that_is_refused_takes_those_beside_it_along() -> None:
    story = begun()
    batches = [story.shell.append(partition) for partition in (0, 1)]
    story.shell.poll(after=0.005)
    assert story.asked() == [0, 1]
    story.add(29, only=1)
    assert story.state is ABORTABLE
    assert isinstance(story.transaction.cause, AuthorizationError)
    assert all(isinstance(batch.error, KafkaError) for batch in batches)
    assert story.transaction.added == set()


def test_a_partition_that_is_not_known_yet_is_asked_for_again_with_those_beside_it() -> None:
    # The coordinator attempts none if it lacks one: it learns of a new topic a little later than its leader.
    story = begun()
    for partition in (0, 1):
        story.shell.append(partition)
    story.shell.poll(after=0.005)
    story.add(3, only=1)
    assert story.state is OPEN
    story.wait_for(AddPartitionsToTxnRequest)
    assert story.asked() == [0, 1]


def test_a_commit_under_way_fails_with_a_partition_that_cannot_be_added() -> None:
    story = begun()
    batch = story.shell.append()
    ending = story.commit()
    story.add(29)
    assert isinstance(ending.error, TransactionAbortedError)
    assert isinstance(ending.error.__cause__, AuthorizationError)
    assert batch.error is not None
    assert story.state is _S.READY


@pytest.mark.parametrize(
    ("code", "state"), [(30, ABORTABLE), (120, ABORTABLE), (48, FATAL), (53, FATAL), (47, FATAL), (90, FATAL)]
)
def test_an_answer_to_add_offsets_leads_to(code: int, state: TransactionState) -> None:
    story = begun()
    ticket = story.offsets()
    story.add_offsets(code)
    assert story.state is state
    assert ticket.done
    assert ticket.error is not None
    assert (ticket.error.fatal, ticket.error.abortable) == (state is FATAL, state is ABORTABLE)
    if state is ABORTABLE:
        ending = story.abort()
        assert (ending.done, story.has(EndTxnRequest)) == (True, False)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize(
    ("code", "state"),
    [
        (22, ABORTABLE),  # ILLEGAL_GENERATION
        (25, ABORTABLE),  # UNKNOWN_MEMBER_ID
        (82, ABORTABLE),  # FENCED_INSTANCE_ID
        (30, ABORTABLE),
        (120, ABORTABLE),
        (43, FATAL),
        (47, FATAL),
        (53, FATAL),
        (90, FATAL),
        (3, OPEN),
        (13, OPEN),
        (14, OPEN),
    ],
)
def test_an_answer_to_offsets_leads_to(level: int, code: int, state: TransactionState) -> None:
    story = begun(level)
    ticket = story.offsets()
    if level == 1:
        story.add_offsets()
    story.find()
    story.commit_offsets(code)
    assert story.state is state
    if state is OPEN:
        assert not ticket.done
        story.wait_for(TxnOffsetCommitRequest)
        story.commit_offsets()
        assert (ticket.done, ticket.error) == (True, None)
        return
    assert ticket.error is not None
    assert (ticket.error.fatal, ticket.error.abortable) == (state is FATAL, state is ABORTABLE)


@pytest.mark.parametrize(("code", "state"), [(30, ABORTABLE), (53, FATAL), (120, ABORTABLE), (15, OPEN), (14, OPEN)])
def test_an_answer_to_the_lookup_of_the_group_leads_to(code: int, state: TransactionState) -> None:
    story = begun(2)
    ticket = story.offsets()
    story.find(code)
    assert story.state is state
    assert ticket.done is (state is not OPEN)
    if state is OPEN:
        story.find()
        story.commit_offsets()
        assert (ticket.done, ticket.error) == (True, None)


@pytest.mark.parametrize("kind", [FindCoordinatorRequest, InitProducerIdRequest])
@pytest.mark.parametrize(("code", "is_fatal"), [(53, True), (14, False), (15, False)])
def test_an_answer_at_the_start_leads_to(kind: type[Message], code: int, is_fatal: bool) -> None:
    story = Story()
    story.shell.answer_metadata(topic_answer())
    story.shell.poll()
    if kind is FindCoordinatorRequest:
        story.find(code)
    else:
        story.find()
        story.shell.answer_init(error=code)
        story.shell.poll()
        if code == 15:
            story.find()  # whoever it is now
    assert (story.state is FATAL) is is_fatal
    if not is_fatal:
        story.wait_for(kind)


def test_the_start_waits_for_a_coordinator_that_throttles() -> None:
    from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse

    story = Story()
    story.shell.answer_metadata(topic_answer())
    story.shell.poll()
    story.find()
    answer = InitProducerIdResponse(producer_id=7, producer_epoch=0, throttle_time_ms=400)
    story.reply(InitProducerIdRequest, answer)
    assert story.state is _S.READY
    story.transaction = story.transactions.begin(story.shell.now)
    story.shell.append()
    start = story.shell.now
    story.wait_for(AddPartitionsToTxnRequest)
    assert story.shell.now - start >= 0.39


@pytest.mark.parametrize("missing", ["find_coordinator", "init_producer_id"])
def test_a_cluster_without_transactions_is_a_fatal_error(missing: str) -> None:
    story = Story(can=versions(**{missing: -1}))
    story.shell.answer_metadata(topic_answer())
    story.shell.poll()
    if missing == "init_producer_id":
        story.find()
    assert story.state is FATAL
    assert isinstance(story.shell.sender.fatal_error, UnsupportedVersionError)


def test_the_groups_coordinator_is_told_of_the_member_or_is_too_old_for_it() -> None:
    member = ConsumerGroupMetadata("g", 4, "member", "instance")
    story = begun()
    story.offsets(member)
    story.add_offsets()
    story.find()
    message = story.shell.request(TxnOffsetCommitRequest).message
    assert isinstance(message, TxnOffsetCommitRequest)
    assert (message.generation_id, message.member_id, message.group_instance_id) == (4, "member", "instance")
    old = begun(can=versions(txn_offset_commit=2))
    ticket = old.offsets(member)
    old.add_offsets()
    old.find()
    assert isinstance(ticket.error, UnsupportedVersionError)
    assert old.state is FATAL


@pytest.mark.parametrize(("code", "is_refused"), [(48, True), (59, True), (120, True)])
def test_a_commit_that_the_coordinator_refuses_is_followed_by_an_abort(code: int, is_refused: bool) -> None:
    story = begun()
    story.written()
    ending = story.commit()
    story.end(code)
    assert story.state is _S.ABORTING
    assert not story.is_commit()
    story.end()
    assert isinstance(ending.error, TransactionAbortedError) is is_refused
    assert story.own_epoch() == (7, 0)


@pytest.mark.parametrize(("code", "error"), [(53, AuthorizationError), (47, ProducerFencedError), (90, KafkaError)])
@pytest.mark.parametrize("is_commit", [True, False])
def test_a_fatal_answer_to_the_end_is_told_to_every_call(code: int, error: type, is_commit: bool) -> None:
    story = begun()
    story.written()
    ending = story.commit() if is_commit else story.abort()
    story.end(code)
    assert story.state is FATAL
    assert isinstance(ending.error, error)
    for call in (story.commit, story.abort, lambda: story.transactions.begin(story.shell.now)):
        with pytest.raises(error):
            call()


def test_an_abort_that_is_to_be_answered_by_an_abort_is_fatal() -> None:
    story = begun()
    story.written()
    ending = story.abort()
    story.end(120)
    assert story.state is FATAL
    assert ending.error is not None


def test_a_coordinator_that_is_lost_is_looked_up_also_when_the_transaction_has_failed() -> None:
    story = begun()
    story.written()
    story.shell.send(1)
    story.add(29)
    assert story.state is ABORTABLE
    story.abort()
    story.end(16)  # NOT_COORDINATOR
    story.find()
    story.wait_for(EndTxnRequest)
    story.end()
    assert story.state is _S.INITIALIZING


# ── records that fail ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_that_expires_fails_the_transaction_and_its_commit_is_not_sent() -> None:
    story = begun()
    story.written()
    first, second = story.shell.send(), story.shell.send(0)
    ending = story.commit()
    first.created_at -= 200.0
    story.shell.poll()
    assert isinstance(first.error, DeliveryTimeoutError)
    assert story.shell.sender.fatal_error is None
    story.shell.refuse(7)  # REQUEST_TIMED_OUT, of the one that has expired: nothing follows from it
    assert story.state is _S.ABORTING
    while not second.is_done:
        story.shell.wait_until(lambda: second.is_done or bool(story.shell.batches()), within=2.0)
        if story.shell.batches():
            story.shell.acknowledge()
            story.shell.poll()
    story.wait_for(EndTxnRequest)
    assert not story.is_commit()
    story.end()
    assert isinstance(ending.error, TransactionAbortedError)
    assert isinstance(ending.error.__cause__, DeliveryTimeoutError)
    assert story.own_epoch() == (7, 0)
    story.shell.answer_init(epoch=1)
    story.shell.poll()
    assert story.transactions.begin(story.shell.now).producer == (7, 1)


@pytest.mark.parametrize("code", [45, 47, 48, 59, 120])
def test_a_batch_that_fails_can_be_answered_by_an_abort_and_a_new_epoch(code: int) -> None:
    story = begun()
    story.written()
    batch = story.shell.send()
    story.shell.refuse(code, log_start_offset=10)
    story.shell.poll()
    assert batch.error is not None
    assert story.state is ABORTABLE
    story.abort()
    assert not story.is_commit()
    story.end()
    assert story.own_epoch() == (7, 0)
    story.shell.answer_init(epoch=1)
    story.shell.poll()
    story.transaction = story.transactions.begin(story.shell.now)
    again = story.shell.send()
    story.add()
    assert (again.producer_epoch, again.base_sequence) == (1, 0)


def test_retries_that_are_used_up_fail_the_transaction() -> None:
    story = begun(retries=1)
    batch = story.shell.send()
    story.add()
    for _ in range(2):
        story.shell.wait_until(lambda: bool(story.shell.batches()), within=2.0)
        story.shell.refuse(19)
    story.shell.poll()
    assert isinstance(batch.error, BrokerError)
    assert story.state is ABORTABLE
    ending = story.commit()
    story.end()
    assert isinstance(ending.error, TransactionAbortedError)
    assert getattr(ending.error.__cause__, "name", None) == "NOT_ENOUGH_REPLICAS"


def test_a_batch_that_may_be_written_is_still_delivered_after_another_has_failed() -> None:
    story = begun()
    story.written(0)
    story.written(1)
    doubted = story.shell.send(0)
    story.shell.refuse(7)
    failing = story.shell.send(1)
    story.shell.poll()
    while not failing.is_done:
        story.shell.refuse(42 if [failing] in story.shell.batches()[:1] else 7)
        story.shell.poll()
    assert story.state is ABORTABLE
    story.shell.wait_until(lambda: [doubted] in story.shell.batches(), within=1.0)
    story.shell.acknowledge()
    story.shell.poll()
    assert doubted.error is None


def test_an_abort_drops_what_was_not_sent_and_waits_for_what_was() -> None:
    story = begun()
    story.written()
    sent = story.shell.send(0)
    adding = story.shell.send(1)
    assert story.asked() == [1]
    waiting = story.shell.append(0)
    ending = story.abort()
    assert isinstance(waiting.error, TransactionAbortedError)
    assert isinstance(adding.error, TransactionAbortedError)
    assert not sent.is_done
    assert not story.has(EndTxnRequest)
    story.answer_next()
    assert sent.error is None
    assert not story.has(EndTxnRequest)  # the partition may be part of the transaction, or be it soon
    story.answer_next()
    assert not story.is_commit()
    story.end()
    assert (ending.done, ending.error, sent.error) == (True, None, None)


def test_an_abort_waits_for_data_in_flight_even_if_that_is_all() -> None:
    story = begun()
    story.written()
    sent = story.shell.send()
    story.abort()
    assert not story.has(EndTxnRequest)
    story.shell.refuse(19)  # NOT_ENOUGH_REPLICAS: it was not written, and need not be any more
    story.shell.poll()
    assert isinstance(sent.error, TransactionAbortedError)
    assert not story.is_commit()


def test_with_a_coordinator_that_cannot_raise_epochs_a_failed_transaction_is_the_end() -> None:
    story = begun(can=versions(init_producer_id=2))
    story.written()
    story.shell.send()
    story.shell.refuse(42)
    story.abort()
    story.end()
    assert story.state is FATAL
    assert isinstance(story.transactions.fatal_error, UnsupportedVersionError)


# ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_waits_for_a_commit_that_has_begun() -> None:
    story = begun()
    story.shell.append()
    ending = story.commit()
    story.shell.sender.begin_close(story.shell.now)
    story.add()
    story.shell.acknowledge()
    story.shell.poll()
    assert story.is_commit()
    assert not story.shell.sender.is_drained
    story.end()
    assert (ending.done, ending.error) == (True, None)
    assert story.shell.sender.is_drained


def test_closing_aborts_an_open_transaction() -> None:
    story = begun(linger_ms=1_000)
    story.written()
    batch = story.shell.append()
    story.shell.sender.begin_close(story.shell.now)
    story.shell.poll()
    assert isinstance(batch.error, TransactionAbortedError)
    assert not story.is_commit()
    assert not story.shell.sender.is_drained
    story.end()
    assert story.shell.sender.is_drained


def test_an_error_while_closing_aborts_does_not_keep_it_open() -> None:
    story = begun()
    story.written()
    story.shell.sender.begin_close(story.shell.now)
    story.shell.poll()
    story.end(53)
    assert story.state is FATAL
    assert story.shell.sender.is_drained
    assert story.shell.sender.poll(story.shell.now) == []


@pytest.mark.parametrize("step", ["lookup", "offsets", "end"])
def test_a_forced_close_releases_whoever_waits_for_the_coordinator(step: str) -> None:
    story = begun(2)
    if step == "end":
        story.written()
        ticket = story.commit()
    else:
        ticket = story.offsets()
        if step == "offsets":
            story.find()
    assert not ticket.done
    story.shell.sender.begin_close(story.shell.now)
    story.shell.sender.abort(ProducerClosedError("closed"), story.shell.now)
    story.shell.poll()
    assert ticket.done
    assert isinstance(ticket.error, KafkaError)
    assert story.shell.sender.is_drained


def test_one_request_in_flight_is_enough_for_metadata_transactions_and_data() -> None:
    story = begun(max_in_flight_requests_per_connection=1)
    batch = story.shell.append()
    story.shell.accumulator.wait_for_topic("new", story.shell.now, story.shell.now + 60)
    story.shell.poll(after=1.0)
    ending = story.commit()
    for _ in range(20):
        (request,) = story.shell.sent[1]  # never more than one
        if request.produce is not None:
            story.answer_next()
        elif isinstance(request.message, AddPartitionsToTxnRequest):
            story.add()
        elif isinstance(request.message, EndTxnRequest):
            story.end()
            break
        else:
            story.shell.answer_metadata(topic_answer("new"))
            story.shell.poll()
    assert (ending.done, ending.error, batch.error) == (True, None, None)
