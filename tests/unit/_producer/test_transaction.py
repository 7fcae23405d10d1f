"""Transaction and its block, on a cluster in memory: what each call does, refuses and says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from aioproducer import IllegalStateError, OffsetAndMetadata, Producer, TopicPartition
from aioproducer.errors import ProducerClosedError, RecordTooLargeError, TransactionAbortedError
from aioproducer.testing._assertions import records_of
from tests.simulation_producer.network import MemoryCluster

Test = Callable[[Producer[bytes, bytes], MemoryCluster], Awaitable[None]]
OFFSETS = {TopicPartition("orders", 0): OffsetAndMetadata(42)}


def played(test: Test, **settings: Any) -> None:
    """Run a test with a producer that has a transactional id, in virtual time."""

    async def main() -> None:
        cluster = MemoryCluster()
        cluster.core.state.create_topic("orders")
        async with cluster.running():
            producer = Producer[bytes, bytes](
                bootstrap_servers=cluster.bootstrap_servers, connect=cluster.connect, transactional_id="t", **settings
            )
            async with producer:
                await test(producer, cluster)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def committed(cluster: MemoryCluster) -> list[bytes | None]:
    """What a reader of committed data sees."""
    return [record.value for record in records_of(cluster.core.state, "orders", "read_committed")]


def test_a_transaction_shows_how_it_has_ended() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        del cluster
        transaction = await producer.begin_transaction()
        assert repr(transaction) == "<Transaction not over>"
        await transaction.commit()
        assert repr(transaction) == "<Transaction COMMITTED>"
        transaction = await producer.begin_transaction()
        await transaction.abort()
        assert repr(transaction) == "<Transaction ABORTED>"

    played(test)


def test_the_end_can_be_asked_for_again_and_not_crossed() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        transaction = await producer.begin_transaction()
        await producer.send("orders", b"v")
        await transaction.commit()
        await transaction.commit()
        with pytest.raises(IllegalStateError, match="it is committed"):
            await transaction.abort()
        assert committed(cluster) == [b"v"]
        another = await producer.begin_transaction()
        await another.abort()
        await another.abort()
        with pytest.raises(TransactionAbortedError, match=r"abort\(\) was called"):
            await another.commit()

    played(test)


def test_a_call_that_waits_lets_others_run_also_when_it_is_over_at_once() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        del cluster
        ran: list[int] = []

        async def other() -> None:
            ran.append(1)

        transaction = await producer.begin_transaction()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            for _ in range(2):  # trio runs what can run in any order
                await transaction.send_offsets({}, "group")
            assert ran

    played(test)


def test_offsets_that_are_wrong_are_refused_and_do_the_transaction_no_harm() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        async with producer.transaction() as transaction:
            with pytest.raises(TypeError):
                await transaction.send_offsets({"orders": 1}, "group")
            await transaction.send_offsets(OFFSETS, "group")
        (position,) = cluster.core.state.groups.offsets("group").values()
        assert position.offset == 42

    played(test)


def test_a_block_is_entered_once() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        del cluster
        block = producer.transaction()
        async with block:
            pass
        with pytest.raises(IllegalStateError, match="entered once"):
            await block.__aenter__()

    played(test)


def test_a_block_that_fails_aborts_and_lets_the_exception_through() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        with pytest.raises(LookupError):
            async with producer.transaction():
                await producer.send("orders", b"v")
                raise LookupError
        assert committed(cluster) == []
        async with producer.transaction():
            await producer.send("orders", b"w")
        assert committed(cluster) == [b"w"]

    played(test)


@pytest.mark.parametrize("is_commit", [True, False])
def test_a_body_that_ends_its_transaction_itself_and_fails_is_left_quietly(
    is_commit: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        with pytest.raises(LookupError):
            async with producer.transaction() as transaction:
                await producer.send("orders", b"v")
                await (transaction.commit() if is_commit else transaction.abort())
                raise LookupError
        assert committed(cluster) == ([b"v"] if is_commit else [])

    played(test)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_body_that_aborts_its_transaction_is_left_quietly_and_one_that_only_saw_it_fail_is_not() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        async with producer.transaction() as transaction:
            await producer.send("orders", b"v")
            await transaction.abort()
        with pytest.raises(TransactionAbortedError):
            async with producer.transaction() as transaction:
                with pytest.raises(RecordTooLargeError):
                    await producer.send("orders", bytes(2_000_000))
        async with producer.transaction() as transaction:
            with pytest.raises(RecordTooLargeError):
                await producer.send("orders", bytes(2_000_000))
            await transaction.abort()
        assert committed(cluster) == []

    played(test)


def test_a_producer_that_is_closed_in_a_block_aborts_it_and_says_so() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        with pytest.raises(ProducerClosedError):
            async with producer.transaction():
                await producer.send("orders", b"v")
                await producer.close()
        assert committed(cluster) == []
        await producer.start()

    played(test)


def test_a_block_whose_abort_finds_nobody_is_left_within_close_timeout(caplog: pytest.LogCaptureFixture) -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        began = 0.0
        with pytest.raises(LookupError):
            async with producer.transaction():
                await producer.send("orders", b"v")
                cluster.hold()
                began = anyio.current_time()
                raise LookupError
        assert anyio.current_time() - began == pytest.approx(0.5)
        cluster.release()
        async with producer.transaction():  # waits for that abort
            await producer.send("orders", b"w")
        assert committed(cluster) == [b"w"]

    played(test, close_timeout_ms=500)
    assert any("before its block was left: close_timeout_ms is over" in record.message for record in caplog.records)


def test_a_transaction_is_over_when_its_producer_has_started_again() -> None:
    async def test(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
        del cluster
        transaction = await producer.begin_transaction()
        await producer.close()
        await producer.start()
        with pytest.raises(IllegalStateError, match="closed and started again"):
            await transaction.commit()
        async with producer.transaction():
            await producer.send("orders", b"v")

    played(test)
