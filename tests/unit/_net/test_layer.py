"""_net/layer.py: a stream through a layer, over a channel that takes what the test lets it take."""

from __future__ import annotations

import anyio
import pytest

from aioproducer._backend import Channel, Receiver
from aioproducer._net.layer import SLICE_BYTES, LayeredStream
from aioproducer.errors import AuthenticationError, KafkaConnectionError
from tests.unit._net.mask import ANSWER, DATA, GOODBYE, HELLO, QUESTION, REFUSAL, Mask, record


class Wire:
    """A stream and channel whose other end is the test."""

    def __init__(self, *received: bytes) -> None:
        self.sent: list[bytes] = []
        self.received = list(received)
        self.takes = True
        self.is_closed = False
        self.receiver: Receiver | None = None

    async def send(self, item: bytes, /) -> None:
        self.sent.append(item)

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        if not self.received:
            raise anyio.EndOfStream
        return self.received.pop(0)

    async def aclose(self) -> None:
        self.is_closed = True

    def write(self, data: bytes) -> bool:
        self.sent.append(data)
        return self.takes

    async def serve(self, receiver: Receiver) -> None:
        self.receiver = receiver


class Upper:
    """Notes what it is handed."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def on_bytes(self, data: bytes) -> None:
        self.told.append(data)

    def on_writable(self) -> None:
        self.told.append("writable")


async def opened(*received: bytes) -> tuple[Wire, Mask, LayeredStream]:
    wire, mask = Wire(record(HELLO), *received), Mask()
    stream = LayeredStream(wire, mask)
    await stream.open()
    assert wire.sent.pop() == record(HELLO)
    return wire, mask, stream


async def test_it_is_a_stream_and_a_channel() -> None:
    wire, _, stream = await opened(record(DATA, b"abc")[:4], record(DATA, b"abc")[4:] + record(DATA, b"de"))
    assert isinstance(stream, Channel)
    await stream.send(b"xyz")
    assert wire.sent == [record(DATA, b"xyz")]
    assert [await stream.receive(2), await stream.receive(2), await stream.receive()] == [b"ab", b"cd", b"e"]


async def test_what_came_with_the_end_of_the_set_up_is_handed_over_first() -> None:
    wire, mask = Wire(record(HELLO) + record(DATA, b"early")), Mask()
    stream, upper = LayeredStream(wire, mask), Upper()
    await stream.open()
    await stream.serve(upper)
    stream.on_bytes(record(DATA, b"late"))
    assert upper.told == [b"early", b"late"]


async def test_large_writes_go_through_in_slices_and_only_while_the_socket_takes_them() -> None:
    wire, mask, stream = await opened()
    upper = Upper()
    await stream.serve(upper)
    wire.takes = False
    assert not stream.write(bytes(3 * SLICE_BYTES - 1))
    assert mask.writes == [SLICE_BYTES]
    stream.on_writable()
    assert mask.writes == [SLICE_BYTES] * 2
    assert upper.told == []
    wire.takes = True
    stream.on_writable()
    assert mask.writes == [SLICE_BYTES, SLICE_BYTES, SLICE_BYTES - 1]
    assert upper.told == ["writable"]
    assert stream.write(b"small")


async def test_what_the_layer_writes_by_itself_waits_for_the_socket_and_is_no_news_to_the_receiver() -> None:
    wire, _, stream = await opened()
    upper = Upper()
    await stream.serve(upper)
    wire.takes = False
    stream.on_bytes(record(QUESTION))
    stream.on_bytes(record(QUESTION))
    assert wire.sent == [record(ANSWER)]  # the second waits
    wire.takes = True
    stream.on_writable()
    assert wire.sent == [record(ANSWER)] * 2
    assert upper.told == []


async def test_the_leave_of_the_peer_is_the_end_of_the_stream() -> None:
    _, _, stream = await opened()
    upper = Upper()
    await stream.serve(upper)
    with pytest.raises(anyio.EndOfStream):
        stream.on_bytes(record(DATA, b"last") + record(GOODBYE))
    assert upper.told == [b"last"]
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


@pytest.mark.parametrize(("kind", "error"), [(REFUSAL, AuthenticationError), (99, KafkaConnectionError)])
async def test_bytes_that_make_no_sense_end_it(kind: int, error: type[Exception]) -> None:
    _, _, stream = await opened()
    await stream.serve(Upper())
    with pytest.raises(error):
        stream.on_bytes(record(kind))


async def test_leave_is_taken_when_that_needs_no_waiting() -> None:
    wire, _, stream = await opened()
    await stream.aclose()
    assert wire.sent == [record(GOODBYE)]
    assert wire.is_closed
    wire, _, stream = await opened()
    wire.takes = False
    stream.write(b"x")
    await stream.aclose()
    assert wire.sent == [record(DATA, b"x")]
