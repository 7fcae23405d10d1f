"""Every fault that an embedded cluster has as a verb, and what the producer makes of it, on every event loop.

Each test waits for the fault to strike, so that none passes because nothing happened.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import Delivery, DeliveryTimeoutError, KafkaError, Producer
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import ErrorCode
from tests.contract.support import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer.testing import EmbeddedCluster

TOPIC: Final = "orders"
SECONDS: Final = 10.0


def quick(cluster: EmbeddedCluster, **settings: Any) -> Producer[bytes, bytes]:
    """A producer that gives up requests after 300 ms and tries again after a few."""
    given: dict[str, Any] = {
        "request_timeout_ms": 300,
        "delivery_timeout_ms": 8_000,
        "socket_connection_setup_timeout_ms": 300,
        "linger_ms": 0,
        "retry_backoff_ms": 5,
        "retry_backoff_max_ms": 20,
        "reconnect_backoff_ms": 5,
        "reconnect_backoff_max_ms": 20,
    }
    return Producer(bootstrap_servers=cluster.bootstrap_servers, **(given | settings))


def values(cluster: EmbeddedCluster) -> list[bytes | None]:
    return [record.value for record in cluster.records(TOPIC)]


async def submit(producer: Producer[bytes, bytes], numbers: Sequence[int]) -> list[Delivery]:
    return [await producer.submit(TOPIC, b"%d" % number) for number in numbers]


async def offsets(deliveries: Sequence[Delivery]) -> list[int]:
    with anyio.fail_after(SECONDS):
        return [(await delivery).offset for delivery in deliveries]


RETRIED: Final = [
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.CORRUPT_MESSAGE,
]


@pytest.mark.parametrize("error", RETRIED, ids=lambda error: error.name)
async def test_fail_next_with_a_retriable_error_is_retried_and_written_once(
    embedded: EmbeddedCluster, error: ErrorCode
) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.fail_next(error, times=2, topic=TOPIC)
        deliveries = await submit(producer, range(1, 10))
        await fault.wait_hit(2)
        assert await offsets(deliveries) == list(range(1, 10))
    assert values(embedded) == [b"%d" % number for number in range(10)]


REFUSED: Final = [ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.INVALID_RECORD]


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: error.name)
async def test_fail_next_with_a_final_error_fails_that_record_and_no_other(
    embedded: EmbeddedCluster, error: ErrorCode
) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.fail_next(error, topic=TOPIC)
        with anyio.fail_after(SECONDS), pytest.raises(KafkaError) as caught:
            await producer.send(TOPIC, b"1")
        await fault.wait_hit()
        assert caught.value.name == error.name
        assert not caught.value.possibly_written
        with anyio.fail_after(SECONDS):
            assert (await producer.send(TOPIC, b"2")).offset == 1
    assert values(embedded) == [b"0", b"2"]


async def test_fail_next_can_be_narrowed_to_a_partition(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic(TOPIC, 2)
    async with quick(embedded) as producer:
        with embedded.fail_next(ErrorCode.INVALID_RECORD, times=None, topic=TOPIC, partition=1) as fault:
            with anyio.fail_after(SECONDS):
                assert (await producer.send(TOPIC, b"v", partition=0)).offset == 0
                with pytest.raises(KafkaError, match="INVALID_RECORD"):
                    await producer.send(TOPIC, b"v", partition=1)
            assert fault.hits == 1


async def test_fail_next_strikes_other_requests_than_produce(embedded: EmbeddedCluster) -> None:
    fault = embedded.fail_next(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, times=2, api=ApiKey.INIT_PRODUCER_ID)
    async with quick(embedded) as producer:
        with anyio.fail_after(SECONDS):
            assert (await producer.send(TOPIC, b"v")).offset == 0
    assert fault.hits == 2


async def test_lose_response_once_strikes_after_the_append_and_nothing_is_written_twice(
    embedded: EmbeddedCluster,
) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.lose_response_once(topic=TOPIC)
        delivery = await producer.submit(TOPIC, b"1")
        await fault.wait_hit()
        assert values(embedded) == [b"0", b"1"]
        assert not delivery.done()
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_lose_request_once_strikes_before_the_append(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.lose_request_once(topic=TOPIC)
        delivery = await producer.submit(TOPIC, b"1")
        await fault.wait_hit()
        assert values(embedded) == [b"0"]
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_delay_makes_answers_late_and_several_wait_at_once(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, request_timeout_ms=5_000) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.delay(0.2, api=ApiKey.PRODUCE) as fault:
            started = time.monotonic()
            deliveries: list[Delivery] = []
            for number in range(1, 5):
                deliveries += await submit(producer, [number])
                await fault.wait_hit(number)
            assert values(embedded) == [b"%d" % number for number in range(5)]
            assert not any(delivery.done() for delivery in deliveries)
            assert await offsets(deliveries) == [1, 2, 3, 4]
            assert 0.2 <= time.monotonic() - started < 0.8  # one after the other would take that long


async def test_delay_beyond_the_request_timeout_is_retried_and_written_once(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.delay(2.0, times=1, api=ApiKey.PRODUCE)
        deliveries = await submit(producer, [1, 2])
        await fault.wait_hit()
        assert await offsets(deliveries) == [1, 2]
    assert values(embedded) == [b"0", b"1", b"2"]


async def test_drop_connections_is_survived_by_what_is_on_its_way(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.delay(5.0, times=1, api=ApiKey.PRODUCE)
        delivery = await producer.submit(TOPIC, b"1")
        await fault.wait_hit()
        assert embedded.drop_connections() >= 1
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_black_hole_is_given_up_by_the_request_timeout_and_left_when_it_ends(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.black_hole() as fault:
            delivery = await producer.submit(TOPIC, b"1")
            await fault.wait_hit(2)  # it has come back on another connection, or asks the others
            assert values(embedded) == [b"0"]
            assert not delivery.done()
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_black_hole_of_one_broker_leaves_the_others_alone(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic(TOPIC, 3)
    async with quick(embedded) as producer:
        await producer.partitions_for(TOPIC)
        for partition in range(3):
            await producer.send(TOPIC, b"first", partition=partition)
        with embedded.black_hole(broker=embedded.leader(TOPIC, 0)) as fault:
            held = await producer.submit(TOPIC, b"v", partition=0)
            await fault.wait_hit()
            with anyio.fail_after(SECONDS):
                assert (await producer.send(TOPIC, b"v", partition=1)).offset == 1
                assert (await producer.send(TOPIC, b"v", partition=2)).offset == 1
        assert await offsets([held]) == [1]


@pytest.mark.parametrize("bytes_count", [0, 1, 4, 11, 40])
async def test_cut_after_in_an_answer_costs_nothing(embedded: EmbeddedCluster, bytes_count: int) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.cut_after(bytes_count, broker=embedded.leader(TOPIC))
        deliveries = await submit(producer, [1])
        await fault.wait_hit()
        deliveries += await submit(producer, [2])
        assert await offsets(deliveries) == [1, 2]
    assert fault.hits == 1
    assert values(embedded) == [b"0", b"1", b"2"]


async def test_move_leader_is_followed_with_nothing_lost(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        old = embedded.leader(TOPIC)
        new = embedded.move_leader(TOPIC)
        assert new == embedded.leader(TOPIC) != old
        assert await offsets(await submit(producer, [1, 2])) == [1, 2]
        assert embedded.move_leader(TOPIC, to=old) == old
        assert await offsets(await submit(producer, [3])) == [3]
    assert values(embedded) == [b"0", b"1", b"2", b"3"]


async def test_stop_broker_moves_its_partitions_and_start_broker_brings_it_back(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        address, leader = embedded.bootstrap_servers, embedded.leader(TOPIC)
        await embedded.stop_broker(leader)
        assert await offsets(await submit(producer, [1])) == [1]
        await embedded.start_broker(leader)
        assert embedded.bootstrap_servers == address
        embedded.move_leader(TOPIC, to=leader)
        assert await offsets(await submit(producer, [2])) == [2]
    assert values(embedded) == [b"0", b"1", b"2"]


async def test_restart_of_the_only_broker_keeps_what_waits(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("alone", replication_factor=1)
    async with quick(embedded) as producer:
        await producer.send("alone", b"0")
        leader = embedded.leader("alone")
        await embedded.stop_broker(leader)
        delivery = await producer.submit("alone", b"1")
        await embedded.start_broker(leader)
        assert await offsets([delivery]) == [1]


async def test_throttle_keeps_the_producer_from_sending_for_that_long(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        fault = embedded.throttle(300, times=1)
        with anyio.fail_after(SECONDS):
            assert (await producer.send(TOPIC, b"1")).offset == 1
        assert fault.hits == 1
        started = time.monotonic()
        assert await offsets(await submit(producer, [2])) == [2]
        assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("after_append", [False, True], ids=["before", "after the append"])
async def test_not_enough_replicas_is_retried_until_there_are(embedded: EmbeddedCluster, after_append: bool) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.not_enough_replicas(TOPIC, after_append=after_append) as fault:
            delivery = await producer.submit(TOPIC, b"1")
            await fault.wait_hit(3)
            assert not delivery.done()
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_not_enough_replicas_does_not_concern_acks_1(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, acks=1, enable_idempotence=False) as producer:
        with embedded.not_enough_replicas(TOPIC) as fault:
            with anyio.fail_after(SECONDS):
                assert (await producer.send(TOPIC, b"0")).offset == 0
            assert fault.hits == 0


async def test_full_disk_fails_records_in_their_time_and_is_over_when_it_is_over(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, delivery_timeout_ms=400, request_timeout_ms=200) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.full_disk(TOPIC) as fault:
            with anyio.fail_after(SECONDS), pytest.raises(DeliveryTimeoutError) as caught:
                await producer.send(TOPIC, b"1")
            assert fault.hits >= 2
            assert "KAFKA_STORAGE_ERROR" in str(caught.value.__cause__)
            assert caught.value.possibly_written  # a disk that fails may have taken it all the same
        with anyio.fail_after(SECONDS):
            assert (await producer.send(TOPIC, b"2")).offset == 1
    assert values(embedded) == [b"0", b"2"]


async def test_read_slowly_holds_the_producer_back_and_keeps_its_memory_bounded(embedded: EmbeddedCluster) -> None:
    settings: dict[str, Any] = {"request_timeout_ms": 20_000, "delivery_timeout_ms": 30_000, "buffer_memory": 64_000}
    async with quick(embedded, **settings) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.read_slowly(400_000) as fault:
            started = time.monotonic()
            with anyio.fail_after(SECONDS):
                deliveries = [await producer.submit(TOPIC, b"v" * 1_000) for _ in range(200)]
            # 200,000 bytes, of which 64,000 fit: the rest had to wait until others were acknowledged.
            assert time.monotonic() - started >= 0.2
            assert await offsets(deliveries) == list(range(1, 201))
        assert fault.hits > 10


async def test_read_slowly_beyond_the_request_timeout_writes_nothing_twice(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        with embedded.read_slowly(1_000) as fault:
            delivery = await producer.submit(TOPIC, b"v" * 2_000)
            await fault.wait_hit()
            await until(lambda: not embedded.records(TOPIC) or fault.hits > 5)
            assert not delivery.done()
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"v" * 2_000]


async def test_hold_replication_times_acks_all_out_and_release_lets_it_through(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        embedded.hold_replication(TOPIC)
        delivery = await producer.submit(TOPIC, b"1")
        await until(lambda: len(values(embedded)) == 2)
        assert not delivery.done()
        embedded.release_replication(TOPIC)
        assert await offsets([delivery]) == [1]
    assert values(embedded) == [b"0", b"1"]


async def test_forget_producers_is_recovered_from(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        assert await offsets(await submit(producer, [0, 1])) == [0, 1]
        embedded.forget_producers(TOPIC)
        assert await offsets(await submit(producer, [2, 3])) == [2, 3]
    assert values(embedded) == [b"0", b"1", b"2", b"3"]


async def test_refuse_versions_above_is_met_with_older_versions(embedded: EmbeddedCluster) -> None:
    embedded.refuse_versions_above(7, api=ApiKey.PRODUCE)
    embedded.refuse_versions_above(0)
    async with quick(embedded) as producer:
        with anyio.fail_after(SECONDS):
            assert (await producer.send(TOPIC, b"v")).offset == 0


async def test_clear_faults_ends_all_of_them(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send(TOPIC, b"0")
        disk, hole = embedded.full_disk(TOPIC), embedded.black_hole()
        delivery = await producer.submit(TOPIC, b"1")
        await hole.wait_hit()
        embedded.clear_faults()
        assert await offsets([delivery]) == [1]
    assert disk.hits == 0
