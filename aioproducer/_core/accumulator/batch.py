"""One batch: its records as columns, where it stands on its way to the broker, and what came of it.

A ProducerBatch is our bookkeeping; the RecordBatch that goes over the wire is made from it by the runtime. It does not
decide anything: the accumulator moves it from state to state, the sender gives it sequences and its outcome.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from aioproducer._core.accumulator.errors import with_possibly_written
from aioproducer._records.record_headers import NO_HEADERS
from aioproducer._records.sizes import BATCH_OVERHEAD, record_size

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError

NO_PRODUCER_ID: Final = -1
NO_SEQUENCE: Final = -1
MAX_SEQUENCE: Final = 2**31 - 1
"""After it comes 0; it is also the mask that makes a number one of these 31 bits."""


class BatchState(IntEnum):
    """Where a batch is. Numbers, so that the hot path compares identities only."""

    OPEN = 0
    """Takes records; the last one of its partition's queue."""
    SEALED = 1
    """In its queue, for the first time or again, and takes no more records."""
    IN_FLIGHT = 2
    """Drained: being encoded, written, or waiting for the broker's answer."""
    DONE = 3
    """Its outcome is final, or its records went into the batches of `split_into`."""


class BatchEvent(IntEnum):
    """What happens to a batch."""

    SEAL = 0
    DRAIN = 1
    REQUEUE = 2
    SPLIT = 3
    COMPLETE = 4


TRANSITIONS: Final[dict[tuple[BatchState, BatchEvent], BatchState]] = {
    (BatchState.OPEN, BatchEvent.SEAL): BatchState.SEALED,
    (BatchState.SEALED, BatchEvent.DRAIN): BatchState.IN_FLIGHT,
    (BatchState.IN_FLIGHT, BatchEvent.REQUEUE): BatchState.SEALED,
    (BatchState.IN_FLIGHT, BatchEvent.SPLIT): BatchState.DONE,
    (BatchState.SEALED, BatchEvent.COMPLETE): BatchState.DONE,  # expired or dropped while it waited
    (BatchState.IN_FLIGHT, BatchEvent.COMPLETE): BatchState.DONE,
}
"""(state, event) → state. What is missing cannot happen."""


class ProducerBatch:
    """The records of one partition that will become one RecordBatch, as columns.

    Attributes:
        topic, partition: where it goes.
        created_at: when its first record was appended, monotonic seconds; linger and delivery timeout count from here.
        flush_epoch: the flush() calls that wait for it are those with this epoch or a later one.
        timestamps, values, keys, headers: one item for each record, its headers encoded; `keys` and `headers` are None
            while no record has any. All but `timestamps` become None when the batch is done.
        count: the records; stays when the columns are gone.
        size: 61 + the encoded bytes of the records, without compression.
        limit: the `size` at which the batch is full; with compression it is larger than batch_size.
        size_factor: expected encoded bytes for each byte of records; 1.0 without compression.
        charged: bytes of buffer_memory that it holds.
        state: see BatchState.
        is_queued: it is in its partition's queue.
        is_split: it was made by splitting another one; splitting it again halves it.
        holds_memory: it was given its outcome while its bytes were on the wire: `charged` is held until `release`.
        attempts: how often it was sent in vain and put back into its queue.
        retry_at: not to be sent before this time.
        last_error, last_node: of the last attempt; the error is the sender's to set, the node is set by drain.
        leader_epoch: of its partition, when it was last drained; a later one makes a retry due at once.
        possibly_written: bytes may have reached a broker and no definite refusal came back.
        producer_id, producer_epoch, base_sequence: -1 until the sender gives them.
        encoded: the RecordBatch, made once by the runtime, kept until the outcome.
        ratio: encoded bytes of the records for each byte before compression; 1.0 until known.
        base_offset, log_append_time_ms, error, record_errors: the outcome, final once state is DONE. `error` is that of
            the batch, `record_errors` has those of single records, by index.
        plain_base_offset: base_offset, when each record has its offset and the timestamp it was sent with; else -1.
        split_into: (index of the child's first record, child), when the batch was split.
        waiters, callbacks: (index of the record, something of the shell's), in the order in which they came.
    """

    __slots__ = (
        "attempts",
        "base_offset",
        "base_sequence",
        "callbacks",
        "charged",
        "count",
        "created_at",
        "encoded",
        "error",
        "flush_epoch",
        "headers",
        "holds_memory",
        "is_queued",
        "is_split",
        "keys",
        "last_error",
        "last_node",
        "leader_epoch",
        "limit",
        "log_append_time_ms",
        "partition",
        "plain_base_offset",
        "possibly_written",
        "producer_epoch",
        "producer_id",
        "ratio",
        "record_errors",
        "retry_at",
        "size",
        "size_factor",
        "split_into",
        "state",
        "timestamps",
        "topic",
        "values",
        "waiters",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        created_at: float,
        *,
        flush_epoch: int = 0,
        limit: int = 16384,
        size_factor: float = 1.0,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.created_at = created_at
        self.flush_epoch = flush_epoch
        self.timestamps: list[int] = []
        self.values: list[bytes | None] = []
        self.keys: list[bytes | None] | None = None
        self.headers: list[bytes] | None = None
        self.count = 0
        self.size = BATCH_OVERHEAD
        self.limit = limit
        self.size_factor = size_factor
        self.charged = 0
        self.state = BatchState.OPEN
        self.is_queued = False
        self.is_split = False
        self.holds_memory = False
        self.attempts = 0
        self.retry_at = 0.0
        self.last_error: KafkaError | None = None
        self.last_node: int | None = None
        self.leader_epoch = -1
        self.possibly_written = False
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = -1
        self.base_sequence = NO_SEQUENCE
        self.encoded: bytes | None = None
        self.ratio = 1.0
        self.base_offset = -1
        self.plain_base_offset = -1
        self.log_append_time_ms = -1
        self.error: KafkaError | None = None
        self.record_errors: dict[int, KafkaError] | None = None
        self.split_into: list[tuple[int, ProducerBatch]] | None = None
        self.waiters: list[tuple[int, Any]] | None = None  # Any: the shell's own, the core never looks at them
        self.callbacks: list[tuple[int, Any]] | None = None

    def __repr__(self) -> str:
        return f"<ProducerBatch {self.topic}-{self.partition} {self.state.name} records={self.count} size={self.size}>"

    @property
    def is_done(self) -> bool:
        """Whether the outcome is final, or the records are in other batches now."""
        return self.state is BatchState.DONE

    @property
    def has_sequence(self) -> bool:
        """Whether the sender has given it a sequence."""
        return self.base_sequence != NO_SEQUENCE

    @property
    def estimated_size(self) -> int:
        """Its bytes on the wire: exact once encoded, or without compression; else an estimate."""
        if self.encoded is not None:
            return len(self.encoded)
        return BATCH_OVERHEAD + int((self.size - BATCH_OVERHEAD) * self.size_factor)

    def has_room(self, record_bytes: int) -> bool:
        """Whether another record fits; the first always does.

        What is in the batch counts as it is expected to be when compressed, the new record as it is: nothing is known
        about it, and it may be the one that does not compress.
        """
        if self.count == 0:
            return True
        return self.size + record_bytes / self.size_factor <= self.limit

    def append(
        self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: bytes | None, record_bytes: int
    ) -> None:
        """Add one record of `record_bytes` encoded bytes; the batch is open and has room.

        `headers` are encoded, or None for none.
        """
        count = self.count
        self.timestamps.append(timestamp_ms)
        self.values.append(value)
        if self.keys is not None:
            self.keys.append(key)
        elif key is not None:
            no_keys: list[bytes | None] = [None] * count
            self.keys = [*no_keys, key]
        if self.headers is not None:
            self.headers.append(headers or NO_HEADERS)
        elif headers is not None and headers != NO_HEADERS:
            self.headers = [NO_HEADERS] * count
            self.headers.append(headers)
        self.count = count + 1
        self.size += record_bytes

    def next_record_size(self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: bytes | None) -> int:
        """Return the encoded bytes that a record would have as the next of this batch, its length included."""
        delta = timestamp_ms - self.timestamps[0] if self.timestamps else 0
        return record_size(delta, self.count, key, value, 1 if headers is None else len(headers))

    def drop_payload(self) -> None:
        """Let go of what only the wire needed; the timestamps stay, as RecordMetadata has them."""
        self.values = []
        self.keys = None
        self.headers = None
        self.encoded = None

    def complete(self, base_offset: int, log_append_time_ms: int) -> None:
        """Set the outcome: it is in the log.

        Raises:
            RuntimeError: it has an outcome, or still takes records.
        """
        self.apply(BatchEvent.COMPLETE)
        self.base_offset = base_offset
        self.log_append_time_ms = log_append_time_ms
        if log_append_time_ms < 0:
            self.plain_base_offset = base_offset
        self.drop_payload()

    def fail(self, error: KafkaError, record_errors: dict[int, KafkaError] | None = None) -> None:
        """Set the outcome: it has failed. The error, which others may have too, says what `possibly_written` says.

        Raises:
            RuntimeError: it has an outcome, or still takes records.
        """
        self.apply(BatchEvent.COMPLETE)
        self.error = with_possibly_written(error, possibly_written=self.possibly_written)
        self.record_errors = record_errors
        self.drop_payload()

    def apply(self, event: BatchEvent) -> None:
        """Move on; an event that cannot happen in this state is a bug.

        Raises:
            RuntimeError: it cannot.
        """
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise RuntimeError(f"{event.name} cannot happen to {self!r}")
        self.state = state


_HALF_OF_THEM: Final = 1 << 30


def sequence_after(sequence: int, count: int) -> int:
    """Return the sequence number `count` records later."""
    return (sequence + count) & MAX_SEQUENCE


def sequence_distance(first: int, second: int) -> int:
    """Return how far `second` comes after `first`, negative if before; sequences wrap from MAX_SEQUENCE to 0."""
    return ((second - first + _HALF_OF_THEM) & MAX_SEQUENCE) - _HALF_OF_THEM
