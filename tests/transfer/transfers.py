"""What is transferred: the order book, and the two records of each transfer. The same seed gives the same book."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Final

ACCOUNTS: Final = 40
PARTITIONS: Final = 4
OPENING_BALANCE: Final = 1_000
GROUP: Final = "transfers"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer; `fails_first` is for one whose transaction is aborted by the program before it succeeds."""

    number: int
    source: int
    target: int
    amount: int
    fails_first: bool


@dataclass(frozen=True, slots=True)
class Posting:
    """One record: an account gets an amount, or gives it when that is negative."""

    number: int
    account: int
    amount: int

    @property
    def partition(self) -> int:
        """Where it belongs."""
        return self.account % PARTITIONS

    def encode(self) -> bytes:
        """The record's value."""
        return json.dumps([self.number, self.account, self.amount]).encode()

    @classmethod
    def decode(cls, value: bytes) -> Posting:
        """Read a record's value."""
        return cls(*json.loads(value))


def transfer(seed: int, number: int) -> Transfer:
    """The transfer of this number: between two accounts whose partitions differ."""
    rng = Random(f"{seed}/{number}")
    source = rng.randrange(ACCOUNTS)
    target = rng.choice([account for account in range(ACCOUNTS) if (account - source) % PARTITIONS])
    return Transfer(number, source, target, rng.randint(1, 50), rng.random() < 0.05)


def postings(given: Transfer) -> tuple[Posting, Posting]:
    """The debit and the credit."""
    return (
        Posting(given.number, given.source, -given.amount),
        Posting(given.number, given.target, given.amount),
    )
