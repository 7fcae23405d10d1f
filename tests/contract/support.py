"""What the contract tests are made of: a cluster of either kind, a network that can be stopped, and small checks."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from aioproducer._core.cluster.metadata_updater import MetadataUpdater
from aioproducer._wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer.errors._from_code import error_for
from aioproducer.testing._log_reader import Isolation, LogRecord, read_topic
from aioproducer.testing._request_client import asker, first_reachable

if TYPE_CHECKING:
    import pytest

DATA = Path(__file__).parent.parent / "data"


class HasBootstrapServers(Protocol):
    """An embedded cluster, a real one, or one that somebody else runs."""

    @property
    def bootstrap_servers(self) -> str | list[str]:
        """Where to connect to."""
        ...


@dataclass(frozen=True)
class Cluster:
    """A cluster under test; everything that is asked of it goes through Kafka's protocol."""

    kind: Literal["embedded", "real"]
    inner: HasBootstrapServers

    @property
    def bootstrap_servers(self) -> str | list[str]:
        """Where to connect to."""
        return self.inner.bootstrap_servers

    async def create_topic(
        self, partitions: int = 1, config: Mapping[str, str] | None = None, name: str | None = None
    ) -> str:
        """Create a topic that keeps old records, and wait until each partition has a leader; return its name."""
        topic = name or new_topic_name()
        settings = {"retention.ms": "-1", **(config or {})}
        host, port = await first_reachable(self.bootstrap_servers)
        async with asker(host, port) as broker:
            answer = await broker.ask(
                CreateTopicsRequest(
                    topics=[
                        CreatableTopic(
                            name=topic,
                            num_partitions=partitions,
                            replication_factor=-1,
                            configs=[CreatableTopicConfig(name=key, value=value) for key, value in settings.items()],
                        )
                    ]
                ),
                CreateTopicsResponse,
            )
            (told,) = answer.topics
            if told.error_code:
                raise error_for(told.error_code, message=told.error_message, api="CreateTopics", topic=topic)
            request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
            with anyio.fail_after(20):
                while True:
                    (found,) = (await broker.ask(request, MetadataResponse)).topics
                    if not found.error_code and all(each.leader_id >= 0 for each in found.partitions):
                        return topic
                    await anyio.sleep(0.02)

    async def read(self, topic: str, isolation: Isolation = "read_uncommitted") -> list[LogRecord]:
        """Everything in the topic, by partition and offset."""
        return await read_topic(self.bootstrap_servers, topic, isolation=isolation)

    async def values(self, topic: str) -> list[bytes | None]:
        """The values in the topic, by partition and offset."""
        return [record.value for record in await self.read(topic)]


def new_topic_name(prefix: str = "contract") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


# ── a network that can be stopped ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Network:
    """A connector for producers whose connections can be held up, broken, and counted.

    Attributes:
        attempts: how many connections were asked for.
        open_count: how many are open.
        bug: raised from the next sends; what no network does, and no stream should.
    """

    attempts: int = 0
    open_count: int = 0
    is_held: bool = False
    bug: Exception | None = None
    _streams: set[_Stream] = field(default_factory=lambda: set[_Stream]())
    _released: anyio.Event | None = None

    async def connect(self, host: str, port: int) -> ByteStream:
        """The `connect` of a Producer."""
        self.attempts += 1
        stream = _Stream(self, await anyio.connect_tcp(host, port))
        self._streams.add(stream)
        self.open_count += 1
        return stream

    def hold(self) -> None:
        """Let no byte through any more, in either direction: the brokers seem to have fallen silent."""
        self.is_held = True
        self._released = anyio.Event()

    def release(self) -> None:
        """Let bytes through again."""
        self.is_held = False
        if self._released is not None:
            self._released.set()

    async def cut(self) -> None:
        """Break every connection."""
        for stream in list(self._streams):
            await anyio.aclose_forcefully(stream.inner)

    async def passage(self) -> None:
        """Return when bytes may pass."""
        while self.is_held and self._released is not None:
            await self._released.wait()

    def forget(self, stream: _Stream) -> None:
        """A connection is closed."""
        if stream in self._streams:
            self._streams.remove(stream)
            self.open_count -= 1


class _Stream(ByteStream):
    def __init__(self, network: Network, inner: ByteStream) -> None:
        self.inner = inner
        self._network = network

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await self.inner.receive(max_bytes)
        await self._network.passage()
        return data

    async def send(self, item: bytes) -> None:
        await self._network.passage()
        if self._network.bug is not None:
            raise self._network.bug
        await self.inner.send(item)

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        self._network.forget(self)
        await self.inner.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return cast("Any", self.inner).extra_attributes  # type: ignore[no-any-return]  # a Mapping of anything


@contextlib.asynccontextmanager
async def closed_port() -> AsyncGenerator[int, None]:
    """A port of the loopback interface where nobody listens, reserved so that nobody else gets it."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# ── small checks ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until it is true, at most so long."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - any condition; nothing tells when it changes
            await anyio.sleep(0.005)


async def wait_for_records(cluster: Cluster, topic: str, count: int, seconds: float = 5.0) -> None:
    """Wait until the topic holds so many records."""
    with anyio.fail_after(seconds):
        while len(await cluster.read(topic)) < count:  # noqa: ASYNC110 - the log is elsewhere
            await anyio.sleep(0.02)


async def settled(passes: int = 20) -> None:
    """Let every task that can run do so for a few passes of the loop."""
    for _ in range(passes):
        await anyio.lowlevel.checkpoint()


async def gather(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Start the calls in this order, on every loop, and return their results in it."""
    results: list[Any] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        results[index] = await call()

    async with anyio.create_task_group() as tasks:
        for index, call in enumerate(calls):
            tasks.start_soon(run, index, call)
            await settled(2)  # trio starts tasks in no fixed order
    return results


def plant_a_bug(patch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have each poll of the core raise the error from now on, in a module that no form compiles."""

    def raising(updater: MetadataUpdater, now: float) -> bool:
        raise error

    patch.setattr(MetadataUpdater, "is_due", raising)


def producer_tasks() -> list[str]:
    """Names of tasks of producers that are alive on the running loop."""
    # The host task has that name; those inside are named after their functions, as the calls of a test are, too.
    inside = ("aioproducer._runtime.", "aioproducer._net.", "aioproducer._backend.")
    return [name for name in _task_names() if name == "aioproducer" or name.startswith(inside)]


def _task_names() -> Iterator[str]:
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            root = trio.lowlevel.current_root_task()
            stack = [root] if root is not None else []
            while stack:
                task = stack.pop()
                yield task.name
                for nursery in task.child_nurseries:
                    stack.extend(nursery.child_tasks)
            return
    import asyncio

    for each in asyncio.all_tasks():
        yield each.get_name()


def open_descriptors() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def murmur2_vectors(partitions: int) -> list[tuple[bytes, int]]:
    """(key, partition) as Java's built-in partitioner places it; made with another implementation."""
    vectors: Sequence[Mapping[str, Any]] = json.loads((DATA / "partitioner_vectors.json").read_text())["vectors"]
    return [(bytes.fromhex(each["key_hex"]), each["murmur2"]) for each in vectors if each["partitions"] == partitions]
