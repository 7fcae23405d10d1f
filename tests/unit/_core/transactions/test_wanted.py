"""The requests that each state asks for, alone: nobody sends them, and their owner only takes notes."""

from __future__ import annotations

import math
import random

import pytest

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.requests.producer_id import ProducerIdRequest
from aioproducer._core.transactions.marker_delay import MarkerDelay
from aioproducer._core.transactions.open_transaction import Awaited, OpenTransaction, TransactionTicket
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    FindCoordinator,
    OffsetCommit,
)
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent
from aioproducer._core.transactions.wanted import WantedRequests
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer.errors import KafkaError
from tests.unit._core.transaction_parts import CONFIG, PRODUCER, Owner, accumulator

E = TransactionEvent
LOST = KafkaError("lost")


class Wanted:
    """The requests of a machine that a test moves."""

    def __init__(self) -> None:
        self.machine = TransactionStateMachine(accumulator())
        self.delay = MarkerDelay()
        self.owner = Owner()
        self.requests = WantedRequests(self.owner, self.machine, self.delay, CONFIG, random.Random(1))

    def names(self, now: float = 5.0) -> list[str]:
        """What is due, by class."""
        return [type(request).__name__ for request in self.requests.due(now)]

    def find(self) -> None:
        """Let the coordinator that is looked up now be broker 2."""
        (lookup,) = self.requests.due(5.0)
        assert isinstance(lookup, FindCoordinator)
        lookup.wanted.found(Broker(2, "b", 2))

    def begin(self, version: int = VERSION_1) -> OpenTransaction:
        """Begin a transaction, its coordinator known."""
        self.find()
        self.machine.move(E.IDENTIFIED)
        transaction = OpenTransaction(version, PRODUCER, self.requests.adding(PRODUCER))
        self.machine.begin(transaction)
        return transaction


def test_a_request_whose_coordinator_is_not_known_gives_way_to_the_lookup() -> None:
    it = Wanted()
    assert it.names() == [FindCoordinator.__name__]
    it.find()
    assert it.names() == [ProducerIdRequest.__name__]


def test_a_lost_node_has_its_coordinators_looked_up_again_after_a_pause() -> None:
    it = Wanted()
    it.find()
    it.requests.on_node_lost(2, LOST, 5.0)
    assert it.names() == []
    assert 5.08 <= it.requests.times()[0] <= 5.12
    assert it.names(5.2) == [FindCoordinator.__name__]
    assert it.requests.last_error is LOST


def test_between_transactions_and_after_the_end_nothing_is_wanted() -> None:
    it = Wanted()
    it.find()
    it.machine.move(E.IDENTIFIED)
    assert (it.names(), it.requests.times()) == ([], [])
    it.machine.fail_fatal(LOST)
    assert (it.names(), it.requests.times()) == ([], [])


def test_partitions_are_wanted_until_they_are_answered_and_the_first_waits_for_the_markers() -> None:
    it = Wanted()
    transaction = it.begin()
    assert it.names() == []
    transaction.adding.wanted.add(TopicPartition("t", 0))
    it.delay.until = 7.0
    assert it.names(6.9) == []
    assert it.requests.times() == [7.0]
    assert it.names(7.0) == [AddPartitions.__name__]
    transaction.adding.retry_timer.begin()
    assert it.requests.times() == [math.inf]


@pytest.mark.parametrize(("version", "steps"), [(VERSION_1, [AddOffsets, CommitOffsets]), (VERSION_2, [CommitOffsets])])
def test_offsets_go_step_by_step_and_the_last_has_the_ticket(version: int, steps: list[type]) -> None:
    it = Wanted()
    transaction = it.begin(version)
    commit = OffsetCommit(ConsumerGroupMetadata("g"), {TopicPartition("in", 0): OffsetAndMetadata(1)})
    ticket = TransactionTicket(Awaited.OFFSETS, transaction, 5.0)
    transaction.offsets += it.requests.committing_offsets(transaction, commit, ticket)
    assert [type(step[0]) for step in transaction.offsets] == steps
    assert [step[1] for step in transaction.offsets] == [None] * (len(steps) - 1) + [ticket]
    first = AddOffsets if version == VERSION_1 else FindCoordinator  # the group's own is not known yet
    assert it.names() == [first.__name__]


def test_beside_the_end_nothing_is_wanted() -> None:
    it = Wanted()
    transaction = it.begin()
    transaction.adding.wanted.add(TopicPartition("t", 0))
    transaction.end = it.requests.ending(transaction, is_commit=True)
    assert transaction.end.is_commit
    assert it.names() == [EndTransaction.__name__]


def test_a_refused_end_is_looked_into() -> None:
    it = Wanted()
    it.begin()
    it.machine.move(E.ABORT)
    it.machine.move(E.EPOCH_REFUSED)
    assert it.names() == [DescribeTransaction.__name__]


def test_the_epoch_to_raise_is_told_by_the_next_request_for_a_producer_id() -> None:
    it = Wanted()
    it.find()
    (request,) = it.requests.due(5.0)
    assert isinstance(request, ProducerIdRequest)
    it.requests.raise_epoch(PRODUCER)
    assert (request.build(5).producer_id, request.build(5).producer_epoch) == PRODUCER
    it.requests.raise_epoch(None)
    assert request.build(5).producer_id == -1
    assert request.target() == Broker(2, "b", 2)
