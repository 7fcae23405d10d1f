"""`Task.cancel()` goes through the shields of anyio: while a transaction block aborts, once and again (asyncio)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from aioproducer import Producer, Transaction
from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.contract.support import producer_tasks, settled

if TYPE_CHECKING:
    from aioproducer.testing._faults import FaultHandle

SECONDS: Final = 5
Body = Callable[[Producer[bytes, bytes], asyncio.Event], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Trio has no such cancellation."""
    return "asyncio", {}


class BodyError(Exception):
    """What the body of a block raises."""


async def fails(producer: Producer[bytes, bytes], ready: asyncio.Event) -> None:
    """Have the block abort because of an exception."""
    await producer.send("orders", b"not to be seen")
    ready.set()
    raise BodyError


async def waits(producer: Producer[bytes, bytes], ready: asyncio.Event) -> None:
    """Have the block abort because of a cancellation."""
    await producer.send("orders", b"not to be seen")
    ready.set()
    await asyncio.Event().wait()


async def under_way(handle: FaultHandle) -> None:
    """Wait until the abort is with the coordinator, which takes its time."""
    await handle.wait_hit(timeout=SECONDS)
    await settled()


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("body", [fails, waits])
@pytest.mark.parametrize("is_producer_left", [False, True])
async def test_nothing_hangs_and_the_abort_goes_on(body: Body, times: int, is_producer_left: bool) -> None:
    async with EmbeddedCluster() as cluster:
        settings: dict[str, Any] = {"bootstrap_servers": cluster.bootstrap_servers, "transactional_id": "x"}
        ready = asyncio.Event()
        producer: Producer[bytes, bytes] = Producer(**settings)

        async def block() -> None:
            async with producer.transaction():
                await body(producer, ready)

        async def both_blocks() -> None:
            async with producer:
                await block()

        async with asyncio.timeout(SECONDS):
            if not is_producer_left:
                await producer.start()
            with cluster.delay(0.2, api=ApiKey.END_TXN) as slow:
                task = asyncio.create_task(both_blocks() if is_producer_left else block())
                await ready.wait()
                if body is waits:
                    task.cancel()
                await under_way(slow)
                assert not task.done()
                for _ in range(times):
                    task.cancel()
                    await settled()
                with pytest.raises(asyncio.CancelledError):
                    await task
            if is_producer_left:
                await producer.start()
            async with producer.transaction():
                await producer.send("orders", b"seen")
            await producer.close()
        assert [record.value for record in cluster.records("orders", isolation="read_committed")] == [b"seen"]
    assert not producer_tasks()


@pytest.mark.parametrize("times", [1, 2])
async def test_commit_that_is_cancelled_again_while_it_is_settled_can_be_asked_for_its_outcome(times: int) -> None:
    async with EmbeddedCluster() as cluster, asyncio.timeout(SECONDS):
        transactions: list[Transaction] = []
        producer: Producer[bytes, bytes] = Producer(
            bootstrap_servers=cluster.bootstrap_servers, transactional_id="x", retry_backoff_ms=10
        )
        await producer.start()

        async def block() -> None:
            async with producer.transaction() as transaction:
                transactions.append(transaction)
                await producer.send("orders", b"committed")

        with cluster.fail_next(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, api=ApiKey.END_TXN, times=20) as busy:
            task = asyncio.create_task(block())
            await under_way(busy)
            for _ in range(1 + times):
                task.cancel()
                await settled()
            with pytest.raises(asyncio.CancelledError):
                await task
        await transactions[0].commit()
        await producer.close()
        assert [record.value for record in cluster.records("orders", isolation="read_committed")] == [b"committed"]
    assert not producer_tasks()
