"""One broker whose answers are readable and wrong, beside one that is well: what it says hurts nobody but itself.

Every field of every answer, in the version that is spoken, becomes missing, extreme, null or somebody else's; lists
become empty or have their elements twice.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import anyio
from anyio.abc import ByteStream

from aioproducer import KafkaError, Producer
from aioproducer._wire.fields import Field, Kind
from aioproducer._wire.frames import FrameBuffer, decode_request, decode_response_header, encode_response
from aioproducer._wire.messages import RESPONSES, ApiKey
from aioproducer._wire.schema import Struct
from aioproducer.testing import EmbeddedCluster
from tests.attack.law import BOUND, Verdict, bounded, bounded_cost, logging_to, quiet, run_in
from tests.attack.points import Handler, Strike

if TYPE_CHECKING:
    from aioproducer._wire.schema import Response

APIS: Final = (ApiKey.API_VERSIONS, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID, ApiKey.PRODUCE)
SECONDS: Final = 1.0
"""For so long the broker's answers are wrong."""

RECOVERY: Final = 6.0

_BITS: Final = {Kind.INT8: 8, Kind.INT16: 16, Kind.INT32: 32, Kind.INT64: 64}


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong in an answer.

    Attributes:
        api: of which answers.
        path: the field, by the names on the way to it; lists are entered at their first element.
        kind: what is done to it.
    """

    api: ApiKey
    path: tuple[str, ...]
    kind: str

    def __str__(self) -> str:
        return f"{self.api.name}:{'.'.join(self.path)}:{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Damage:
        """Take what str gives."""
        api, path, kind = text.split(":")
        return cls(ApiKey[api], tuple(path.split(".")), kind)

    def apply(self, message: Response) -> None:
        """Do it, if the answer has the field filled."""
        target = _reached(message, self.path[:-1])
        if target is None:
            return
        last = self.path[-1]
        declared: Mapping[str, Field] = target.FIELDS
        setattr(target, last, _damaged(declared[last], getattr(target, last), self.kind))


def _reached(message: Any, path: tuple[str, ...]) -> Any:
    """Return what is at the path, None if the answer has nothing there.

    A struct on the way is a copy from now on: where an answer has left one out, all answers share one with defaults.
    """
    for name in path:
        value = getattr(message, name)
        if isinstance(value, Struct):
            value = copy.copy(value)
            setattr(message, name, value)
        message = _entered(value)
        if message is None:
            return None
    return message


def _entered(value: Any) -> Any:
    """Return what is in a field: of a list, its first element, None if it has none."""
    if not isinstance(value, list):
        return value
    elements: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
    return elements[0] if elements else None


def _damaged(declared: Field, value: Any, kind: str) -> Any:
    if kind == "null":
        return None
    if declared.kind in _BITS:
        bits = _BITS[declared.kind]
        return {
            "lowest": -(1 << (bits - 1)),
            "highest": (1 << (bits - 1)) - 1,
            "minus": -2,
            "zero": 0,
            "next": value + 1,
        }[kind]
    match declared.kind:
        case Kind.BOOL:
            return not value
        case Kind.UUID:
            return UUID(int=7)
        case Kind.STRING:
            return {"empty": "", "other": "somebody-elses", "long": "x" * 30_000}[kind]
        case _:
            return {"empty": [], "twice": [*value, *value]}[kind]


def damages(api: ApiKey) -> Iterator[Damage]:
    """Give everything that can be wrong in the answers of an API."""
    yield from (Damage(api, path, kind) for path, kind in _of(RESPONSES[api], ()))


def _of(struct: type[Struct], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, declared in struct.FIELDS.items():
        here = (*path, name)
        inner = declared.element if declared.kind is Kind.ARRAY else declared
        if declared.kind in _BITS:
            yield from ((here, kind) for kind in ("lowest", "highest", "minus", "zero", "next"))
        elif declared.kind is Kind.STRING:
            yield from ((here, kind) for kind in ("empty", "other", "long"))
        elif declared.kind in {Kind.BOOL, Kind.UUID}:
            yield here, "other"
        elif declared.kind is Kind.ARRAY:
            yield from ((here, kind) for kind in ("empty", "twice"))
        if declared.nullable_since is not None:
            yield here, "null"
        if inner is not None and inner.struct is not None:
            yield from _of(inner.struct, here)


@dataclass
class Liar:
    """The `connect` of a producer: the answers of one broker pass through here.

    Attributes:
        is_lying: they are damaged now.
        told: how many were.
    """

    damage: Damage
    port: int
    is_lying: bool = False
    told: int = 0
    streams: list[LyingStream] = field(default_factory=lambda: list[LyingStream]())

    async def connect(self, host: str, port: int) -> ByteStream:
        """Connect."""
        inner = await anyio.connect_tcp(host, port)
        if port != self.port:
            return inner
        stream = LyingStream(self, inner)
        self.streams.append(stream)
        return stream


class LyingStream(ByteStream):
    """A stream that changes what the broker answers."""

    def __init__(self, liar: Liar, inner: ByteStream) -> None:
        self.inner = inner
        self._liar = liar
        self._asked: deque[tuple[int, int]] = deque()
        self._out = FrameBuffer()
        self._in = FrameBuffer()

    async def send(self, item: bytes) -> None:
        for frame in self._out.feed(item):
            header, _ = decode_request(frame)
            self._asked.append((header.api_key, header.api_version))
        await self.inner.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while True:
            frames = self._in.feed(await self.inner.receive(max_bytes))
            if frames:
                return b"".join(map(self._changed, frames))

    def _changed(self, frame: bytes) -> bytes:
        api_key, version = self._asked.popleft()
        liar = self._liar
        if not liar.is_lying or api_key != liar.damage.api:
            return len(frame).to_bytes(4, "big") + frame
        correlation_id, body = decode_response_header(frame, api_key, version)
        message = RESPONSES[api_key].decode(body, version)
        try:
            liar.damage.apply(message)
            changed = encode_response(message, version, correlation_id)
        except (TypeError, ValueError, KafkaError):  # a version that has no such field, or cannot say that
            return len(frame).to_bytes(4, "big") + frame
        liar.told += 1
        return changed

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        if self in self._liar.streams:
            self._liar.streams.remove(self)
        await self.inner.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return cast("Any", self.inner).extra_attributes  # type: ignore[no-any-return]  # a Mapping of anything


def attack_with(damage: Damage, loop: str) -> list[str]:
    """Let one broker lie for a while; return what was wrong with the producer."""
    verdict = Verdict()
    handler = Handler(Strike("", ""))
    with bounded_cost(verdict, 2.5), logging_to(handler):
        try:
            run_in(loop, lambda: _play(damage, verdict))
        except BaseException as raised:
            verdict.problems.append(f"the program ended with {raised!r}")
    verdict.problems += [f"critical: {line}" for line in handler.critical]
    return verdict.problems


async def _play(damage: Damage, verdict: Verdict) -> None:
    async with EmbeddedCluster(brokers=2, partitions=1) as cluster:
        for topic, leader in (("good", 0), ("bad", 1)):
            await cluster.create_topic(topic, 1)
            cluster.move_leader(topic, 0, to=leader)
        liar = Liar(damage, int(cluster.bootstrap_servers[1].split(":")[1]))
        producer: Producer[bytes, bytes] = Producer(
            bootstrap_servers=cluster.bootstrap_servers,
            connect=liar.connect,
            linger_ms=0,
            request_timeout_ms=500,
            delivery_timeout_ms=2_000,
            max_block_ms=2_000,
            retry_backoff_ms=20,
            retry_backoff_max_ms=200,
            reconnect_backoff_ms=20,
            reconnect_backoff_max_ms=200,
            metadata_max_age_ms=300,
        )
        await producer.start()
        try:
            for topic in ("good", "bad"):
                await producer.send(topic, b"before")
            await _lie(liar, producer, verdict)
            # Who was told to wait for weeks does so for a minute.
            is_throttled = damage.path == ("throttle_time_ms",) and damage.kind == "highest"
            for topic in ("good",) if is_throttled else ("good", "bad"):
                await _works_again(producer, topic, verdict)
        finally:
            await bounded(verdict, "close", producer.close)
        await quiet(verdict)


async def _lie(liar: Liar, producer: Producer[bytes, bytes], verdict: Verdict) -> None:
    acknowledged = {"good": 0, "bad": 0}
    end = anyio.current_time() + SECONDS

    async def send_on(topic: str) -> None:
        while anyio.current_time() < end:
            try:
                with anyio.fail_after(BOUND):
                    await producer.send(topic, b"meanwhile")
            except KafkaError:
                await anyio.sleep(0.02)
            except TimeoutError:
                verdict.problems.append(f"a send to {topic} did not end in {BOUND} s")
                return
            else:
                acknowledged[topic] += 1
                await anyio.sleep(0.005)

    liar.is_lying = True
    if liar.damage.api in {ApiKey.API_VERSIONS, ApiKey.INIT_PRODUCER_ID}:
        for stream in list(liar.streams):  # it is asked when a connection is made
            await anyio.aclose_forcefully(stream.inner)
    async with anyio.create_task_group() as tasks:
        for topic in acknowledged:
            tasks.start_soon(send_on, topic)
    liar.is_lying = False
    if liar.damage.api is not ApiKey.METADATA:  # who leads is told by both
        verdict.expect(acknowledged["good"] >= 10, f"the other topic has {acknowledged['good']} records meanwhile")


async def _works_again(producer: Producer[bytes, bytes], topic: str, verdict: Verdict) -> None:
    end = anyio.current_time() + RECOVERY
    last: BaseException | None = None
    while anyio.current_time() < end:
        try:
            with anyio.fail_after(BOUND):
                await producer.send(topic, b"after")
        except (KafkaError, TimeoutError) as error:
            last = error
            await anyio.sleep(0.05)
        else:
            return
    verdict.problems.append(f"{topic} does not work again: {last!r}")
