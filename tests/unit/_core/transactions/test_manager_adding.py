"""Partitions that a transaction is asked to take: where that is needed, and what follows from a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.effects import Connect
from aioproducer._core.transactions.states import TransactionState
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer.errors import AuthorizationError, TransactionAbortedError
from tests.unit._core.harness import topic_answer
from tests.unit._core.transactional import TransactionalShell, broker_versions

if TYPE_CHECKING:
    from aioproducer._core.effects import Effect

S = TransactionState


class Mixed(TransactionalShell):
    """Version 2, and broker 1 lists Produce up to 11 only, or a proxy before it does; broker 2 is as it should be."""

    def _take(self, effect: Effect) -> None:
        if isinstance(effect, Connect):
            self.versions = broker_versions(2, produce=11 if effect.node_id == 1 else 13)
        super()._take(effect)


def mixed() -> Mixed:
    """Partition 0 is led by the old broker, partition 1 by the other."""
    it = Mixed(2)
    it.start(topic_answer(leaders=(1, 2)))
    return it


def versions_at(it: TransactionalShell, node_id: int) -> list[int]:
    return [send.request.version for send in it.sent.get(node_id, ()) if send.produce is not None]


def test_a_leader_that_adds_nothing_by_itself_has_its_partitions_added_before() -> None:
    it = mixed()
    transaction = it.begin()
    it.send(0)
    it.send(1)
    assert versions_at(it, 1) == []
    assert versions_at(it, 2) == [13], "the other one waits for nothing"
    assert it.add_partitions() == [("t", [0])]
    it.poll()
    assert versions_at(it, 1) == [11]
    it.acknowledge(1)
    it.acknowledge(2)
    it.poll()
    it.send(0)
    assert not it.has_request(AddPartitionsToTxnRequest), "once is enough"
    it.acknowledge(1, offset=1)
    ticket = it.commit(transaction)
    assert it.version_of(EndTxnRequest) == 5
    it.end()
    it.poll()
    assert ticket.done
    assert ticket.error is None
    it.begin()
    batch = it.send(0)
    assert it.add_partitions() == [("t", [0])], "the next transaction knows nothing of it"
    it.poll()
    assert versions_at(it, 1) == [11]
    assert batch.producer_epoch == 1


def test_it_is_asked_for_in_the_same_poll_and_once() -> None:
    it = mixed()
    it.begin()
    it.append(0)
    it.sender.poll(it.now)
    assert it.sender.poll(it.now) == []
    due = it.sender.deadline(it.now)
    assert due is None or due > it.now


def test_what_was_only_added_is_ended_too() -> None:
    it = mixed()
    transaction = it.begin()
    it.send(0)
    assert it.has_request(AddPartitionsToTxnRequest)
    ticket = it.abort(transaction)
    it.add_partitions()
    it.poll()
    assert not it.end().committed
    it.poll()
    assert ticket.done
    assert it.is_in(S.READY)


def refuse(it: TransactionalShell, codes: dict[int, int]) -> None:
    """Answer AddPartitionsToTxn, by partition."""
    results = [AddPartitionsToTxnPartitionResult(partition_index=p, partition_error_code=c) for p, c in codes.items()]
    topic = AddPartitionsToTxnTopicResult(name="t", results_by_partition=results)
    it.pop(AddPartitionsToTxnRequest, AddPartitionsToTxnResponse(results_by_topic_v3_and_below=[topic]))
    it.poll()


@pytest.mark.parametrize("is_mixed", [False, True])
def test_the_records_of_a_partition_that_is_refused_hear_why_themselves(is_mixed: bool) -> None:
    it = Mixed(2) if is_mixed else TransactionalShell(0)
    it.start(topic_answer(leaders=(1, 1)))
    it.begin()
    denied, neighbour = it.append(0), it.append(1)
    it.poll()
    refuse(it, {0: 29, 1: 55})  # TOPIC_AUTHORIZATION_FAILED, and the other was not attempted
    assert isinstance(denied.error, AuthorizationError)
    assert denied.error.name == "TOPIC_AUTHORIZATION_FAILED"
    assert (denied.error.topic, denied.error.partition, denied.error.api) == ("t", 0, "AddPartitionsToTxn")
    assert denied.error.abortable
    assert not denied.error.possibly_written
    assert isinstance(neighbour.error, TransactionAbortedError)
    assert neighbour.error.abortable, "the transaction is open, and can only be aborted"
    assert isinstance(neighbour.error.__cause__, AuthorizationError)
    assert it.is_in(S.ABORTABLE_ERROR)


def test_a_partition_that_is_not_known_yet_is_no_refusal() -> None:
    it = TransactionalShell(0).start()
    it.begin()
    batch = it.append(0)
    it.poll()
    refuse(it, {0: 3})  # UNKNOWN_TOPIC_OR_PARTITION: asked for again
    assert batch.error is None
    it.wait_until(lambda: it.has_request(AddPartitionsToTxnRequest), within=1)
    it.add_partitions()
    it.poll()
    assert it.batches() == [[batch]]


def test_what_an_abort_drops_is_not_told_to_be_abortable() -> None:
    it = TransactionalShell(0, linger_ms=1_000).start()
    transaction = it.begin()
    batch = it.append(0)
    it.abort(transaction)
    assert isinstance(batch.error, TransactionAbortedError)
    assert not batch.error.abortable
