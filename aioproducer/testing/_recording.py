"""RecordingProducer: a producer for unit tests that sends nothing and remembers all (Java class MockProducer)."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Final, Literal, Self, cast

from aioproducer._backend import current
from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._metrics.counters import Counters
from aioproducer._producer.delivery import Delivery, check_callback
from aioproducer._public import public_in
from aioproducer._records.record_headers import encode_headers
from aioproducer._records.sizes import record_size
from aioproducer._runtime.completion import Completion
from aioproducer._types import ProducerRecord, RecordMetadata, normalize_headers
from aioproducer.errors import IllegalStateError, KafkaError, ProducerClosedError, SendAllError
from aioproducer.partitioners import murmur2_partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from aioproducer._producer.delivery import DeliveryCallback
    from aioproducer._types import HeadersLike


@public_in("aioproducer.testing")
class RecordingProducer:
    """Stands in for a Producer wherever a ProducerProtocol is asked for. Needs an event loop, but no cluster.

    Args:
        completion: "automatic": every record is acknowledged at once, in the next pass of the event loop. "manual":
            records wait for `complete_next`, `fail_next` or a flush.
        partitions: of every topic. A key decides as in a Producer; records without one go to partition 0.

    Attributes:
        records: what was accepted, in the order of the calls, with the partition and the timestamp that it got.

    Example:
        async def test_order_placed() -> None:
            producer = RecordingProducer()
            await order_placed(producer, b"42")
            (record,) = producer.records
            assert (record.topic, record.key) == ("orders", b"42")
    """

    def __init__(self, *, completion: Literal["automatic", "manual"] = "automatic", partitions: int = 1) -> None:
        if completion not in ("automatic", "manual"):
            raise ValueError(f"completion={completion!r} is neither 'automatic' nor 'manual'")
        if partitions < 1:
            raise ValueError(f"partitions={partitions}; a topic has at least one")
        self.records: Final[list[ProducerRecord[bytes, bytes]]] = []
        self._completion = completion
        self._partition_count = partitions
        self._pending: deque[ProducerBatch] = deque()
        self._refusals: deque[Exception] = deque()
        self._end_offsets: Counter[tuple[str, int]] = Counter()
        self._is_closed = False

    # ── what a test asks and tells ──

    @property
    def pending_count(self) -> int:
        """How many records wait for their outcome."""
        return len(self._pending)

    def sent(self, topic: str) -> list[ProducerRecord[bytes, bytes]]:
        """The accepted records of one topic, in the order of the calls."""
        return [record for record in self.records if record.topic == topic]

    def complete_next(self) -> None:
        """Acknowledge the record that has waited longest.

        Raises:
            IllegalStateError: none waits.
        """
        batch = self._next()
        place = (batch.topic, batch.partition)
        batch.base_offset = self._end_offsets[place]
        self._end_offsets[place] += 1
        self._finish(batch)

    def fail_next(self, error: KafkaError) -> None:
        """Let the record that has waited longest fail.

        Raises:
            IllegalStateError: none waits.
        """
        batch = self._next()
        batch.error = error
        self._finish(batch)

    def refuse_next(self, error: Exception) -> None:
        """Let the next call that has a record raise this, as a full buffer would; the record is not accepted."""
        self._refusals.append(error)

    # ── what a Producer does ──

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata:
        """Accept one record and wait for its outcome; see Producer.send."""
        record = ProducerRecord(topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers)
        return await self._accept(record, on_delivery)

    async def submit(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record; see Producer.submit."""
        record = ProducerRecord(topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers)
        return self._accept(record, on_delivery)

    def submit_nowait(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record; see Producer.submit_nowait."""
        record = ProducerRecord(topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers)
        return self._accept(record, on_delivery)

    async def send_all(
        self, records: Iterable[ProducerRecord[bytes, bytes]] | AsyncIterable[ProducerRecord[bytes, bytes]]
    ) -> Sequence[RecordMetadata]:
        """Accept many records and wait for the outcome of each; see Producer.send_all."""
        if isinstance(records, AsyncIterable):
            deliveries = [self._try_accept(record) async for record in records]
        else:
            deliveries = [self._try_accept(record) for record in records]
        results: list[RecordMetadata | None] = []
        failures: dict[int, Exception] = {}
        for index, delivery in enumerate(deliveries):
            try:
                if isinstance(delivery, Exception):
                    raise delivery
                results.append(await delivery)
            except Exception as error:
                failures[index] = error
                results.append(None)
        if failures:
            raise SendAllError(f"{len(failures)} of {len(results)} records failed", results=results, failures=failures)
        return [each for each in results if each is not None]

    async def flush(self, timeout: float | None = None) -> None:
        """Acknowledge everything that waits, also with manual completion, as Java's MockProducer does."""
        while self._pending:
            self.complete_next()
        await current().yield_now()

    async def start(self, *, wait: bool = True) -> None:
        """Open it again after `close`; there is nothing to wait for."""
        del wait
        self._is_closed = False

    async def close(self, timeout: float | None = None) -> None:
        """Flush, and accept nothing more; with `timeout=0`, let what waits fail instead."""
        if timeout == 0:
            while self._pending:
                self.fail_next(ProducerClosedError("the producer was closed before the record was delivered"))
        await self.flush()
        self._is_closed = True

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _try_accept(self, record: ProducerRecord[bytes, bytes]) -> Delivery | Exception:
        try:
            return self._accept(record, None)
        except Exception as error:
            return error

    def _accept(self, given: ProducerRecord[bytes, bytes], on_delivery: DeliveryCallback | None) -> Delivery:
        if self._is_closed:
            raise ProducerClosedError("the producer is closed")
        given.validate()
        if on_delivery is not None:
            check_callback(on_delivery)
        if self._refusals:
            raise self._refusals.popleft()
        record = self._completed(given)
        self.records.append(record)
        batch = _batch_of(record)
        delivery = Delivery(batch, 0, current())
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        self._pending.append(batch)
        if self._completion == "automatic":
            self.complete_next()
        return delivery

    def _completed(self, given: ProducerRecord[bytes, bytes]) -> ProducerRecord[bytes, bytes]:
        """The record with partition and timestamp, its bytes copied where the caller might change them."""
        value, key = _bytes("value", given.value), _bytes("key", given.key)
        partition = given.partition
        if partition is None:
            partition = 0 if key is None else murmur2_partition(key, self._partition_count)
        elif partition >= self._partition_count:
            count = self._partition_count
            raise ValueError(f"partition={partition} of topic {given.topic!r}, which has {count} (partitions={count})")
        timestamp_ms = int(time.time() * 1000) if given.timestamp_ms is None else given.timestamp_ms
        headers = normalize_headers(given.headers)
        return ProducerRecord(
            given.topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
        )

    def _next(self) -> ProducerBatch:
        if not self._pending:
            raise IllegalStateError("no record waits for its outcome")
        return self._pending.popleft()

    def _finish(self, batch: ProducerBatch) -> None:
        backend = current()
        for event in (BatchEvent.SEAL, BatchEvent.DRAIN, BatchEvent.COMPLETE):
            batch.apply(event)
        batch.drop_payload()
        Completion(backend, None, (), backend.clock, Counters(), backend.call_soon).schedule([batch])


def _batch_of(record: ProducerRecord[bytes, bytes]) -> ProducerBatch:
    """A batch of that record alone, so that each has an outcome of its own."""
    assert record.partition is not None
    assert record.timestamp_ms is not None
    batch = ProducerBatch(record.topic, record.partition, 0.0)
    headers = encode_headers(normalize_headers(record.headers))
    size = record_size(0, 0, record.key, record.value, len(headers))
    batch.append(record.timestamp_ms, record.key, record.value, headers, size)
    return batch


def _bytes(name: str, data: object) -> bytes | None:
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(cast("bytearray", data))
    raise TypeError(f"{name} is {type(data).__name__}; it must be bytes, bytearray, memoryview or None")
