"""Calls that wait for a step of a transaction: when they end, and that nothing hides that time."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.open_transaction import Awaited
from aioproducer._core.transactions.states import TransactionState
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer.errors import (
    CommitOutcomeUnknownError,
    KafkaTimeoutError,
    ProducerClosedError,
    TransactionAbortedError,
)
from tests.unit._core.transactional import TransactionalShell

S = TransactionState
BOTH = pytest.mark.parametrize("level", [0, 2])


def test_the_end_of_a_wait_is_not_hidden_by_a_request_that_waits_for_its_broker() -> None:
    it = TransactionalShell(2, max_block_ms=500, request_timeout_ms=60_000)
    it.answers_connects = False
    ticket = it.transactions.wait_ready(it.now)
    it.poll()  # the lookup of the coordinator is due, and there is no connection
    it.wait_until(lambda: ticket.done, within=0.51)
    assert isinstance(ticket.error, KafkaTimeoutError)


@BOTH
def test_offsets_whose_time_is_up_fail_the_transaction_in_the_same_poll(level: int) -> None:
    it = TransactionalShell(level, max_block_ms=5_000).start()
    transaction = it.begin()
    ticket = it.send_offsets(transaction)
    lingering = it.append()
    it.now += 5.1
    it.sender.poll(it.now)
    assert ticket.done
    assert it.is_in(S.ABORTABLE_ERROR)
    assert isinstance(lingering.error, TransactionAbortedError)
    assert it.sender.poll(it.now) == []


def test_what_is_on_the_wire_is_given_up_in_time_after_a_fatal_error() -> None:
    it = TransactionalShell(2, request_timeout_ms=1_000, delivery_timeout_ms=60_000).start()
    it.begin()
    it.send()
    it.sender.abort(ProducerClosedError("closed"), it.now)
    it.poll()
    assert it.accumulator.statistics().buffer_available_bytes < it.config.buffer_memory
    free = it.config.buffer_memory
    it.wait_until(lambda: it.accumulator.statistics().buffer_available_bytes == free, within=1.5)


@BOTH
def test_a_wait_that_is_over_before_it_begins_wakes_nobody(level: int) -> None:
    it = TransactionalShell(level).start()
    transaction = it.begin_with_a_record()
    it.commit(transaction)
    it.end()
    it.poll()
    it.transactions.take_woken()
    again = it.transactions.commit(transaction, it.now)
    assert (again.done, again.error) == (True, None)
    assert it.transactions.take_woken() == []


@BOTH
def test_each_of_several_waits_for_one_end_is_told_of_it(level: int) -> None:
    it = TransactionalShell(level).start()
    transaction = it.begin_with_a_record()
    tickets = [it.commit(transaction) for _ in range(3)]
    it.transactions.forget(tickets[1])
    it.end()
    it.poll()
    assert [ticket.done for ticket in tickets] == [True, False, True]
    assert it.transactions.take_woken() == [tickets[0], tickets[2]]


@BOTH
def test_a_commit_whose_transaction_is_aborted_is_told_so_however_late(level: int) -> None:
    it = TransactionalShell(level).start()
    transaction = it.begin_with_a_record()
    it.abort(transaction)
    it.end()
    it.poll()
    ticket = it.transactions.commit(transaction, it.now)
    assert isinstance(ticket.error, TransactionAbortedError)


def test_an_abandoned_commit_is_taken_up_where_it_is() -> None:
    it = TransactionalShell(
        2, max_block_ms=5_000, request_timeout_ms=600_000, delivery_timeout_ms=600_000, connections_max_idle_ms=-1
    ).start()
    transaction = it.begin_with_a_record()
    it.transactions.forget(it.commit(transaction))
    it.now += 100.0
    again = it.commit(transaction)  # it has its own max_block_ms
    assert not again.done
    it.poll(after=5.1)
    assert isinstance(again.error, CommitOutcomeUnknownError)
    third = it.commit(transaction)
    assert it.has_request(EndTxnRequest)  # the one that was sent first
    it.end()
    it.poll()
    assert (third.done, third.error) == (True, None)


def test_waiting_for_ready_is_over_at_once_when_a_transaction_can_begin() -> None:
    it = TransactionalShell(2).start()
    ticket = it.transactions.wait_ready(it.now)
    assert (ticket.awaited, ticket.done, ticket.error) == (Awaited.READY, True, None)


def test_waiting_for_ready_ends_with_the_producer_id() -> None:
    it = TransactionalShell(2)
    ticket = it.transactions.wait_ready(it.now)
    it.poll()
    it.wait_until(lambda: any(send.message for sends in it.sent.values() for send in sends), within=1)
    it.find()
    it.poll()
    assert it.has_request(InitProducerIdRequest)
    assert not ticket.done
    it.init()
    it.poll()
    assert (ticket.done, ticket.error) == (True, None)
