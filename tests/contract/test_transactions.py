"""Transactions on the embedded cluster, versions 1 and 2, and what goes wrong in its coordinators."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Delivery, Producer, TopicPartition, Transaction
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import (
    AuthorizationError,
    CommitOutcomeUnknownError,
    ErrorCode,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    TransactionAbortedError,
)
from aioproducer.testing._cluster import EmbeddedCluster
from tests.contract.support import Cluster, producer_tasks, until
from tests.contract.transactions_suite import *  # noqa: F403 - the tests that hold for every cluster
from tests.contract.transactions_suite import BodyError, Scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(params=[2, 0], ids=["v2", "v1"])
async def inner(request: pytest.FixtureRequest, anyio_backend: Any) -> AsyncIterator[EmbeddedCluster]:
    """An embedded cluster of three brokers."""
    del anyio_backend
    version: int = request.param
    async with EmbeddedCluster(brokers=3, partitions=1, transaction_version=version) as cluster:
        yield cluster
        await until(lambda: not producer_tasks())


@pytest.fixture
async def scene(inner: EmbeddedCluster) -> Scene:
    """It, for the tests that hold for every cluster."""
    return Scene(Cluster("embedded", inner), timeout_ms=150, noticed_after=0.3)


def quick(cluster: EmbeddedCluster, **settings: Any) -> Producer[bytes, bytes]:
    """A producer that gives up soon."""
    given: dict[str, Any] = {
        "transactional_id": "t",
        "max_block_ms": 400,
        "request_timeout_ms": 400,
        "delivery_timeout_ms": 1_500,
        "linger_ms": 0,
        "retry_backoff_ms": 10,
        "retry_backoff_max_ms": 50,
        "reconnect_backoff_ms": 10,
        "reconnect_backoff_max_ms": 50,
        "close_timeout_ms": 600,
        **settings,
    }
    return Producer(bootstrap_servers=cluster.bootstrap_servers, **given)


@pytest.mark.parametrize("api", [ApiKey.END_TXN, ApiKey.INIT_PRODUCER_ID, ApiKey.FIND_COORDINATOR, ApiKey.PRODUCE])
async def test_a_lost_answer_costs_nothing_but_time(inner: EmbeddedCluster, scene: Scene, api: ApiKey) -> None:
    await inner.create_topic("t")
    fault = inner.lose_response_once(api=api)
    async with quick(inner, max_block_ms=5_000) as producer:
        for number in range(3):
            async with producer.transaction() as transaction:
                await producer.send("t", b"%d" % number)
                await transaction.send_offsets({TopicPartition("t", 0): number}, "g")
    assert fault.hits == 1
    assert await scene.committed("t", 3) == [b"0", b"1", b"2"]
    assert inner.committed_offsets("g") == {TopicPartition("t", 0): 2}


@pytest.mark.parametrize(
    "api", [ApiKey.END_TXN, ApiKey.TXN_OFFSET_COMMIT, ApiKey.INIT_PRODUCER_ID, ApiKey.FIND_COORDINATOR]
)
@pytest.mark.parametrize(
    "code", [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE]
)
async def test_a_coordinator_that_is_not_ready_is_asked_again(
    inner: EmbeddedCluster, scene: Scene, api: ApiKey, code: ErrorCode
) -> None:
    await inner.create_topic("t")
    fault = inner.fail_next(code, times=2, api=api)
    async with quick(inner, max_block_ms=5_000) as producer, producer.transaction() as transaction:
        await producer.send("t", b"1")
        await transaction.send_offsets({TopicPartition("t", 0): 1}, "g")
    assert fault.hits == 2
    assert await scene.committed("t", 1) == [b"1"]


async def test_transactions_that_follow_each_other_faster_than_they_are_ended_wait_for_each_other() -> None:
    async with EmbeddedCluster(brokers=2, marker_delay=0.05) as cluster:
        await cluster.create_topic("t")
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, transactional_id="t") as producer:
            for number in range(4):
                async with producer.transaction():
                    await producer.send("t", b"%d" % number)
        await cluster.expect("t", values=[b"0", b"1", b"2", b"3"])


async def test_a_coordinator_that_goes_away_is_replaced(inner: EmbeddedCluster, scene: Scene) -> None:
    await inner.create_topic("t")
    async with quick(inner, max_block_ms=5_000) as producer:
        async with producer.transaction():
            await producer.send("t", b"1")
        coordinator = inner.core.state.coordinator_of("t")
        assert coordinator is not None
        transaction = await producer.begin_transaction()
        await producer.send("t", b"2")
        await inner.stop_broker(coordinator.id)
        await transaction.commit()
        async with producer.transaction():
            await producer.send("t", b"3")
    assert await scene.committed("t", 3) == [b"1", b"2", b"3"]


async def test_a_commit_without_an_answer_is_unknown_and_can_be_repeated_and_not_crossed(
    inner: EmbeddedCluster, scene: Scene
) -> None:
    await inner.create_topic("t")
    async with quick(inner) as producer:
        transaction = await producer.begin_transaction()
        await producer.send("t", b"1")
        fault = inner.fail_next(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, times=None, api=ApiKey.END_TXN)
        started = time.monotonic()
        with pytest.raises(CommitOutcomeUnknownError, match=r"call commit\(\) again") as caught:
            await transaction.commit()
        assert 0.35 < time.monotonic() - started < 2
        assert caught.value.possibly_written
        for call in (transaction.abort, producer.begin_transaction, lambda: producer.send("t", b"2")):
            with pytest.raises(IllegalStateError, match=r"commit\(\) again"):
                await call()
        with pytest.raises(CommitOutcomeUnknownError):
            await transaction.commit()
        fault.stop()
        await transaction.commit()
        async with producer.transaction():
            await producer.send("t", b"2")
    assert await scene.committed("t", 2) == [b"1", b"2"]


async def test_a_cancelled_commit_goes_on_and_can_be_repeated(inner: EmbeddedCluster, scene: Scene) -> None:
    await inner.create_topic("t")
    async with quick(inner, max_block_ms=5_000) as producer:
        transaction = await producer.begin_transaction()
        await producer.send("t", b"1")
        fault = inner.fail_next(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, times=None, api=ApiKey.END_TXN)
        with anyio.move_on_after(0.1) as scope:
            await transaction.commit()
        assert scope.cancelled_caught
        with pytest.raises(IllegalStateError, match=r"its commit was sent; call commit\(\) again"):
            await transaction.abort()
        fault.stop()
        await transaction.commit()
    assert await scene.committed("t", 1) == [b"1"]


async def test_a_commit_that_is_cancelled_while_records_are_flushed_can_be_aborted(
    inner: EmbeddedCluster, scene: Scene
) -> None:
    await inner.create_topic("t")
    async with quick(inner, max_block_ms=5_000) as producer:
        transaction = await producer.begin_transaction()
        fault = inner.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS, times=None, topic="t")
        delivery = await producer.submit("t", b"1")
        with anyio.move_on_after(0.1):
            await transaction.commit()
        with pytest.raises(IllegalStateError, match=r"call commit\(\) again, or abort\(\)"):
            await producer.begin_transaction()
        await transaction.abort()
        assert isinstance(delivery.exception(), TransactionAbortedError)
        fault.stop()
        async with producer.transaction():
            await producer.send("t", b"2")
    assert await scene.committed("t", 1) == [b"2"]


async def test_a_block_that_is_cancelled_while_it_commits_leaves_nothing_unresolved(
    inner: EmbeddedCluster, scene: Scene
) -> None:
    await inner.create_topic("t")
    async with quick(inner, max_block_ms=5_000) as producer:
        fault = inner.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS, times=None, topic="t")
        deliveries: list[Delivery] = []
        with anyio.move_on_after(0.15) as scope:
            async with producer.transaction():
                deliveries.append(await producer.submit("t", b"1"))
        assert scope.cancelled_caught
        (delivery,) = deliveries
        assert isinstance(delivery.exception(), TransactionAbortedError)
        fault.stop()
        async with producer.transaction():
            await producer.send("t", b"2")
    assert await scene.committed("t", 1) == [b"2"]


async def test_an_abort_ends_within_a_bound_during_an_outage_and_the_next_transaction_waits_for_it(
    inner: EmbeddedCluster, scene: Scene
) -> None:
    await inner.create_topic("t")
    async with quick(inner, request_timeout_ms=300, delivery_timeout_ms=1_000) as producer:
        started = 0.0
        deliveries: list[Delivery] = []
        with pytest.raises(BodyError):
            async with producer.transaction():
                await producer.send("t", b"1")
                for broker in range(3):
                    await inner.stop_broker(broker)
                deliveries.append(await producer.submit("t", b"2"))
                started = time.monotonic()
                raise BodyError
        assert time.monotonic() - started < 1.5
        with pytest.raises(KafkaTimeoutError, match="no transaction could be begun"):
            await producer.begin_transaction()
        for broker in range(3):
            await inner.start_broker(broker)
        transaction: Transaction | None = None
        with anyio.fail_after(10):
            while transaction is None:
                with contextlib.suppress(KafkaTimeoutError):
                    transaction = await producer.begin_transaction()
        assert all(delivery.exception() is not None for delivery in deliveries)
        await producer.send("t", b"3")
        await transaction.commit()
    assert await scene.committed("t", 1) == [b"3"]


async def test_with_version_2_an_abort_needs_nothing_but_the_coordinator() -> None:
    async with EmbeddedCluster(brokers=3, transaction_version=2) as cluster:
        await cluster.create_topic("t")
        coordinator = cluster.core.state.coordinator_of("t")
        assert coordinator is not None
        if cluster.leader("t") == coordinator.id:
            cluster.move_leader("t")
        leader = cluster.leader("t")
        async with quick(cluster, request_timeout_ms=20_000, delivery_timeout_ms=30_000) as producer:
            transaction = await producer.begin_transaction()
            await producer.send("t", b"1")
            with cluster.delay(3, broker=leader, api=ApiKey.PRODUCE):
                delivery = await producer.submit("t", b"2")
                await anyio.sleep(0.05)
                started = time.monotonic()
                await transaction.abort()
                assert time.monotonic() - started < 1
                assert isinstance(delivery.exception(), TransactionAbortedError)


async def test_leaders_that_add_no_partitions_by_themselves_have_them_added() -> None:
    async with EmbeddedCluster(
        brokers=3, partitions=1, transaction_version=2, max_versions={ApiKey.PRODUCE: 11}
    ) as cluster:
        await cluster.create_topic("t", 6)
        scene = Scene(Cluster("embedded", cluster), timeout_ms=150, noticed_after=0.3)
        async with quick(cluster, max_block_ms=5_000) as producer:
            for number in range(3):
                async with producer.transaction() as transaction:
                    for partition in range(6):
                        await producer.send("t", b"%d-%d" % (number, partition), partition=partition)
                    await transaction.send_offsets({TopicPartition("t", 0): number}, "g")
            async with producer.transaction() as transaction:
                await producer.send("t", b"aborted")
                await transaction.abort()
        assert len(await scene.committed("t", 18)) == 18
        assert cluster.committed_offsets("g") == {TopicPartition("t", 0): 2}


@pytest.mark.parametrize(("version", "api"), [(2, ApiKey.PRODUCE), (0, ApiKey.ADD_PARTITIONS_TO_TXN)])
async def test_a_record_that_may_not_be_written_says_so_in_either_version(version: int, api: ApiKey) -> None:
    async with EmbeddedCluster(brokers=3, partitions=1, transaction_version=version) as cluster:
        await cluster.create_topic("t")
        async with quick(cluster) as producer:
            with pytest.raises(AuthorizationError) as caught:
                async with producer.transaction():
                    cluster.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED, api=api)
                    await producer.send("t", b"denied")
            assert (caught.value.name, caught.value.abortable) == ("TOPIC_AUTHORIZATION_FAILED", True)
            assert not caught.value.possibly_written
            async with producer.transaction():
                await producer.send("t", b"next")


@pytest.mark.parametrize("code", [ErrorCode.UNKNOWN_PRODUCER_ID, ErrorCode.TRANSACTION_ABORTABLE])
async def test_a_commit_that_took_effect_is_not_told_to_be_undone(
    inner: EmbeddedCluster, scene: Scene, code: ErrorCode
) -> None:
    """1. The coordinator commits, its answer is lost. 2. The repetition is refused, and the abort that follows, too."""
    await inner.create_topic("t")
    pause = {"retry_backoff_ms": 300, "retry_backoff_max_ms": 300}  # in which the second fault is set
    async with quick(inner, max_block_ms=5_000, **pause) as producer:
        transaction = await producer.begin_transaction()
        await producer.send("t", b"v")
        lost = inner.lose_response_once(api=ApiKey.END_TXN)
        caught: list[KafkaError] = []

        async def commit() -> None:
            try:
                await transaction.commit()
            except KafkaError as error:
                caught.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit)
            await lost.wait_hit()
            inner.fail_next(code, api=ApiKey.END_TXN)
        (error,) = caught
        assert error.possibly_written
    assert await scene.committed("t", 1) == [b"v"]


async def test_a_start_without_a_coordinator_ends_within_max_block(inner: EmbeddedCluster) -> None:
    inner.fail_next(ErrorCode.COORDINATOR_NOT_AVAILABLE, times=None, api=ApiKey.FIND_COORDINATOR)
    started = time.monotonic()
    with pytest.raises(KafkaTimeoutError, match="transactional id was not initialised within"):
        await quick(inner).start()
    assert time.monotonic() - started < 2


async def test_a_start_that_is_refused_ends_at_once(inner: EmbeddedCluster) -> None:
    inner.fail_next(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, api=ApiKey.INIT_PRODUCER_ID)
    started = time.monotonic()
    with pytest.raises(Exception, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        await quick(inner, max_block_ms=20_000).start()
    assert time.monotonic() - started < 5


async def test_a_fatal_answer_to_commit_ends_every_call(inner: EmbeddedCluster) -> None:
    await inner.create_topic("t")
    async with quick(inner, max_block_ms=5_000) as producer:
        transaction = await producer.begin_transaction()
        await producer.send("t", b"1")
        inner.fail_next(ErrorCode.PRODUCER_FENCED, api=ApiKey.END_TXN)
        for call in (transaction.commit, transaction.abort, producer.begin_transaction):
            with pytest.raises(ProducerFencedError):
                await call()


async def test_a_producer_without_a_transactional_id_has_no_transactions(inner: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=inner.bootstrap_servers) as producer:
        with pytest.raises(IllegalStateError, match="need a transactional_id"):
            await producer.begin_transaction()
        with pytest.raises(IllegalStateError, match="need a transactional_id"):
            async with producer.transaction():
                pass
