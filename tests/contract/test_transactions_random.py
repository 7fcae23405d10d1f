"""Transactions among random faults: what is committed is there once and in order, the rest is not, offsets agree."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Delivery, Producer, TopicPartition
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import CommitOutcomeUnknownError, ErrorCode, KafkaError, KafkaTimeoutError
from aioproducer.testing._cluster import EmbeddedCluster
from tests.contract.support import producer_tasks, until

if TYPE_CHECKING:
    from aioproducer import Transaction

IN = TopicPartition("in", 0)
PARTITIONS = 3
TRANSACTIONS = 25
APIS = [
    ApiKey.PRODUCE,
    ApiKey.PRODUCE,
    ApiKey.END_TXN,
    ApiKey.END_TXN,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.FIND_COORDINATOR,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.ADD_OFFSETS_TO_TXN,
]
PRODUCE_CODES = [
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.TRANSACTION_ABORTABLE,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED,
]
COORDINATOR_CODES = [
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.CONCURRENT_TRANSACTIONS,
]


def hurt(cluster: EmbeddedCluster, rng: random.Random) -> None:
    """Let something go wrong soon."""
    api = rng.choice(APIS)
    match rng.randrange(5):
        case 0:
            cluster.lose_response_once(api=api)
        case 1:
            cluster.lose_request_once(api=api)
        case 2:
            codes = PRODUCE_CODES if api is ApiKey.PRODUCE else COORDINATOR_CODES
            cluster.fail_next(rng.choice(codes), times=rng.randint(1, 3), api=api)
        case 3:
            cluster.drop_connections(broker=rng.randrange(3))
        case _:
            cluster.move_leader("t", rng.randrange(PARTITIONS))


async def end(transaction: Transaction, *, is_commit: bool) -> bool:
    """End it, as often as it takes; whether it is committed."""
    while True:
        try:
            if not is_commit:
                await transaction.abort()
                return False
            await transaction.commit()
            return True
        except (CommitOutcomeUnknownError, KafkaTimeoutError):
            continue
        except KafkaError as error:
            assert is_commit, error
            assert not error.fatal, error
            is_commit = False


@pytest.mark.parametrize("version", [2, 0])
@pytest.mark.parametrize("seed", range(6))
async def test_transactions_among_random_faults(anyio_backend: Any, version: int, seed: int) -> None:
    del anyio_backend
    rng = random.Random(f"{version} {seed}")
    committed: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    settings: dict[str, Any] = {
        "transactional_id": "t",
        "linger_ms": rng.choice([0, 2]),
        "request_timeout_ms": 2_000,
        "retry_backoff_ms": 5,
        "retry_backoff_max_ms": 20,
        "reconnect_backoff_ms": 5,
        "reconnect_backoff_max_ms": 20,
        "delivery_timeout_ms": 10_000,
        "max_block_ms": rng.choice([500, 5_000]),
    }
    offset = -1
    async with EmbeddedCluster(
        brokers=3, partitions=PARTITIONS, transaction_version=version, marker_delay=rng.choice([0, 0.01])
    ) as cluster:
        await cluster.create_topic("t")
        await cluster.create_topic(IN.topic)
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, **settings) as producer:
            for number in range(TRANSACTIONS):
                if rng.random() < 0.6:
                    hurt(cluster, rng)
                transaction = await begin(producer)
                values = [(rng.randrange(PARTITIONS), b"%02d-%d" % (number, index)) for index in range(6)]
                deliveries: list[Delivery] = []
                is_given = await fill(cluster, rng, producer, transaction, values, deliveries, number)
                if await end(transaction, is_commit=rng.random() < 0.8):
                    for partition, value in values:
                        committed[partition].append(value)
                    offset = number if is_given else offset
                assert all(delivery.done() for delivery in deliveries)
            cluster.clear_faults()
        with anyio.fail_after(5):
            while len(cluster.records("t", isolation="read_committed")) < sum(map(len, committed.values())):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        for partition, expected in committed.items():
            records = cluster.records("t", isolation="read_committed")
            assert [record.value for record in records if record.partition == partition] == expected
        assert cluster.committed_offsets("g").get(IN, -1) == offset
        await until(lambda: not producer_tasks())


async def fill(
    cluster: EmbeddedCluster,
    rng: random.Random,
    producer: Producer,
    transaction: Transaction,
    values: list[tuple[int, bytes]],
    deliveries: list[Delivery],
    number: int,
) -> bool:
    """Send the values, and perhaps offsets; whether offsets were given. It may fail on the way."""
    try:
        for partition, value in values:
            deliveries.append(await producer.submit("t", value, partition=partition))
            if rng.random() < 0.2:
                hurt(cluster, rng)
        if rng.random() < 0.5:
            await transaction.send_offsets({IN: number}, "g")
            return True
    except KafkaError as error:
        assert not error.fatal, error
    return False


async def begin(producer: Producer) -> Transaction:
    """Begin one, as often as it takes."""
    while True:
        try:
            return await producer.begin_transaction()
        except KafkaTimeoutError:
            continue
