"""A fault strikes what it is narrowed down to, and the producer's other records go on as if it were not there.

Every verb with every scope that it takes; each test waits for the fault to strike what it is meant for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import Producer, TopicPartition
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer.testing import EmbeddedCluster
    from aioproducer.testing._faults import FaultHandle

TOPICS: Final = ("struck", "spared")
SECONDS: Final = 10.0
PRODUCE: Final = ApiKey.PRODUCE

VERBS: Final[dict[str, Callable[[EmbeddedCluster, dict[str, Any]], FaultHandle]]] = {
    "fail_next": lambda cluster, scope: cluster.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS, times=2, **scope),
    "lose_response_once": lambda cluster, scope: cluster.lose_response_once(**scope),
    "lose_request_once": lambda cluster, scope: cluster.lose_request_once(**scope),
    "delay": lambda cluster, scope: cluster.delay(0.1, api=PRODUCE, **scope),
    "throttle": lambda cluster, scope: cluster.throttle(50, times=1, **scope),
    "not_enough_replicas": lambda cluster, scope: cluster.not_enough_replicas(**scope),
    "not_enough_replicas after the append": lambda cluster, scope: cluster.not_enough_replicas(
        after_append=True, **scope
    ),
    "full_disk": lambda cluster, scope: cluster.full_disk(**scope),
    "black_hole": lambda cluster, scope: cluster.black_hole(**scope),
    "cut_after": lambda cluster, scope: cluster.cut_after(5, **scope),
    "read_slowly": lambda cluster, scope: cluster.read_slowly(2_000, **scope),
}


@dataclass(frozen=True)
class Scope:
    """What a fault is narrowed down to.

    Attributes:
        struck: a partition that it is about.
        spared: one that it is not about; None when it is about all.
    """

    arguments: dict[str, Any]
    struck: TopicPartition
    spared: TopicPartition | None


# Partition 0 of both topics is led by broker 0, partition 1 by broker 1.
SCOPES: Final[dict[str, Scope]] = {
    "cluster": Scope({}, TopicPartition("struck", 0), None),
    "broker": Scope({"broker": 1}, TopicPartition("struck", 1), TopicPartition("struck", 0)),
    "topic": Scope({"topic": "struck"}, TopicPartition("struck", 0), TopicPartition("spared", 0)),
    "partition": Scope({"topic": "struck", "partition": 1}, TopicPartition("struck", 1), TopicPartition("struck", 0)),
}
NARROWED_BY: Final[dict[str, tuple[str, ...]]] = {
    "fail_next": ("cluster", "broker", "topic", "partition"),
    "lose_response_once": ("cluster", "broker", "topic", "partition"),
    "lose_request_once": ("cluster", "broker", "topic", "partition"),
    "delay": ("cluster", "broker", "topic", "partition"),
    "throttle": ("cluster", "broker"),
    "not_enough_replicas": ("cluster", "broker", "topic", "partition"),
    "not_enough_replicas after the append": ("cluster", "broker", "topic", "partition"),
    "full_disk": ("cluster", "broker", "topic", "partition"),
    "black_hole": ("cluster", "broker"),
    "cut_after": ("cluster", "broker"),
    "read_slowly": ("cluster", "broker"),
}
CASES: Final = [(verb, scope) for verb, scopes in NARROWED_BY.items() for scope in scopes]


def quick(cluster: EmbeddedCluster) -> Producer[bytes, bytes]:
    """A producer that gives up requests after 300 ms and tries again after a few."""
    return Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        request_timeout_ms=300,
        delivery_timeout_ms=8_000,
        socket_connection_setup_timeout_ms=300,
        linger_ms=0,
        retry_backoff_ms=5,
        retry_backoff_max_ms=20,
        reconnect_backoff_ms=5,
        reconnect_backoff_max_ms=20,
    )


async def warmed_up(cluster: EmbeddedCluster, producer: Producer[bytes, bytes]) -> None:
    """A record in every partition: so every connection is there, and nothing is asked but for records."""
    for topic in TOPICS:
        await cluster.create_topic(topic, 2)
    for topic in TOPICS:
        for partition in range(2):
            await producer.send(topic, b"first", partition=partition)


def values(cluster: EmbeddedCluster, tp: TopicPartition) -> list[bytes | None]:
    return [record.value for record in cluster.records(tp.topic) if record.partition == tp.partition]


@pytest.mark.parametrize(("verb", "scope"), CASES)
async def test_a_fault_strikes_its_own_and_nothing_is_lost_or_written_twice(
    embedded: EmbeddedCluster, verb: str, scope: str
) -> None:
    struck = SCOPES[scope].struck
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        with VERBS[verb](embedded, SCOPES[scope].arguments) as fault:
            delivery = await producer.submit(struck.topic, b"second", partition=struck.partition)
            await fault.wait_hit()
        with anyio.fail_after(SECONDS):
            assert (await delivery).offset == 1
    assert values(embedded, struck) == [b"first", b"second"]


@pytest.mark.parametrize(("verb", "scope"), [case for case in CASES if case[1] != "cluster"])
async def test_a_fault_spares_what_it_is_not_about(embedded: EmbeddedCluster, verb: str, scope: str) -> None:
    spared = SCOPES[scope].spared
    assert spared is not None
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        with VERBS[verb](embedded, SCOPES[scope].arguments) as fault:
            with anyio.fail_after(SECONDS):
                assert (await producer.send(spared.topic, b"second", partition=spared.partition)).offset == 1
            assert fault.hits == 0


async def test_drop_connections_of_one_broker_leaves_the_others_open(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        before = producer.statistics()
        assert embedded.drop_connections(broker=1) == 1
        assert embedded.drop_connections(broker=2) <= 1  # at the most the one that the producer began with
        with anyio.fail_after(SECONDS):
            for partition in range(2):
                assert (await producer.send("struck", b"second", partition=partition)).offset == 1
        assert producer.statistics()["connection-creation-total"] == before["connection-creation-total"] + 1


async def test_move_leader_moves_one_partition(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        assert embedded.move_leader("struck", 1) == 2
        leaders = [embedded.leader(topic, partition) for topic in TOPICS for partition in range(2)]
        assert leaders == [0, 2, 0, 1]
        with anyio.fail_after(SECONDS):
            for topic in TOPICS:
                for partition in range(2):
                    assert (await producer.send(topic, b"second", partition=partition)).offset == 1


async def test_hold_replication_of_one_partition_holds_no_other(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        embedded.hold_replication("struck", 1)
        held = await producer.submit("struck", b"second", partition=1)
        with anyio.fail_after(SECONDS):
            # Not to the same broker, which does not look at a connection's next request before it has answered.
            for topic in TOPICS:
                assert (await producer.send(topic, b"second", partition=0)).offset == 1
            assert not held.done()
            embedded.release_replication("struck", 1)
            assert (await held).offset == 1


async def test_stopping_one_broker_takes_nothing_from_the_others(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await warmed_up(embedded, producer)
        await embedded.stop_broker(1)
        leaders = [embedded.leader(topic, 0) for topic in TOPICS]
        assert leaders == [0, 0]
        with anyio.fail_after(SECONDS):
            for partition in range(2):
                assert (await producer.send("struck", b"second", partition=partition)).offset == 1
        await embedded.start_broker(1)
