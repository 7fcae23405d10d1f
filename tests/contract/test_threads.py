"""Sending from other threads than the producer's."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from aioproducer import (
    IllegalStateError,
    Producer,
    ProducerClosedError,
    ProducerRecord,
    RecordTooLargeError,
    SendAllError,
)
from aioproducer.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from aioproducer._producer.threads import ThreadEntry
    from aioproducer.testing import EmbeddedCluster
    from tests.contract.support import Cluster


@pytest.mark.real_subset
async def test_a_thread_sends_and_blocks_until_it_is_done(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def work(entry: ThreadEntry[bytes, bytes]) -> list[int]:
        first = entry.send(topic, b"0", key=b"k", headers={"h": b"1"}, timestamp_ms=3)
        futures = [entry.submit(topic, b"%d" % number) for number in range(1, 4)]
        entry.flush(timeout=10)
        assert all(future.done() for future in futures)
        rest = entry.send_all([ProducerRecord(topic, b"%d" % number) for number in range(4, 6)])
        return [each.offset for each in (first, *(future.result() for future in futures), *rest)]

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert await anyio.to_thread.run_sync(work, producer.thread_entry()) == list(range(6))
    assert await cluster.values(topic) == [b"%d" % number for number in range(6)]


async def test_any_thread_may_use_it_and_each_keeps_its_order(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        entry = producer.thread_entry()

        def work(name: bytes) -> None:
            for number in range(20):
                entry.submit(topic, b"%s%02d" % (name, number))

        threads = [threading.Thread(target=work, args=(name,)) for name in (b"a", b"b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
    values = [value or b"" for value in await cluster.values(topic)]
    for name in (b"a", b"b"):
        assert [value for value in values if value.startswith(name)] == [b"%s%02d" % (name, n) for n in range(20)]


async def test_errors_reach_the_thread(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")

    def work(entry: ThreadEntry[bytes, bytes]) -> None:
        with pytest.raises(RecordTooLargeError):
            entry.send("t", bytes(2_000_000))
        with pytest.raises(RecordTooLargeError):
            entry.submit("t", bytes(2_000_000))
        with pytest.raises(SendAllError):
            entry.send_all([ProducerRecord("t", bytes(2_000_000))])

    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        entry = producer.thread_entry()
        await anyio.to_thread.run_sync(work, entry)
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        future = await anyio.to_thread.run_sync(partial(entry.submit, "t", b"v"))
        await producer.flush()
        assert isinstance(future.exception(timeout=0), KafkaError)
        assert not future.cancel()


async def test_in_the_loop_itself_it_is_refused(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        entry = producer.thread_entry()
        with pytest.raises(IllegalStateError, match="await the producer's own calls"):
            entry.send("t", b"v")
    with pytest.raises(ProducerClosedError):
        await anyio.to_thread.run_sync(partial(entry.send, "t", b"v"))


def test_after_the_loop_has_ended_it_is_refused() -> None:
    from aioproducer.testing import EmbeddedCluster

    async def main() -> ThreadEntry[bytes, bytes]:
        async with (
            EmbeddedCluster() as cluster,
            Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers) as producer,
        ):
            return producer.thread_entry()

    for backend in ("asyncio", "trio"):
        entry = anyio.run(main, backend=backend)
        with pytest.raises(ProducerClosedError, match="event loop of the producer has ended"):
            entry.send("t", b"v")
