"""The producing process: python -m tests.transfer.teller SERVERS TRANSACTIONAL_ID ORDERS TOPIC SEED COUNT

Each transfer is one transaction: a debit, a credit, and the number of the next transfer as the offset of a group. So
what is done is known after a crash: whoever starts goes on from the committed offset. Prints that number at the start,
and a line for each transfer that is committed.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio
import anyio.to_thread

# The other client has no types: what it returns is Any here.
import confluent_kafka

from aioproducer import Producer, TopicPartition, Transaction
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError, TransactionAbortedError
from tests.transfer.transfers import GROUP, Transfer, postings, transfer

SETTINGS: Any = {
    "linger_ms": 0,
    "request_timeout_ms": 10_000,
    "delivery_timeout_ms": 120_000,
    "max_block_ms": 60_000,
    "transaction_timeout_ms": 60_000,
}


class ChangedMindError(Exception):
    """The program does not want the transaction after all."""


def next_number(servers: str, group: str, orders: str) -> int:
    """The committed offset, once no transaction is pending; 0 at the first start. Blocks."""
    settings = {"bootstrap.servers": servers, "group.id": group, "isolation.level": "read_committed", "log_level": 0}
    consumer: Any = confluent_kafka.Consumer(settings)
    try:
        while True:
            try:
                (told,) = consumer.committed([confluent_kafka.TopicPartition(orders, 0)], timeout=60)
            except confluent_kafka.KafkaException as error:
                if not error.args[0].retriable() and error.args[0].code() != confluent_kafka.KafkaError._TIMED_OUT:
                    raise
                continue
            return max(0, int(told.offset))
    finally:
        consumer.close()


def tell(*words: object) -> None:
    """Write a line to the process that started this one."""
    sys.stdout.write(" ".join(str(word) for word in words).replace("\n", " ") + "\n")
    sys.stdout.flush()


async def commit(transaction: Transaction) -> None:
    """Commit, as often as it takes to know the outcome.

    Raises:
        TransactionAbortedError: nothing of it took effect.
    """
    while True:
        try:
            await transaction.commit()
            return
        except CommitOutcomeUnknownError:
            continue


async def make(producer: Producer[bytes, bytes], given: Transfer, orders: str, topic: str, *, fails: bool) -> None:
    """One transaction.

    Raises:
        ChangedMindError: `fails`, after its records were written.
        KafkaError: nothing of it took effect.
    """
    transaction = await producer.begin_transaction()
    try:
        for posting in postings(given):
            await producer.submit(topic, posting.encode(), key=b"%d" % posting.account, partition=posting.partition)
        await transaction.send_offsets({TopicPartition(orders, 0): given.number + 1}, GROUP)
        if fails:
            await producer.flush()
            raise ChangedMindError
        await commit(transaction)
    except TransactionAbortedError:
        raise
    except (KafkaError, ChangedMindError) as error:
        if isinstance(error, KafkaError) and error.fatal:
            raise
        await transaction.abort()
        raise


async def main(servers: str, transactional_id: str, orders: str, topic: str, seed: int, count: int) -> None:
    """Make all transfers that are not made yet."""
    async with Producer(bootstrap_servers=servers, transactional_id=transactional_id, **SETTINGS) as producer:
        # Only after start(): it has ended what a former process left open.
        number = await anyio.to_thread.run_sync(next_number, servers, GROUP, orders)
        tell("from", number)
        has_failed = -1
        while number < count:
            given = transfer(seed, number)
            try:
                await make(producer, given, orders, topic, fails=given.fails_first and has_failed != number)
            except ChangedMindError:
                has_failed = number
            except KafkaError as error:
                if error.fatal:
                    raise
                tell("again", number, repr(error))
            else:
                tell("done", number)
                number += 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    servers_, transactional_id_, orders_, topic_, seed_, count_ = sys.argv[1:]
    anyio.run(main, servers_, transactional_id_, orders_, topic_, int(seed_), int(count_))
