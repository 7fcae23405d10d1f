"""A broker that metadata names as a leader and that cannot be reached from here. Embedded only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import anyio

from aioproducer import Delivery, Producer
from aioproducer.errors import DeliveryTimeoutError
from tests.contract.support import until

if TYPE_CHECKING:
    from aioproducer.testing._cluster import EmbeddedCluster

WORKERS = 5
PARTITIONS = 6
BACK_WITHIN = 10.0
"""Seconds; it takes one or two where nothing else runs (`python -m benchmarks.black_hole`)."""


async def test_keyless_records_go_on_at_the_rest_and_come_back_when_it_is_over(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t", PARTITIONS, replication_factor=3)
    led = {p for p in range(PARTITIONS) if embedded.leader("t", p) == 2}
    went: Counter[int] = Counter()
    failed = 0

    async def work(producer: Producer[bytes, bytes]) -> None:
        nonlocal failed
        while True:
            try:
                went[(await producer.send("t", bytes(200))).partition] += 1
            except DeliveryTimeoutError:
                failed += 1

    async with (
        Producer(
            bootstrap_servers=embedded.bootstrap_servers,
            batch_size=400,
            delivery_timeout_ms=1_000,
            request_timeout_ms=500,
            socket_connection_setup_timeout_ms=300,
        ) as producer,
        anyio.create_task_group() as workers,
    ):
        for _ in range(WORKERS):
            workers.start_soon(work, producer)
        await until(lambda: len(went) == PARTITIONS, seconds=20)
        hole = embedded.black_hole(broker=2)
        await until(lambda: failed >= WORKERS, seconds=20)  # what was under way to it is given up after a second
        before = went.copy()
        await until(lambda: (went - before).total() >= 200, seconds=20)
        assert set(went - before) == set(range(PARTITIONS)) - led
        assert failed <= 2 * WORKERS, "hardly a record has met it since"
        hole.stop()
        before = went.copy()
        await until(lambda: led <= set(went - before), seconds=20)
        workers.cancel_scope.cancel()


async def test_the_rest_soon_has_as_much_as_all_had_before(embedded: EmbeddedCluster) -> None:
    """With each outcome looked at by a callback, so that no record that has met the broker holds up another."""
    await embedded.create_topic("t", PARTITIONS, replication_factor=3)
    led = {p for p in range(PARTITIONS) if embedded.leader("t", p) == 2}
    went: Counter[int] = Counter()
    failed = 0

    def note(delivery: Delivery) -> None:
        nonlocal failed
        if delivery.exception() is None:
            went[delivery.result().partition] += 1
        else:
            failed += 1

    async def submit(producer: Producer[bytes, bytes]) -> None:
        while True:
            for _ in range(20):
                await producer.submit("t", bytes(200), on_delivery=note)
            await anyio.sleep(0.01)

    async def rate(seconds: float) -> float:
        before, began = went.total(), anyio.current_time()
        await anyio.sleep(seconds)
        return (went.total() - before) / (anyio.current_time() - began)

    async with (
        Producer(
            bootstrap_servers=embedded.bootstrap_servers, delivery_timeout_ms=1_000, request_timeout_ms=500
        ) as producer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(submit, producer)
        await until(lambda: len(went) == PARTITIONS, seconds=20)
        usual = await rate(0.5)
        with embedded.black_hole(broker=2):
            gone_at = anyio.current_time()
            while await rate(0.25) < 0.8 * usual:
                assert anyio.current_time() - gone_at < BACK_WITHIN
            given_up, before = -1, went.copy()
            while failed == 0 or failed > given_up:  # what was under way to it is given up; then none meets it any more
                assert anyio.current_time() - gone_at < BACK_WITHIN
                given_up, before = failed, went.copy()
                await anyio.sleep(1.2)
            assert set(went - before) == set(range(PARTITIONS)) - led
        tasks.cancel_scope.cancel()
