"""How does a record get into a batch? The hot path: everything here may be paid once per record.

`Appender` is the lowest part of the accumulator: topics, their batches, and the count of free memory.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.flush import FlushEpochs
from aioproducer._core.accumulator.partitioning import PartitionChooser
from aioproducer._core.accumulator.queues import PartitionQueue, Schedule
from aioproducer._core.accumulator.topics import RATIO_MARGIN, TopicState
from aioproducer._records.record_headers import NO_HEADERS, HeaderBlocks, encode_headers
from aioproducer._records.sizes import (
    BATCH_OVERHEAD,
    RECORD_OVERHEAD_BOUND,
    headers_size,
    record_size,
    record_upper_bound,
)
from aioproducer._types import TopicPartition
from aioproducer.errors import RecordTooLargeError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._types import Headers, HeadersLike
    from aioproducer.errors import KafkaError

OBJECT_BYTES: Final = 96
"""What a buffered record costs beyond its encoded bytes: its places in the columns, object headers, its Delivery."""

_PLAIN_CHARGE: Final = BATCH_OVERHEAD + RECORD_OVERHEAD_BOUND + OBJECT_BYTES + 4
"""What a record without key and headers is charged besides its value; one less when the value is below 64 bytes."""

_KEYED_CHARGE: Final = _PLAIN_CHARGE - 7
"""What a record with a short key or headers is charged besides what is called its size where this is added."""

_PLAIN_VALUE_LIMIT: Final = 8160
"""Up to here the length of a value takes two bytes, and that of its record, key and headers included. Longer ones take
the long way.
"""

_COMPRESSED_VALUE_LIMIT: Final = 1023
_PLAIN_OVERHEAD: Final = 16
"""At most this many bytes are added to a value to make a record without key and headers, on the short way."""


class Appender:
    """Topics, their open batches, and memory.

    Attributes:
        needs_wake: a batch was made or sealed, or somebody began to wait, since the shell has cleared this.
        closed_batches: how many batches have been sealed so far.
        closed_error: why nothing is accepted any more.
        gate_error: why nothing new is accepted at the moment: no transaction is open.
    """

    # No __slots__: subclasses add theirs, and the attributes of one object per producer cost nothing.

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        self.needs_wake = False
        self.closed_batches = 0
        self.closed_error: KafkaError | None = None
        self.gate_error: KafkaError | None = None
        self._is_transactional = config.transactional_id is not None
        self._touched: set[TopicPartition] = set()  # what got batches, and why a call was refused: for its transaction
        self._refusal: KafkaError | None = None
        self._batch_size = config.batch_size
        self._buffer_memory = config.buffer_memory
        self._max_request_size = config.max_request_size
        self._is_compressing = config.compression_type != "none"
        self._header_blocks = HeaderBlocks()
        self._topics: dict[str, TopicState] = {}
        self._schedule = Schedule(config.linger_ms / 1000)
        self._choice = PartitionChooser(config, rng, self._schedule)
        self._is_hashing = self._choice.is_hashing
        self._hasher = self._choice.hasher
        self._hashes = self._hasher.hashes
        self._flushes = FlushEpochs()
        self._unfinished: OrderedDict[ProducerBatch, None] = OrderedDict()  # by creation, but for parts of a split
        self._latest = 0.0  # the latest time told; a call that tells none means about this one
        self._free: int = config.buffer_memory
        # The topics to which anybody may append at once: known, and nobody waits. While somebody waits for memory, or
        # nothing is accepted, `_open_topics` is _NO_TOPICS, so that a single look-up says all of it.
        self._appendable: dict[str, TopicState] = {}
        self._open_topics = self._appendable
        limit = _COMPRESSED_VALUE_LIMIT if self._is_compressing else _PLAIN_VALUE_LIMIT
        self._plain_limit = min(
            limit, self._max_request_size - _PLAIN_CHARGE, self._buffer_memory - _PLAIN_CHARGE
        )  # a value up to this is never too large

    # ── the hot path ─────────────────────────────────────────────────────────────────────────────────────────────────

    def is_open(self, topic: str) -> bool:
        """Whether anybody may append to the topic at once, as far as there is memory."""
        return topic in self._open_topics

    def append_plain(self, topic: str, value: bytes, timestamp_ms: int) -> ProducerBatch | None:
        """Append a record without key and headers to the open batch of the sticky partition, as the last of the batch
        returned (`batch.count - 1`); None: it takes more than that, ask `try_append`.
        """
        # All in line, with the size made out by comparisons: 0.4 µs for a 100-byte value, against 2 by way of _append
        # (an empty method: 0.05; CPython 3.11, benchmarks/hot_path.py).
        state = self._open_topics.get(topic)
        if state is None:
            return None
        batch = state.sticky_batch
        if batch is None:
            return None
        size = len(value)
        charge = size + _PLAIN_CHARGE
        free = self._free
        timestamps = batch.timestamps
        delta = timestamp_ms - timestamps[0]
        if size > self._plain_limit or charge > free or delta > 8191 or delta < -64:
            return None
        count = batch.count
        if size < 64:
            charge -= 1
            size += 6
        else:
            size += 7
        if delta > 63:
            size += 1
        if count > 63:
            size += 1 if count < 8192 else 2
        size += batch.size + (1 if size < 64 else 2)
        if size >= state.sticky_limit:
            return None
        timestamps.append(timestamp_ms)
        batch.values.append(value)
        if batch.keys is not None:
            batch.keys.append(None)
        if batch.headers is not None:
            batch.headers.append(NO_HEADERS)
        batch.size = size
        batch.count = count + 1
        batch.charged += charge
        self._free = free - charge
        return batch

    def append_keyed(self, topic: str, key: bytes, value: bytes, timestamp_ms: int) -> ProducerBatch | None:
        """As `append_plain`, for a record with a key, to the open batch of the partition that its hash tells."""
        state = self._open_topics.get(topic)
        key_size, value_size = len(key), len(value)
        # Before the key is hashed: what takes the long way is hashed there, and a long key is not remembered.
        if state is None or not self._is_hashing or key_size > 63 or key_size + value_size > self._plain_limit:
            return None
        number = self._hashes.get(key)
        if number is None:
            number = self._hasher.hash(key)
        queue = state.queues.get(number % state.partition_count)
        batch = None if queue is None else queue.open_batch
        if batch is None:
            return None
        keys = batch.keys
        delta = timestamp_ms - batch.timestamps[0]
        if keys is None or delta > 8191 or delta < -64:
            return None
        count = batch.count
        size = key_size + value_size + (6 if value_size < 64 else 7)
        charge = size + _KEYED_CHARGE
        if delta > 63:
            size += 1
        if count > 63:
            size += 1 if count < 8192 else 2
        size += 1 if size < 64 else 2
        # As in ProducerBatch.has_room: what is in the batch counts as it is expected to be when compressed.
        if charge > self._free or batch.size + size / batch.size_factor >= batch.limit:
            return None
        if batch is state.sticky_batch:  # what has a key does not count for a switch
            state.sticky_seen += int(size * batch.size_factor)
        batch.timestamps.append(timestamp_ms)
        batch.values.append(value)
        keys.append(key)
        if batch.headers is not None:
            batch.headers.append(NO_HEADERS)
        batch.size += size
        batch.count = count + 1
        batch.charged += charge
        self._free -= charge
        return batch

    def append_with_headers(
        self, topic: str, key: bytes | None, value: bytes, headers: HeadersLike, timestamp_ms: int
    ) -> ProducerBatch | None:
        """As `append_plain`, for a record with headers, perhaps with a key. The headers need not have been checked:
        with any that cannot be taken as they are, the record takes the long way, which says why.
        """
        state = self._open_topics.get(topic)
        if state is None:
            return None
        batch = state.sticky_batch if key is None else self._keyed_batch(state, key)
        columns = None if batch is None else batch.headers
        block = None if columns is None else self._header_blocks.block(headers)
        if batch is None or columns is None or block is None:
            return None
        key_size, value_size, headers_bytes = 0 if key is None else len(key), len(value), len(block)
        charge = key_size + value_size + headers_bytes + (5 if value_size < 64 else 6) + _KEYED_CHARGE
        size = record_size(timestamp_ms - batch.timestamps[0], batch.count, key, value, headers_bytes)
        if key is None:
            is_full = batch.size + size >= state.sticky_limit
        else:
            is_full = batch.size + size / batch.size_factor >= batch.limit
        if is_full or charge > self._free or size > self._plain_limit:
            return None
        if key is not None and batch is state.sticky_batch:
            state.sticky_seen += int(size * batch.size_factor)
        batch.timestamps.append(timestamp_ms)
        batch.values.append(value)
        if batch.keys is not None:
            batch.keys.append(key)
        columns.append(block)
        batch.size += size
        batch.count += 1
        batch.charged += charge
        self._free -= charge
        return batch

    def _keyed_batch(self, state: TopicState, key: bytes) -> ProducerBatch | None:
        """Return the open batch of the partition of a short key, if it has keys already."""
        if not self._is_hashing or len(key) > 63:
            return None
        queue = state.queues.get(self._hasher.partition(key, state.partition_count))
        batch = None if queue is None else queue.open_batch
        return None if batch is None or batch.keys is None else batch

    def try_append(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        now: float,
    ) -> ProducerBatch | None:
        """Append a record at once, as the last of the batch returned (`batch.count - 1`), or return None.

        None: the call has to wait (the topic is not known, memory is short, or others wait), or nothing is accepted any
        more; `enqueue` tells. The caller has checked the types.

        Raises:
            RecordTooLargeError: it can never fit.
            ValueError: the partitioner returned a partition that the topic does not have.
            Exception: whatever the partitioner raised.
        """
        if partition is None and value is not None:
            if headers:
                batch = self.append_with_headers(topic, key, value, headers, timestamp_ms)
            elif key is None:
                batch = self.append_plain(topic, value, timestamp_ms)
            else:
                batch = self.append_keyed(topic, key, value, timestamp_ms)
            if batch is not None:
                return batch
        charge = self._charge(topic, partition, key, value, headers)
        state = self._open_topics.get(topic)
        if state is None or charge > self._free or not state.has_partition(partition):
            return None
        return self._append(state, partition, key, value, headers, timestamp_ms, now, charge)

    def _append(
        self,
        state: TopicState,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        now: float,
        charge: int,
    ) -> ProducerBatch:
        """Append a record whose topic is known and whose memory is there."""
        block = encode_headers(headers) if headers else None
        headers_bytes = 1 if block is None else len(block)
        if partition is None:
            partition = self._choice.partition(state, key, value)
        is_sticky = partition is None
        while True:
            queue = self._choice.sticky_queue(state) if partition is None else state.queue(partition)
            batch = queue.open_batch
            if batch is None:
                batch = self._open_batch(state, queue, now)
                record_bytes = record_size(0, 0, key, value, headers_bytes)
                break
            record_bytes = record_size(timestamp_ms - batch.timestamps[0], batch.count, key, value, headers_bytes)
            if batch.has_room(record_bytes):
                break
            self._seal(state, queue, batch, now)
        is_at_sticky = is_sticky or queue.partition == state.sticky.partition
        if is_at_sticky:
            state.disarm()
        before = batch.estimated_size if is_sticky and batch.count else 0
        batch.append(timestamp_ms, key, value, block, record_bytes)
        batch.charged += charge
        self._free -= charge
        if batch.size >= batch.limit:
            self._seal(state, queue, batch, now)
        if is_sticky:
            state.sticky.produced += batch.estimated_size - before
            if state.sticky.is_switch_due(has_open_batch=queue.open_batch is not None):
                state.sticky.switch(self._choice.draw(state))
        if is_at_sticky:
            self._arm(state, queue)
        return batch

    def _charge(
        self, topic: str, partition: int | None, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> int:
        """Return the bytes of buffer_memory that a record takes until its outcome."""
        bound = record_upper_bound(key, value, headers_size(headers) if headers else 1)
        if bound > self._max_request_size:
            raise self.note_refusal(_too_large(topic, partition, bound, "max_request_size", self._max_request_size))
        charge = bound + OBJECT_BYTES
        if charge > self._buffer_memory:
            raise self.note_refusal(_too_large(topic, partition, charge, "buffer_memory", self._buffer_memory))
        return charge

    def note_refusal(self, error: KafkaError) -> KafkaError:
        """Note that a record was refused, which its transaction has to know; return the error."""
        if self._is_transactional and self._refusal is None:
            self._refusal = error
        return error

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_batch(self, state: TopicState, queue: PartitionQueue, now: float) -> ProducerBatch:
        factor = state.ratio * RATIO_MARGIN if self._is_compressing else 1.0
        batch = ProducerBatch(
            state.name,
            queue.partition,
            now,
            flush_epoch=self._flushes.epoch,
            limit=full_size(self._batch_size, factor),
            size_factor=factor,
        )
        batch.is_queued = True
        self._latest = now
        queue.batches.append(batch)
        queue.open_batch = batch
        self._enter(state, batch)
        self._schedule.on_opened(queue, batch, now)
        if self._is_transactional:
            self._touched.add(TopicPartition(state.name, queue.partition))
        self.needs_wake = True
        return batch

    def _enter(self, state: TopicState, batch: ProducerBatch) -> None:
        """A batch without an outcome: flush waits for it, and it can expire."""
        self._unfinished[batch] = None
        state.unfinished += 1
        self._flushes.enter(batch.flush_epoch)

    def _seal(self, state: TopicState, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        """Let the open batch of a queue take no more records; it is ready to be sent."""
        self._shut(state, queue, batch)
        self._schedule.place(queue, now)
        self.needs_wake = True

    def _shut(self, state: TopicState, queue: PartitionQueue, batch: ProducerBatch) -> None:
        """The part of sealing that concerns the batch alone; whoever calls places the queue."""
        if batch is state.sticky_batch:
            state.disarm()
        batch.apply(BatchEvent.SEAL)
        queue.open_batch = None
        self._schedule.forget_linger(batch)
        self.closed_batches += 1

    def _arm(self, state: TopicState, queue: PartitionQueue) -> None:
        """Let records without a key take the short way to this queue's open batch, if it is the sticky partition."""
        batch = queue.open_batch
        if batch is None or not self._choice.is_sticky or queue.partition != state.sticky.partition:
            return
        factor = batch.size_factor
        # The last record of a batch takes the long way, as does the one that makes a switch due. With compression, a
        # new record counts as it is and what is there as it will be (ProducerBatch.has_room): the longest that takes
        # the short way must have room.
        room = batch.limit
        if factor < 1:
            room -= int((_COMPRESSED_VALUE_LIMIT + _PLAIN_OVERHEAD) * (1 / factor - 1))
        until_switch = batch.size + int(state.sticky.bytes_left() / factor)
        state.sticky_limit = min(room, until_switch)
        state.sticky_seen = batch.estimated_size
        state.sticky_batch = batch

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        """Learn from how well a batch was compressed; both sizes without the header of the batch."""
        if not self._is_compressing or records_size <= 0:
            return
        batch.ratio = encoded_size / records_size
        state = self._topics.get(batch.topic)
        if state is not None:
            state.observe_ratio(batch.ratio)

    def _state(self, topic: str) -> TopicState:
        state = self._topics.get(topic)
        if state is None:
            state = self._topics[topic] = TopicState(topic, self._batch_size)
        return state


def full_size(batch_size: int, size_factor: float) -> int:
    """Return the size without compression at which a batch is expected to have reached batch_size on the wire."""
    if batch_size <= BATCH_OVERHEAD or size_factor == 1.0:
        return batch_size
    return BATCH_OVERHEAD + ceil((batch_size - BATCH_OVERHEAD) / size_factor)


def _too_large(topic: str, partition: int | None, size: int, setting: str, limit: int) -> RecordTooLargeError:
    where = f"topic {topic!r}" if partition is None else f"topic {topic!r}, partition {partition}"
    remedy = "raise buffer_memory here"
    if setting == "max_request_size":
        remedy = "raise max_request_size here and max.message.bytes on the topic"
    error = RecordTooLargeError(
        f"record of {size:,} bytes exceeds {setting}={limit:,} ({where}); {remedy}, or send smaller records",
        topic=topic,
        partition=partition,
    )
    error.size = size
    error.limit = limit
    return error
