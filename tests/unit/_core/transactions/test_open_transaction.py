"""A transaction that has just begun, and a ticket that nobody has told anything."""

from __future__ import annotations

import math

from aioproducer._core.transactions.open_transaction import Awaited, TransactionTicket
from aioproducer._core.transactions.requests import VERSION_2, AddOffsets
from tests.unit._core.transaction_parts import PRODUCER, Owner, begun, coordinator, timer


def test_a_transaction_begins_with_nothing_in_it_and_no_time_that_runs() -> None:
    transaction = begun()
    assert (transaction.version, transaction.producer) == (VERSION_2, PRODUCER)
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
    first.offsets.append((AddOffsets(Owner(), timer(), coordinator(), "x", PRODUCER, "g"), None))
    first.added.clear()
    assert second.offsets == []
    assert first.added is not second.added


def test_a_ticket_remembers_since_when_it_waits_and_for_what() -> None:
    transaction = begun()
    ticket = TransactionTicket(Awaited.COMMIT, transaction, 5.0)
    assert (ticket.awaited, ticket.transaction, ticket.since) == (Awaited.COMMIT, transaction, 5.0)
    assert (ticket.done, ticket.error, ticket.waiter) == (False, None, None)
