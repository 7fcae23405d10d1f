"""What transactions promise, on any cluster: the modules that import these tests say which (fixture `scene`)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import (
    ConsumerGroupMetadata,
    Delivery,
    OffsetAndMetadata,
    Producer,
    ProducerRecord,
    TopicPartition,
)
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from aioproducer.errors import (
    BrokerError,
    IllegalStateError,
    KafkaError,
    ProducerFencedError,
    RecordTooLargeError,
    TransactionAbortableError,
    TransactionAbortedError,
)
from aioproducer.testing._request_client import asker, first_reachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.support import Cluster


@dataclass(frozen=True)
class Scene:
    """A cluster with one version of transactions.

    Attributes:
        cluster: where.
        timeout_ms: a transaction_timeout_ms that the cluster notices within `noticed_after` seconds.
    """

    cluster: Cluster
    timeout_ms: int
    noticed_after: float

    def producer(self, transactional_id: str | None = None, **settings: Any) -> Producer[bytes, bytes]:
        """A transactional producer."""
        return Producer(
            bootstrap_servers=self.cluster.bootstrap_servers,
            transactional_id=transactional_id or f"txn-{uuid.uuid4().hex[:12]}",
            **settings,
        )

    async def committed(self, topic: str, count: int) -> list[bytes | None]:
        """What a read_committed consumer sees, once it is so much, sorted; transactions end a little after commit."""
        with anyio.move_on_after(40):
            while len(await self.cluster.read(topic, "read_committed")) < count:  # noqa: ASYNC110 - the log is elsewhere
                await anyio.sleep(0.02)
        return sorted((r.value for r in await self.cluster.read(topic, "read_committed")), key=lambda v: v or b"")

    async def committed_offset(self, group: str, tp: TopicPartition) -> tuple[int, str | None]:
        """The group's committed offset for a partition and its metadata, once no transaction is pending."""
        host, port = await first_reachable(self.cluster.bootstrap_servers)
        async with asker(host, port) as broker:
            find = FindCoordinatorRequest(coordinator_keys=[group])
            (found,) = (await broker.ask(find, FindCoordinatorResponse)).coordinators
        request = OffsetFetchRequest(
            groups=[
                OffsetFetchRequestGroup(
                    group_id=group,
                    topics=[OffsetFetchRequestTopics(name=tp.topic, partition_indexes=[tp.partition])],
                )
            ],
            require_stable=True,
        )
        async with asker(found.host, found.port) as broker:
            with anyio.fail_after(40):
                while True:
                    (answer,) = (await broker.ask(request, OffsetFetchResponse)).groups
                    if not answer.error_code:
                        ((told,),) = [topic.partitions for topic in answer.topics]
                        if not told.error_code:
                            return told.committed_offset, told.metadata
                    await anyio.sleep(0.05)


class BodyError(Exception):
    """What the body of a block raises."""


async def test_committed_records_are_seen_and_aborted_ones_are_not(scene: Scene) -> None:
    topic = await scene.cluster.create_topic(3)
    async with scene.producer() as producer:
        async with producer.transaction():
            for number in range(6):
                await producer.send(topic, b"committed %d" % number, partition=number % 3)
        with pytest.raises(BodyError):
            async with producer.transaction():
                for number in range(6):
                    await producer.send(topic, b"aborted %d" % number, partition=number % 3)
                raise BodyError
        async with producer.transaction():
            await producer.send(topic, b"last", partition=1)
    assert await scene.committed(topic, 7) == [*(b"committed %d" % number for number in range(6)), b"last"]
    assert len(await scene.cluster.read(topic)) == 13


async def test_offsets_and_records_commit_or_vanish_together(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    group = f"g-{uuid.uuid4().hex}"
    async with scene.producer() as producer:
        async with producer.transaction() as transaction:
            await producer.send(topic, b"first")
            await transaction.send_offsets({TopicPartition(topic, 0): OffsetAndMetadata(42, "note", 3)}, group)
        assert await scene.committed_offset(group, TopicPartition(topic, 0)) == (42, "note")
        with pytest.raises(BodyError):
            async with producer.transaction() as transaction:
                await producer.send(topic, b"vanishes")
                await transaction.send_offsets({TopicPartition(topic, 0): 43}, ConsumerGroupMetadata(group))
                raise BodyError
        assert await scene.committed_offset(group, TopicPartition(topic, 0)) == (42, "note")
        async with producer.transaction() as transaction:  # offsets alone are a transaction too
            await transaction.send_offsets({TopicPartition(topic, 0): 44}, group)
        assert await scene.committed_offset(group, TopicPartition(topic, 0)) == (44, "")
    assert await scene.committed(topic, 1) == [b"first"]


async def test_offsets_of_a_member_that_the_group_does_not_know_fail_the_transaction(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer() as producer:
        transaction = await producer.begin_transaction()
        await producer.send(topic, b"1")
        if scene.cluster.kind == "embedded":  # which has no groups
            await transaction.abort()
            return
        group = ConsumerGroupMetadata(f"g-{uuid.uuid4().hex}", 5, "ghost")
        with pytest.raises(BrokerError, match=r"UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION") as caught:
            await transaction.send_offsets({TopicPartition(topic, 0): 1}, group)
        assert caught.value.abortable
        with pytest.raises(TransactionAbortedError) as aborted:
            await transaction.commit()
        assert aborted.value.__cause__ is not None
        async with producer.transaction():
            await producer.send(topic, b"2")
    assert await scene.committed(topic, 1) == [b"2"]


async def test_a_second_producer_fences_the_first_whose_every_call_says_so(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer("shared-" + topic) as first:
        transaction = await first.begin_transaction()
        await first.send(topic, b"of the first")
        async with scene.producer("shared-" + topic) as second:
            with pytest.raises(ProducerFencedError, match="has taken over"):
                await first.send(topic, b"of a zombie")
            calls: list[Callable[[], Awaitable[object]]] = [
                transaction.commit,
                lambda: first.send(topic, b"of a zombie"),
                lambda: first.submit(topic, b"of a zombie"),
                lambda: transaction.send_offsets({TopicPartition(topic, 0): 1}, "g"),
                transaction.abort,
                first.begin_transaction,
            ]
            for call in calls:
                with pytest.raises(ProducerFencedError, match="has taken over") as caught:
                    await call()
                assert caught.value.fatal
            with pytest.raises(ProducerFencedError):
                first.submit_nowait(topic, b"of a zombie")
            async with second.transaction():
                await second.send(topic, b"of the second")
    assert await scene.committed(topic, 1) == [b"of the second"]


async def test_an_idle_producer_is_fenced_too(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer("idle-" + topic) as first, scene.producer("idle-" + topic) as second:
        with pytest.raises(KafkaError) as caught:
            async with first.transaction():
                await first.send(topic, b"of a zombie")
        assert caught.value.fatal or caught.value.abortable
        with pytest.raises(ProducerFencedError):
            await first.begin_transaction()
        async with second.transaction():
            await second.send(topic, b"of the second")
    assert await scene.committed(topic, 1) == [b"of the second"]


async def test_a_transaction_that_outlives_its_timeout_is_aborted_and_the_next_one_works(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer(transaction_timeout_ms=scene.timeout_ms) as producer:
        transaction = await producer.begin_transaction()
        await producer.send(topic, b"in time")
        await anyio.sleep(scene.noticed_after)
        with pytest.raises(KafkaError) as caught:
            await producer.send(topic, b"too late")
        assert caught.value.abortable
        assert not caught.value.fatal
        with pytest.raises(TransactionAbortedError, match=f"longer than transaction_timeout_ms={scene.timeout_ms}"):
            await transaction.commit()
        async with producer.transaction():
            await producer.send(topic, b"next")
    assert await scene.committed(topic, 1) == [b"next"]


async def test_a_record_that_nobody_waits_for_and_that_fails_makes_commit_abort_and_raise(scene: Scene) -> None:
    topic = await scene.cluster.create_topic(config={"max.message.bytes": "500"})
    async with scene.producer() as producer:
        transaction = await producer.begin_transaction()
        await producer.send(topic, b"small")
        producer.submit_nowait(topic, b"x" * 2_000)
        with pytest.raises(TransactionAbortedError, match="nothing of it takes effect") as caught:
            await transaction.commit()
        assert isinstance(caught.value.__cause__, RecordTooLargeError)
        with pytest.raises(TransactionAbortedError):  # as often as it is asked
            await transaction.commit()
        await transaction.abort()
        async with producer.transaction():
            await producer.send(topic, b"again")
    assert await scene.committed(topic, 1) == [b"again"]


async def test_a_call_that_fails_makes_commit_abort_though_its_exception_was_swallowed(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer(max_request_size=2_000) as producer:
        with pytest.raises(TransactionAbortedError) as caught:
            async with producer.transaction():
                await producer.send(topic, b"fits")
                with pytest.raises(RecordTooLargeError):
                    await producer.send(topic, b"x" * 3_000)
        assert isinstance(caught.value.__cause__, RecordTooLargeError)
        async with producer.transaction():
            with pytest.raises(TypeError):  # a mistake in the call is no failure of the transaction
                await producer.send(topic, "text")  # type: ignore[call-overload]
            await producer.send(topic, b"fits")
    assert await scene.committed(topic, 1) == [b"fits"]


async def test_after_a_failure_sends_are_refused_until_the_abort(scene: Scene) -> None:
    topic = await scene.cluster.create_topic(config={"max.message.bytes": "500"})
    async with scene.producer() as producer:
        transaction = await producer.begin_transaction()
        with pytest.raises(RecordTooLargeError):
            await producer.send(topic, b"x" * 2_000)
        with pytest.raises(TransactionAbortableError, match="can only be aborted"):
            await producer.send(topic, b"small")
        with pytest.raises(TransactionAbortableError):
            await transaction.send_offsets({TopicPartition(topic, 0): 1}, "g")
        await transaction.abort()
        with pytest.raises(IllegalStateError, match="no transaction is open"):
            await producer.send(topic, b"small")


async def test_outside_of_a_transaction_nothing_is_sent(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer() as producer:
        with pytest.raises(IllegalStateError, match="only within a transaction"):
            await producer.send(topic, b"1")
        with pytest.raises(IllegalStateError, match="only within a transaction"):
            producer.submit_nowait(ProducerRecord(topic, b"2"))
        async with producer.transaction():
            await producer.send(topic, b"3")
        with pytest.raises(IllegalStateError, match="only within a transaction"):
            await producer.submit(topic, b"4")
        assert (await producer.partitions_for(topic)).partition_count == 1
    assert await scene.cluster.values(topic) == [b"3"]


async def test_cancelling_the_block_aborts_the_transaction(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    deliveries: list[Delivery] = []
    async with scene.producer(linger_ms=10_000) as producer:
        with anyio.CancelScope() as scope:
            async with producer.transaction():
                deliveries.append(await producer.submit(topic, b"lingers"))
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        (delivery,) = deliveries
        assert delivery.done()
        assert isinstance(delivery.exception(), TransactionAbortedError)
        async with producer.transaction():
            producer.submit_nowait(topic, b"next")  # commit ignores linger_ms
    assert await scene.committed(topic, 1) == [b"next"]


async def test_an_abort_drops_what_was_not_sent(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer(linger_ms=10_000) as producer:
        transaction = await producer.begin_transaction()
        deliveries = [await producer.submit(topic, b"lingers") for _ in range(5)]
        await transaction.abort()
        assert all(isinstance(delivery.exception(), TransactionAbortedError) for delivery in deliveries)
    assert await scene.cluster.values(topic) == []


async def test_the_calls_that_end_a_transaction_can_be_repeated_but_not_crossed(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer() as producer:
        committed = await producer.begin_transaction()
        with pytest.raises(IllegalStateError, match="only one can be open"):
            await producer.begin_transaction()
        await producer.send(topic, b"1")
        await committed.commit()
        await committed.commit()
        with pytest.raises(IllegalStateError, match="it is committed"):
            await committed.abort()
        with pytest.raises(IllegalStateError, match="COMMITTED"):
            await committed.send_offsets({TopicPartition(topic, 0): 1}, "g")
        aborted = await producer.begin_transaction()
        await producer.send(topic, b"2")
        await aborted.abort()
        await aborted.abort()
        with pytest.raises(TransactionAbortedError, match=r"abort\(\) was called"):
            await aborted.commit()
        async with producer.transaction():
            pass  # with nothing in it
        async with producer.transaction() as ended_inside:
            await producer.send(topic, b"3")
            await ended_inside.commit()
        async with producer.transaction() as aborted_inside:
            await producer.send(topic, b"4")
            await aborted_inside.abort()
        async with producer.transaction() as cancelled_inside:
            await producer.send(topic, b"5")
            with anyio.CancelScope() as scope:
                scope.cancel()
                await cancelled_inside.abort()  # goes on, and the end of the block waits for it
        assert repr(cancelled_inside) == "<Transaction ABORTED>"
    assert await scene.committed(topic, 2) == [b"1", b"3"]


async def test_records_of_all_tasks_belong_to_the_transaction_and_many_follow_each_other(scene: Scene) -> None:
    topic = await scene.cluster.create_topic(3)
    expected: list[bytes] = []
    async with scene.producer() as producer:
        for number in range(12):

            async def send(index: int, number: int = number) -> None:
                await producer.send(topic, b"%02d-%d" % (number, index), partition=index % 3)

            if number % 4 == 3:
                transaction = await producer.begin_transaction()
                await send(0)
                await transaction.abort()
                continue
            async with producer.transaction(), anyio.create_task_group() as tasks:
                for index in range(6):
                    tasks.start_soon(send, index)
            expected += [b"%02d-%d" % (number, index) for index in range(6)]
    assert await scene.committed(topic, len(expected)) == sorted(expected)
    for partition in range(3):
        values = [r.value for r in await scene.cluster.read(topic, "read_committed") if r.partition == partition]
        assert [value[:2] for value in values if value] == sorted(value[:2] for value in values if value)


async def test_leaving_the_producer_aborts_what_is_open(scene: Scene) -> None:
    topic = await scene.cluster.create_topic()
    async with scene.producer("left-" + topic) as producer:
        await producer.begin_transaction()
        await producer.send(topic, b"never committed")
    async with scene.producer("left-" + topic) as producer, producer.transaction():
        await producer.send(topic, b"next")
    assert await scene.committed(topic, 1) == [b"next"]
