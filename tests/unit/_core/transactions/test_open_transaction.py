"""A transaction that has just begun, and a ticket that nobody has told anything."""

from __future__ import annotations

import math
import random

from aioproducer._config import ProducerConfig
from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.transactions.open_transaction import Awaited, OpenTransaction, TransactionTicket
from aioproducer._core.transactions.requests import VERSION_2, AddPartitions, Identity


def begun() -> OpenTransaction:
    """One in which nothing has happened."""
    config, rng = ProducerConfig(bootstrap_servers="b:9092", transactional_id="x"), random.Random(1)
    coordinator = Coordinator(CoordinatorType.TRANSACTION, "x", config, rng)
    identity = Identity(7, 3)
    return OpenTransaction(VERSION_2, identity, AddPartitions(coordinator, identity, config, rng))


def test_a_transaction_begins_with_nothing_in_it_and_no_time_that_runs() -> None:
    transaction = begun()
    assert transaction.outcome is None
    assert transaction.started_at is None
    assert not transaction.is_begun
    assert not transaction.is_commit_asked
    assert not transaction.added
    assert not transaction.offsets
    assert transaction.end is None
    assert transaction.ending_since == math.inf


def test_transactions_share_nothing() -> None:
    first, second = begun(), begun()
    first.offsets.append((first.adding, None))
    first.added.clear()
    assert second.offsets == []
    assert first.added is not second.added


def test_a_ticket_remembers_since_when_it_waits_and_for_what() -> None:
    transaction = begun()
    ticket = TransactionTicket(Awaited.COMMIT, transaction, 5.0)
    assert (ticket.awaited, ticket.transaction, ticket.since) == (Awaited.COMMIT, transaction, 5.0)
    assert (ticket.done, ticket.error, ticket.waiter) == (False, None, None)
