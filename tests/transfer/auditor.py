"""The read_committed reader: every transfer is seen whole and once, and the sum of all accounts never changes."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, Final

# The other client has no types: what it returns is Any here.
import confluent_kafka

from tests.transfer.transfers import ACCOUNTS, OPENING_BALANCE, PARTITIONS, Posting, postings, transfer

TOTAL: Final = ACCOUNTS * OPENING_BALANCE
PASS_SECONDS: Final = 120.0


class AuditError(AssertionError):
    """What was read cannot be."""


class Books:
    """What was read so far, and whether that can be.

    Markers reach the partitions of a transaction one after the other, so a transfer may be seen half for a moment. But:

    1. A half is read in one pass over the partitions. So its transaction was committed before the next pass began.
    2. No later transaction of the same transactional id can begin before all markers of this one are written.
    3. So, after the next pass, it is whole, unless it is the last one of all that were seen before that pass.
    """

    def __init__(self, seed: int) -> None:
        self.reads = 0
        self.balances: dict[int, int] = dict.fromkeys(range(ACCOUNTS), OPENING_BALANCE)
        self._seed = seed
        self._whole = 0  # all transfers below are
        self._seen: defaultdict[int, list[Posting]] = defaultdict(list)
        self._newest = -1

    @property
    def whole(self) -> int:
        """So many transfers are there, each of them whole."""
        return self._whole

    @property
    def total(self) -> int:
        """The sum of all accounts, as of the transfers that are whole."""
        return sum(self.balances.values())

    def read(self, found: list[Posting]) -> None:
        """Take what one pass has found, and check everything.

        Raises:
            AuditError: it cannot be.
        """
        newest_before = self._newest
        for posting in found:
            self._take(posting)
        while len(halves := self._seen.get(self._whole, [])) == 2:
            for half in halves:
                self.balances[half.account] += half.amount
            del self._seen[self._whole]
            self._whole += 1
        self.reads += 1
        if self._whole < newest_before:
            raise AuditError(
                f"transfer {self._whole} is not whole, though {newest_before} was there a pass before:"
                f" {self._seen.get(self._whole, [])}"
            )
        if self.total != TOTAL:
            raise AuditError(f"the accounts have {self.total} after {self._whole} transfers, not {TOTAL}")

    def _take(self, posting: Posting) -> None:
        number = posting.number
        if posting not in postings(transfer(self._seed, number)):
            raise AuditError(f"{posting} is in nobody's order")
        if number < self._whole or posting in self._seen[number]:
            raise AuditError(f"{posting} is there twice")
        self._seen[number].append(posting)
        self._newest = max(self._newest, number)


class Auditor:
    """Reads the topic again and again with librdkafka. Its methods block; for one thread at a time."""

    def __init__(self, servers: str, topic: str, seed: int) -> None:
        self.books = Books(seed)
        self._topic = topic
        self._offsets = [0] * PARTITIONS
        self._consumer: Any = confluent_kafka.Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "auditor",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.error.backoff.ms": 50,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )

    def audit(self) -> None:
        """Read each partition to its end, as it is now, and check.

        Raises:
            AuditError: what was read cannot be.
            TimeoutError: a partition could not be read to its end.
        """
        deadline = time.monotonic() + PASS_SECONDS
        found: list[Posting] = []
        unread = set(range(PARTITIONS))
        self._consumer.assign(
            [confluent_kafka.TopicPartition(self._topic, index, offset) for index, offset in enumerate(self._offsets)]
        )
        while unread:
            if time.monotonic() > deadline:
                raise TimeoutError(f"partitions {unread} could not be read to their ends in {PASS_SECONDS:g} s")
            for message in self._consumer.consume(1000, 0.1):
                if message.error() is None:
                    found.append(Posting.decode(message.value()))
                    self._offsets[message.partition()] = message.offset() + 1
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
        self.books.read(found)

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
