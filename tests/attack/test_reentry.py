"""Code that is run in the middle of a call or a poll comes back to the same producer: from the `__del__` of what a
garbage collection finds, from a signal handler, from a handler of the producer's own log lines, from a partitioner.

What is accepted there is a record as any other: in the log once, in the order of the calls, acknowledged with its own
offset. Everything but submit_nowait says at once why it cannot be had there.
"""

from __future__ import annotations

import gc
import itertools
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import Delivery, IllegalStateError, Producer, ProducerRecord
from aioproducer.errors import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.attack.law import LOOPS
from tests.contract.support import Cluster

if TYPE_CHECKING:
    from aioproducer.testing import LogRecord, RealCluster

TOPIC: Final = "t"
RECORDS: Final = 400


class Story:
    """The records of one producer, in the order of their calls, by who called: the program, or what interrupts it."""

    def __init__(self, producer: Producer[bytes, bytes], topic: str) -> None:
        self.producer = producer
        self.topic = topic
        self.accepted: dict[str, list[tuple[bytes, Delivery]]] = {"outer": [], "inner": []}
        self.refused: list[BaseException] = []
        self.is_interrupted = False
        self.before_each: Callable[[], object] = object
        self.bulk: list[tuple[bytes | None, int]] = []
        self._numbers = itertools.count()

    def value(self, who: str) -> bytes:
        return b"%s %06d %s" % (who.encode(), next(self._numbers), b"x" * 50)

    def interrupt(self, *_: object) -> None:
        """What runs in the middle of something else: send one record, if the producer takes it."""
        if self.is_interrupted:  # by one of our own, whose place among the others would not be known
            return
        self.is_interrupted = True
        value = self.value("inner")
        try:
            self.accepted["inner"].append((value, self.producer.submit_nowait(self.topic, value)))
        except BaseException as error:
            self.refused.append(error)
        finally:
            self.is_interrupted = False

    async def tell(self) -> None:
        """Send records in every way that there is."""
        submit = self.producer.submit_nowait
        for number in range(RECORDS):
            value = self.value("outer")
            self.before_each()
            match number % 8:
                case 0:
                    delivery = submit(self.topic, value, headers=[("h", b"%d" % number)])
                case 1:
                    delivery = submit(self.topic, value, key=b"%d" % number)
                case 2:
                    delivery = submit(self.topic, value, partition=0)
                case 3:
                    delivery = await self.producer.submit(self.topic, value)
                case 4:
                    delivery = submit(ProducerRecord(self.topic, value))
                case 5:
                    delivery = await self.producer.topic(self.topic).submit(value)
                case _:
                    delivery = submit(self.topic, value)
            self.accepted["outer"].append((value, delivery))
            if number % 100 == 99:
                await self.producer.flush()
        records = [ProducerRecord[bytes, bytes](self.topic, self.value("outer")) for _ in range(50)]
        results = await self.producer.send_all(records)
        self.bulk += [(record.value, result.offset) for record, result in zip(records, results, strict=True)]

    async def check(self, log: list[LogRecord]) -> None:
        """Every record that was accepted is in the log once, in its order, where its Delivery says."""
        offsets = {
            who: [(value, (await delivery).offset) for value, delivery in accepted]
            for who, accepted in self.accepted.items()
        }
        offsets["bulk"] = [(value or b"", offset) for value, offset in self.bulk]
        there = {record.offset: record.value for record in log}
        told = [each for part in offsets.values() for each in part]
        assert len(there) == len(told)
        assert [(value, offset) for value, offset in told if there[offset] != value] == []
        for part in offsets.values():
            assert [offset for _, offset in part] == sorted(offset for _, offset in part)


class Dropped:
    """Garbage that is in a circle, so that only a collection finds it, and then it acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.circle = self
        self.act = act

    def __del__(self) -> None:
        self.act()


@contextmanager
def collections_all_the_time(story: Story) -> Generator[None]:
    """Every few objects that are made, what was dropped is found, and sends."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at each time
    gc.set_threshold(5, 1000, 1000)
    story.before_each = lambda: Dropped(story.interrupt)
    try:
        yield
    finally:
        story.before_each = object
        gc.set_threshold(*before)
        gc.unfreeze()
        gc.collect()


@contextmanager
def signals_all_the_time(story: Story) -> Generator[None]:
    """A signal handler sends, thousands of times a second. Not at an alarm, which a test's time limit has."""

    def send_signals() -> None:
        while not is_over.wait(0.0002):
            signal.pthread_kill(receiver, signal.SIGUSR1)

    is_over = threading.Event()
    receiver = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, story.interrupt)
    thread = threading.Thread(target=send_signals)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(interval)
        signal.signal(signal.SIGUSR1, before)


INTERRUPTIONS: Final[dict[str, Callable[[Story], AbstractContextManager[None]]]] = {
    "__del__": collections_all_the_time,
    "signal": signals_all_the_time,
}


async def interrupted(how: str, cluster: Cluster, topic: str) -> None:
    """Tell the story with interruptions."""
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=2000) as producer:
        await producer.partitions_for(topic)
        story = Story(producer, topic)
        with INTERRUPTIONS[how](story):
            for _ in range(20):
                await story.tell()
                if len(story.accepted["inner"]) > 50:
                    break
        await producer.flush()
        assert story.refused == []
        assert len(story.accepted["inner"]) > 50, "it was hardly interrupted"
        await story.check(await cluster.read(topic))


def in_a_loop(loop: str, main: Callable[[EmbeddedCluster], Awaitable[None]]) -> None:
    """Run `main` with a cluster."""

    async def run() -> None:
        async with EmbeddedCluster() as cluster:
            await cluster.create_topic(TOPIC, 1)
            with anyio.fail_after(20):
                await main(cluster)

    backend, options = LOOPS[loop]
    anyio.run(run, backend=backend, backend_options=options)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_what_an_interruption_submits_is_a_record_as_any_other(how: str, loop: str) -> None:
    in_a_loop(loop, lambda cluster: interrupted(how, Cluster("embedded", cluster), TOPIC))


@pytest.mark.kafka
@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_so_it_is_with_a_real_broker(how: str, real_kafka: RealCluster) -> None:
    async def main() -> None:
        cluster = Cluster("real", real_kafka)
        await interrupted(how, cluster, await cluster.create_topic())

    anyio.run(main)


class LogToKafka(logging.Handler):
    """Sends every line that the producer itself logs."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.DEBUG)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        self._story.interrupt()


@pytest.mark.parametrize("loop", LOOPS)
def test_the_producers_own_log_lines_can_go_to_kafka(loop: str) -> None:
    async def main(cluster: EmbeddedCluster) -> None:
        logger = logging.getLogger("aioproducer")
        level = logger.level
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, reconnect_backoff_ms=10) as producer:
            await producer.partitions_for(TOPIC)
            story = Story(producer, TOPIC)
            handler = LogToKafka(story)
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
            try:
                for _ in range(3):  # the loss of a connection, and its return, are logged in the middle of a poll
                    await producer.send(TOPIC, story.value("other"))
                    cluster.drop_connections()
                with cluster.fail_next(ErrorCode.NOT_LEADER_OR_FOLLOWER):
                    await producer.send(TOPIC, story.value("other"))
            finally:
                logger.removeHandler(handler)
                logger.setLevel(level)
            await producer.flush()
            assert story.refused == []
            inner = [(value, (await delivery).offset) for value, delivery in story.accepted["inner"]]
            assert len(inner) >= 3
            there = {record.offset: record.value for record in cluster.records(TOPIC)}
            assert [value for value, offset in inner if there[offset] != value] == []
            assert len(there) == len(inner) + 4

    in_a_loop(loop, main)


def driven(call: Coroutine[Any, Any, object]) -> BaseException | None:
    """Run the first step of a coroutine here and now, as eager tasks do; return what it raises."""
    try:
        call.send(None)
    except BaseException as error:
        return error
    finally:
        call.close()
    return None


@pytest.mark.parametrize("loop", LOOPS)
def test_from_within_all_but_submit_nowait_is_refused_with_the_reason(loop: str) -> None:
    raised: dict[str, BaseException | None] = {}
    producers: list[Producer[bytes, bytes]] = []
    inner: list[Delivery] = []

    def partitioner(view: object, key: bytes | None, value: bytes | None) -> int:
        del view, key
        producer = producers[0]
        if value == b"outer":
            inner.append(producer.submit_nowait(TOPIC, b"inner"))
            raised["send"] = driven(producer.send(TOPIC, b"x"))
            raised["submit"] = driven(producer.submit(TOPIC, b"x"))
            raised["flush"] = driven(producer.flush())
            raised["partitions_for"] = driven(producer.partitions_for("other"))
            raised["close"] = driven(producer.close())
            raised["close(0)"] = driven(producer.close(timeout=0))
        return 0

    async def main(cluster: EmbeddedCluster) -> None:
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=partitioner) as producer:
            producers.append(producer)
            await producer.partitions_for(TOPIC)
            outer = await producer.send(TOPIC, b"outer")
            assert {name: type(error) for name, error in raised.items()} == dict.fromkeys(raised, IllegalStateError)
            assert all("submit_nowait" in str(error) for error in raised.values())
            assert (outer.offset, (await inner[0]).offset) == (0, 1), "the call that came first is the first"
            assert (await producer.send(TOPIC, b"after")).offset == 2
        assert [record.value for record in cluster.records(TOPIC)] == [b"outer", b"inner", b"after"]

    in_a_loop(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_waiting_call_that_is_dropped_in_the_middle_of_another_leaves_the_queue(loop: str) -> None:
    waiting: list[Coroutine[Any, Any, object]] = []

    def partitioner(view: object, key: bytes | None, value: bytes | None) -> int:
        del view, key, value
        while waiting:
            waiting.pop().close()  # as the garbage collection does with a coroutine that nobody has any more
        return 0

    async def main(cluster: EmbeddedCluster) -> None:
        async with Producer(
            bootstrap_servers=cluster.bootstrap_servers, partitioner=partitioner, allow_auto_create_topics=False
        ) as producer:
            await producer.partitions_for(TOPIC)
            call = producer.send("absent", b"x")
            call.send(None)
            waiting.append(call)
            await producer.send(TOPIC, b"outer")
            await producer.flush(timeout=5)
            assert producer.statistics()["waiting-threads"] == 0
            total = producer.statistics()["buffer-total-bytes"]
            assert producer.statistics()["buffer-available-bytes"] == total

    in_a_loop(loop, main)
