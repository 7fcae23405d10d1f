"""_net/task_channel.py: calls instead of tasks, over any stream of anyio."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import ByteStream

from aioproducer._backend import Channel
from aioproducer._net.task_channel import TaskChannel


class Pipe:
    """A stream whose ends the test holds. `gate`: while it is closed, the socket takes nothing."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.gate = anyio.Event()
        self.error: Exception | None = None
        self._put, self._got = anyio.create_memory_object_stream[bytes | Exception](10)

    def put(self, item: bytes | Exception) -> None:
        self._put.send_nowait(item)

    async def send(self, item: bytes, /) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(item)

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        item = await self._got.receive()
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self._put.close()
        self._got.close()


class Receiver:
    """Notes what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[bytes | str] = []
        self.error = error

    def on_bytes(self, data: bytes) -> None:
        self.told.append(data)
        if self.error is not None:
            raise self.error

    def on_writable(self) -> None:
        self.told.append("writable")


async def test_what_is_written_is_sent_in_order_and_told_of_when_all_is_sent() -> None:
    pipe, receiver = Pipe(), Receiver()
    channel = TaskChannel(pipe)
    async with anyio.create_task_group() as tasks:
        assert not channel.write(b"before it is served")
        tasks.start_soon(channel.serve, receiver)
        assert not channel.write(b"2")
        await anyio.wait_all_tasks_blocked()
        assert receiver.told == []
        pipe.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert pipe.sent == [b"before it is served", b"2"]
        assert receiver.told == ["writable"]
        assert not channel.write(b"3")
        await anyio.wait_all_tasks_blocked()
        assert pipe.sent[2:] == [b"3"]
        assert receiver.told == ["writable"] * 2
        tasks.cancel_scope.cancel()
    await pipe.aclose()


async def test_what_comes_is_handed_over_until_the_end_which_is_raised() -> None:
    pipe, receiver = Pipe(), Receiver()
    for item in (b"a", b"b", anyio.EndOfStream()):
        pipe.put(item)
    with pytest.raises(anyio.EndOfStream):
        await TaskChannel(pipe).serve(receiver)
    assert receiver.told == [b"a", b"b"]
    await pipe.aclose()


@pytest.mark.parametrize("where", ["receiver", "send"])
async def test_an_error_of_either_half_ends_both(where: str) -> None:
    pipe = Pipe()
    receiver = Receiver(ZeroDivisionError() if where == "receiver" else None)
    channel = TaskChannel(pipe)
    if where == "receiver":
        pipe.put(b"x")
    else:
        pipe.error = ZeroDivisionError()
        pipe.gate.set()
        channel.write(b"x")
    with pytest.raises(ZeroDivisionError), anyio.fail_after(2):
        await channel.serve(receiver)
    await pipe.aclose()


async def test_a_stream_of_anyio_is_no_channel_and_this_is_one() -> None:
    pipe = Pipe()
    assert isinstance(TaskChannel(pipe), Channel)
    assert not hasattr(ByteStream, "serve")
    await pipe.aclose()
