"""Appending records to the open batches, and the memory that they take. The hot path: all of `append_plain` and
`append_fast` is paid once per record.

A record goes one of two ways. The fast way is for what most records are: no partition named, and the open batch is
there and has room. It decides by few comparisons and declines whatever it cannot be sure of. The general way, `append`,
takes everything, opens and seals batches, and says why a record cannot be taken. Both count the same bytes.

Other code may run in the middle of either, and send: the `__del__` of whatever a garbage collection finds, a signal
handler, the application's partitioner. So there is one rule: what is looked at and changed together has no such place
in it, or is closed to others meanwhile (`is_busy`), at no cost to the records that find it open: the fast way declines
as it does without memory, or without a topic.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.errors import too_large
from aioproducer._core.accumulator.partitioning import PartitionChooser
from aioproducer._core.accumulator.topics import RATIO_MARGIN, TopicState
from aioproducer._core.accumulator.transaction_notes import TransactionNotes
from aioproducer._records.record_headers import NO_HEADERS, HeaderBlocks, encode_headers
from aioproducer._records.sizes import (
    BATCH_OVERHEAD,
    RECORD_OVERHEAD_BOUND,
    headers_size,
    record_size,
    record_upper_bound,
)

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.flush import FlushEpochs
    from aioproducer._core.accumulator.queues import PartitionQueue, Schedule
    from aioproducer._core.accumulator.topics import Topics
    from aioproducer._core.accumulator.unfinished import UnfinishedBatches
    from aioproducer._types import Headers, HeadersLike
    from aioproducer.errors import KafkaError

OBJECT_BYTES: Final = 96
"""What a buffered record costs beyond its encoded bytes: its places in the columns, object headers, its Delivery."""

_PLAIN_CHARGE: Final = BATCH_OVERHEAD + RECORD_OVERHEAD_BOUND + OBJECT_BYTES + 4
"""What a record without key and headers is charged besides its value; one less when the value is below 64 bytes."""

_SHORT_CHARGE: Final = _PLAIN_CHARGE + 64
"""Below it is the charge of a value whose length takes one byte."""

_PLAIN_VALUE_LIMIT: Final = 8160
"""Up to here the length of a value takes two bytes, and that of its record, key and headers included. Longer ones go
the general way.
"""

_COMPRESSED_VALUE_LIMIT: Final = 1023
_PLAIN_OVERHEAD: Final = 16
"""At most this many bytes are added to a value to make a record without key and headers, on the fast way."""


class Appender:
    """Free memory, the topics that may be appended to, and their open batches.

    Args:
        config: the settings.
        rng: draws sticky partitions.
        topics, schedule, flushes, unfinished: what is shared with the rest of the accumulator.

    Attributes:
        needs_wake: a batch was made or sealed, or somebody began to wait, since the shell has cleared this.
        notes: for the open transaction.
        closed_batches: how many batches have been sealed so far.
        closed_error: why nothing is accepted any more; see `close`.
        blocked_error: why nothing new is accepted at the moment, as no transaction is open; see `block`.
        has_late_calls: there is something to be done for calls that came while it was busy; they come first.
        open_topics: the topics that may be appended to at once, by name; BUSY while something goes on.
        idle_topics: what `open_topics` is when nothing does.
        buffer_memory: the bytes there are.
        free_bytes: those of them that are free; changed by `take` and `give_back`. Below zero, and their number all the
            same, while a record is put into its batch on the fast way: nothing fits, so that everybody declines.
        is_memory_awaited: calls wait for memory; see `pause_for_waiters`.
        latest: the latest time told, monotonic seconds; what is told no time happens then.
    """

    def __init__(
        self,
        config: ProducerConfig,
        rng: random.Random,
        topics: Topics,
        schedule: Schedule,
        flushes: FlushEpochs,
        unfinished: UnfinishedBatches,
    ) -> None:
        self.needs_wake = False
        self.closed_batches = 0
        self.closed_error: KafkaError | None = None
        self.blocked_error: KafkaError | None = None
        self.has_late_calls = False
        self.buffer_memory: int = config.buffer_memory
        self.free_bytes: int = config.buffer_memory
        self.latest = 0.0
        self._topics = topics
        self._schedule = schedule
        self._flushes = flushes
        self._unfinished = unfinished
        self.notes = TransactionNotes(is_transactional=config.transactional_id is not None)
        self._batch_size = config.batch_size
        self._max_request_size = config.max_request_size
        self._is_compressing = config.compression_type != "none"
        self._header_blocks = HeaderBlocks()
        self._choice = PartitionChooser(config, rng, schedule)
        self._is_hashing = self._choice.is_hashing
        self._hasher = self._choice.hasher
        self._hashes = self._hasher.hashes
        # The topics that are known, and where nobody waits. While somebody waits for memory, or nothing is accepted,
        # _NO_TOPICS stands in for them, so that a single look-up says all of it.
        self._appendable: dict[str, TopicState] = {}
        self.idle_topics = self._appendable
        self.open_topics = self._appendable
        self.is_memory_awaited = False
        limit = _COMPRESSED_VALUE_LIMIT if self._is_compressing else _PLAIN_VALUE_LIMIT
        self._plain_limit = min(
            limit, self._max_request_size - _PLAIN_CHARGE, self.buffer_memory - _PLAIN_CHARGE
        )  # a value up to this is never too large

    # ── the hot path ─────────────────────────────────────────────────────────────────────────────────────────────────

    def is_open(self, topic: str) -> bool:
        """Whether anybody may append to the topic at once, as far as there is memory."""
        return topic in self.open_topics

    def append_plain(  # noqa: C901 - in line, see below
        self, topic: str, value: bytes, timestamp_ms: int
    ) -> ProducerBatch | None:
        """Append a record without key and headers to the open batch of the sticky partition, as the last of the batch
        returned (`batch.count - 1`); None: it takes more than that, ask `try_append`.
        """
        # What `append_fast` does, for the most frequent record alone: 0.23 µs instead of 0.27, and 20 bytecodes
        # less of the 355 from the call to the outcome: 2 to 4 % of a pipelined record (CPython 3.11,
        # benchmarks/hot_path.py and tests/gates).
        size = len(value)
        state = self.open_topics.get(topic)
        if state is None:
            return None
        # From here on nothing is called until it is closed to others, as what is called may let a signal handler run.
        batch = state.sticky_batch
        if batch is None:
            return None
        charge = size + _PLAIN_CHARGE
        free = self.free_bytes
        timestamps = batch.timestamps
        delta = timestamp_ms - timestamps[0]
        if size > self._plain_limit or charge > free or delta > 8191 or delta < -64:
            return None
        count = batch.count
        if delta > 63:
            size += 1
        if count > 63:
            size += 1 if count < 8192 else 2
        if charge < _SHORT_CHARGE:
            charge -= 1
            size += 7 if size < 58 else 8  # with the length of the record, of one byte or two
        else:
            size += 9
        size += batch.size
        if size >= state.sticky_limit:
            return None
        self.free_bytes = -free  # see there
        try:
            timestamps.append(timestamp_ms)
            batch.values.append(value)
            if batch.keys is not None:
                batch.keys.append(None)
            if batch.headers is not None:
                batch.headers.append(NO_HEADERS)
        except BaseException:  # no memory, or Ctrl-C
            self._take_back(batch, count)
            raise
        batch.size = size
        batch.count = count + 1
        batch.charged += charge
        self.free_bytes = free - charge
        return batch

    def append_fast(  # noqa: C901 - in line, see below
        self, topic: str, key: bytes | None, value: bytes, headers: HeadersLike | None, timestamp_ms: int
    ) -> ProducerBatch | None:
        """As `append_plain`, for a record that may have a short key, which tells its partition, and headers. Those need
        not have been checked: with any that cannot be taken as they are it is declined, and `try_append` says why.
        """
        # The look-up of the key and the size in line: with a method for the one and record_size for the other a record
        # with a key took 0.70 µs instead of 0.60, 3 % of a pipelined one, and 437 bytecodes from call to return instead
        # of 365 (CPython 3.11, benchmarks/hot_path.py and tests/gates). Hence more branches than elsewhere.
        state = self.open_topics.get(topic)
        if state is None:
            return None
        size = value_size = len(value)
        block = NO_HEADERS
        if headers is not None:
            encoded = self._header_blocks.block(headers)
            if encoded is None:
                return None
            block = encoded
            size += len(block) - 1
        # Below, nothing is called between the look at the batch and where it is closed to others; see `append_plain`.
        if key is None:
            batch = state.sticky_batch
            if batch is None:
                return None
        else:
            key_size = len(key)
            size += key_size
            # Before the key is hashed: what is declined is hashed again, and a long key is not remembered.
            if not self._is_hashing or key_size > 63 or size > self._plain_limit:
                return None
            number = self._hashes.get(key)
            if number is None:
                number = self._hasher.hash(key)
            queue = state.queues.get(number % state.partition_count)
            batch = None if queue is None else queue.open_batch
            if batch is None or batch.keys is None:
                return None
        columns = batch.headers
        if columns is None and headers is not None:
            return None
        free = self.free_bytes
        delta = timestamp_ms - batch.timestamps[0]
        if size > self._plain_limit or delta > 8191 or delta < -64:
            return None
        count = batch.count
        charge = size + _PLAIN_CHARGE
        if delta > 63:
            size += 1
        if count > 63:
            size += 1 if count < 8192 else 2
        if value_size < 64:
            charge -= 1
            size += 7 if size < 58 else 8
        else:
            size += 9
        if key is None:
            is_full = batch.size + size >= state.sticky_limit
        else:  # as in ProducerBatch.has_room: what is in the batch counts as it is expected to be when compressed
            is_full = batch.size + size / batch.size_factor >= batch.limit
        if is_full or charge > free:
            return None
        self.free_bytes = -free
        try:
            batch.timestamps.append(timestamp_ms)
            batch.values.append(value)
            if batch.keys is not None:
                batch.keys.append(key)
            if columns is not None:
                columns.append(block)
            if key is not None and batch is state.sticky_batch:  # what has a key does not count for a switch
                state.sticky_seen += int(size * batch.size_factor)
        except BaseException:
            self._take_back(batch, count)
            raise
        batch.size += size
        batch.count = count + 1
        batch.charged += charge
        self.free_bytes = free - charge
        return batch

    def _take_back(self, batch: ProducerBatch, count: int) -> None:
        """Take a record that is half appended on the fast way out again: the batch has `count` without it."""
        del batch.timestamps[count:]
        del batch.values[count:]
        if batch.keys is not None:
            del batch.keys[count:]
        if batch.headers is not None:
            del batch.headers[count:]
        self.free_bytes = abs(self.free_bytes)

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
            if key is None and not headers:
                batch = self.append_plain(topic, value, timestamp_ms)
            else:
                batch = self.append_fast(topic, key, value, headers or None, timestamp_ms)
            if batch is not None:
                return batch
        return self.append_or_decline(topic, partition, key, value, headers, timestamp_ms, now)

    def append_or_decline(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        now: float,
    ) -> ProducerBatch | None:
        """As `try_append`, for a record that the fast way has declined."""
        state = self.open_topics.get(topic)
        if state is None or self.free_bytes < 0:
            return None
        self.open_topics = BUSY
        try:
            charge = self.charge(topic, partition, key, value, headers)
            if charge > self.free_bytes or not state.has_partition(partition):
                return None
            return self.append(state, partition, key, value, headers, timestamp_ms, now, charge)
        finally:
            self.open_topics = self.idle_topics

    def append(
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
        """Append a record whose topic is known and whose memory, `charge`, is there; raises as `try_append`."""
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
            self.seal(queue, now)
        is_at_sticky = is_sticky or queue.partition == state.sticky.partition
        if is_at_sticky:
            state.forget_sticky_batch()
        before = batch.estimated_size if is_sticky and batch.count else 0
        batch.append(timestamp_ms, key, value, block, record_bytes)
        batch.charged += charge
        self.free_bytes -= charge
        if batch.size >= batch.limit:
            self.seal(queue, now)
        if is_sticky:
            state.sticky.produced += batch.estimated_size - before
            if state.sticky.is_switch_due(has_open_batch=queue.open_batch is not None):
                state.sticky.switch(self._choice.draw(state))
        if is_at_sticky:
            self._remember_sticky_batch(state, queue)
        return batch

    def charge(
        self, topic: str, partition: int | None, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> int:
        """Return the bytes of buffer_memory that a record takes until its outcome.

        Raises:
            RecordTooLargeError: it can never fit.
        """
        bound = record_upper_bound(key, value, headers_size(headers) if headers else 1)
        if bound > self._max_request_size:
            raise self.notes.note_refusal(
                too_large(topic, partition, bound, "max_request_size", self._max_request_size)
            )
        charge = bound + OBJECT_BYTES
        if charge > self.buffer_memory:
            raise self.notes.note_refusal(too_large(topic, partition, charge, "buffer_memory", self.buffer_memory))
        return charge

    # ── one after the other ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_busy(self) -> bool:
        """Whether something is going on, and whoever asks was called from the middle of it."""
        return self.open_topics is BUSY or self.free_bytes < 0

    def begin_late_calls(self) -> None:
        """There is something to be done for a call that came while it was busy: let nobody pass it."""
        self.has_late_calls = True
        self._reopen()

    def end_late_calls(self) -> None:
        """It is done."""
        self.has_late_calls = False
        self._reopen()

    # ── who may append ───────────────────────────────────────────────────────────────────────────────────────────────

    def topic(self, name: str) -> TopicState:
        """Return the state of a topic, made when it is asked for first."""
        state = self._topics.get(name)
        if state is None:
            state = self._topics.add(name)
            self.open_topic(state)
        return state

    def open_topic(self, state: TopicState) -> None:
        """Let anybody append to the topic at once, if it is known and no call waits for its turn there."""
        if state.is_known and not state.call_queue and self.closed_error is None:
            self._appendable[state.name] = state

    def close_topic(self, name: str) -> None:
        """Let nobody append to the topic at once: it is not known any more, or calls wait for their turn there."""
        self._appendable.pop(name, None)

    def pause_for_waiters(self) -> None:
        """Let nobody append at once to any topic, as a call waits for memory: it would be passed."""
        self.is_memory_awaited = True
        self._reopen()

    def resume(self) -> None:
        """Nobody waits for memory any more."""
        self.is_memory_awaited = False
        self._reopen()

    def block(self, error: KafkaError) -> None:
        """Let no call begin to append, as no transaction is open; those that wait go on."""
        self.blocked_error = error
        self._reopen()

    def unblock(self) -> None:
        """Let calls append again: a transaction is open."""
        self.blocked_error = None
        self._reopen()

    def close(self, error: KafkaError) -> None:
        """Accept nothing more, for good."""
        self.closed_error = error
        self._appendable.clear()

    def _reopen(self) -> None:
        """Open the topics, or close them, according to all that there is against it; in the middle of work, for its
        end.
        """
        is_open = (
            self.blocked_error is None
            and not self.is_memory_awaited
            and self.closed_error is None
            and not self.has_late_calls
        )
        self.idle_topics = self._appendable if is_open else _NO_TOPICS
        if self.open_topics is not BUSY:
            self.open_topics = self.idle_topics

    # ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, size_bytes: int) -> None:
        """Take memory that is free."""
        self.free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Give memory back; whoever waits for it gets it from MemoryQueue.grant."""
        self.free_bytes += size_bytes

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def seal(self, queue: PartitionQueue, now: float) -> None:
        """Let the open batch of a queue take no more records; it is ready to be sent."""
        self.stop_appending(queue)
        self._schedule.place(queue, now)
        self.needs_wake = True

    def stop_appending(self, queue: PartitionQueue) -> None:
        """The part of sealing that concerns the open batch alone; whoever calls places the queue."""
        batch = queue.open_batch
        assert batch is not None, "what is open is the last of its queue"
        state = self._topics.states[batch.topic]
        if batch is state.sticky_batch:
            state.forget_sticky_batch()
        batch.apply(BatchEvent.SEAL)
        queue.open_batch = None
        self._schedule.forget_linger(batch)
        self.closed_batches += 1

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
        self.latest = now
        queue.batches.append(batch)
        queue.open_batch = batch
        self._unfinished.add(state, batch)
        self._schedule.on_opened(queue, batch, now)
        self.notes.note_touched(state.name, queue.partition)
        self.needs_wake = True
        return batch

    def _remember_sticky_batch(self, state: TopicState, queue: PartitionQueue) -> None:
        """Let records without a key go the fast way to this queue's open batch, if it is the sticky partition."""
        batch = queue.open_batch
        if batch is None or not self._choice.is_sticky or queue.partition != state.sticky.partition:
            return
        factor = batch.size_factor
        # The last record of a batch goes the general way, as does the one that makes a switch due. With compression, a
        # new record counts as it is and what is there as it will be (ProducerBatch.has_room): the longest that goes
        # the fast way must have room.
        room = batch.limit
        if factor < 1:
            room -= int((_COMPRESSED_VALUE_LIMIT + _PLAIN_OVERHEAD) * (1 / factor - 1))
        until_switch = batch.size + int(state.sticky.bytes_left() / factor)
        state.sticky_limit = min(room, until_switch)
        state.sticky_seen = batch.estimated_size
        state.sticky_batch = batch


_NO_TOPICS: Final[dict[str, TopicState]] = {}
"""Stands in for the topics that may be appended to while none may; never changed."""

BUSY: Final[dict[str, TopicState]] = {}
"""As _NO_TOPICS, while something goes on; another dictionary, by which that is known."""


def full_size(batch_size: int, size_factor: float) -> int:
    """Return the size without compression at which a batch is expected to have reached batch_size on the wire."""
    if batch_size <= BATCH_OVERHEAD or size_factor == 1.0:
        return batch_size
    return BATCH_OVERHEAD + ceil((batch_size - BATCH_OVERHEAD) / size_factor)
