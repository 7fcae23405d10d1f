"""The auditor's books refuse what must not be: else the transfers on real Kafka would prove nothing."""

from __future__ import annotations

import dataclasses

import pytest

from tests.transfer.auditor import TOTAL, AuditError, Books
from tests.transfer.transfers import Posting, postings, transfer

SEED = 3


def halves(number: int) -> tuple[Posting, Posting]:
    return postings(transfer(SEED, number))


def test_whole_transfers_leave_the_sum_as_it_was() -> None:
    books = Books(SEED)
    for number in range(20):
        books.read([*halves(number)])
    assert (books.whole, books.reads, books.total) == (20, 20, TOTAL)
    assert len(set(books.balances.values())) > 5


def test_last_transfer_may_be_half_for_as_long_as_it_is_the_last() -> None:
    books = Books(SEED)
    books.read([*halves(0), halves(1)[1]])
    books.read([])
    books.read([halves(1)[0], *halves(2)])
    assert books.whole == 3


def test_half_transfer_with_a_later_one_is_refused_a_pass_later() -> None:
    books = Books(SEED)
    books.read([halves(0)[1], *halves(1)])
    with pytest.raises(AuditError, match="transfer 0 is not whole, though 1 was there"):
        books.read([])


def test_missing_transfer_is_refused() -> None:
    books = Books(SEED)
    books.read([*halves(0), *halves(2)])
    with pytest.raises(AuditError, match="transfer 1 is not whole"):
        books.read([*halves(3)])


@pytest.mark.parametrize("passes", [1, 2])
def test_half_that_is_there_twice_is_refused(passes: int) -> None:
    books = Books(SEED)
    first = [[halves(0)[0]], [halves(0)[0]]] if passes == 2 else [[halves(0)[0], halves(0)[0]]]
    with pytest.raises(AuditError, match="is there twice"):
        for found in first:
            books.read(found)


def test_whole_transfer_that_is_there_again_is_refused() -> None:
    books = Books(SEED)
    books.read([*halves(0)])
    with pytest.raises(AuditError, match="is there twice"):
        books.read([*halves(0)])


def test_amount_that_nobody_ordered_is_refused() -> None:
    debit, _ = halves(0)
    with pytest.raises(AuditError, match="in nobody's order"):
        Books(SEED).read([dataclasses.replace(debit, amount=debit.amount - 1)])
