"""The way of a record from a call to its batch: checked, appended at once if it can be, else queued until its turn."""

from __future__ import annotations

import enum
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aioproducer._producer.prepare import PreparedRecord
from aioproducer._types import ProducerRecord
from aioproducer.errors import BufferTimeoutError, IllegalStateError, InvalidTopicError, KafkaError, ProducerClosedError
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aioproducer._backend import Backend
    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import PendingAppend, Waiting
    from aioproducer._core.accumulator.append import Appender
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.transactions.open_transaction import TransactionTicket
    from aioproducer._producer.prepare import RecordPreparer
    from aioproducer._runtime.loop import Runtime
    from aioproducer._types import Headers


Append: TypeAlias = (
    "Callable[[str, int | None, bytes | None, bytes | None, Headers | None, int, float], ProducerBatch | None]"
)


Place: TypeAlias = "tuple[ProducerBatch, int]"
"""Where a record is: its batch, and its index there."""

Appended: TypeAlias = "ProducerBatch | Place | PreparedRecord"
"""What has become of a record: it is the last of the batch, as long as nothing else is called (which may let other code
run, and append); or it is in this place; or it has to wait.
"""


class Missing(enum.Enum):
    """The value was not given: None is a value, a tombstone."""

    MISSING = 0


MISSING: Final = Missing.MISSING

YIELD_MS = 2
"""For so long a loop of submits keeps other tasks from running. The batches that fill up meanwhile go together in few
requests: yielding for each, records of 100 bytes take 1.2 times as much CPU, those of 1 KB twice as much."""

YIELD_BATCHES = 16
"""But not for more batches than these, which may be large."""


class State(enum.Enum):
    """Where a producer is in its life, in the words of its refusals."""

    NEW = "it was not started: use `async with`, or await start()"
    STARTING = "it is being started"
    RUNNING = "it is running"
    CLOSING = "it is being closed"
    CLOSED = "it is closed; start() makes it usable again"


class SendPath:
    """Lets records in while the producer runs, and says why not when it does not.

    Attributes:
        state: of the producer; set by it.
    """

    def __init__(self, config: ProducerConfig, client_id: str, preparer: RecordPreparer) -> None:
        self.state = State.NEW
        self._client_id = client_id
        self._preparer = preparer
        self._max_block = config.max_block_ms / 1000
        self._runtime: Runtime | None = None
        self._appender: Appender | None = None  # set while records are let in
        self._plain: Appender | None = None  # the same, if records of bytes need nothing done to them
        self._serializing: Appender | None = None  # the same, if serializers are all that is needed
        self._current_token: Callable[[], object] = object
        self._token: object = None
        self._yield_at = 0
        self._yielded_ms = 0

    def open(self, runtime: Runtime) -> None:
        """Let records in, from the loop of this runtime."""
        self._runtime = runtime
        self._clock = runtime.clock
        self._current_token = runtime.backend.current_token
        self._token = runtime.backend.token
        self._yield_at = 0
        appender = self._appender = runtime.accumulator.appender
        self._plain = appender if self._preparer.is_plain else None
        self._serializing = appender if self._preparer.is_serializing else None
        self.state = State.RUNNING

    def close(self, state: State) -> None:
        """Let no more in."""
        self._appender = None
        self._plain = None
        self._serializing = None
        self.state = state

    def running(self) -> Runtime:
        """Return the runtime.

        Raises:
            ProducerClosedError, IllegalStateError: the producer does not run, or not in this loop, thread and process.
        """
        if self._appender is None or self._runtime is None or self._current_token() is not self._token:
            raise self.refusal()
        return self._runtime

    @property
    def backend(self) -> Backend:
        """The event loop; raises as `running`."""
        return self.running().backend

    def refusal(self) -> KafkaError:
        """Why a call is not possible now."""
        if self.state in {State.CLOSED, State.CLOSING}:
            return ProducerClosedError(f"{self._client_id} cannot be used: {self.state.value}")
        if self.state is not State.RUNNING:
            return IllegalStateError(f"{self._client_id} cannot be used: {self.state.value}")
        return IllegalStateError(
            f"{self._client_id} belongs to another event loop, thread or process: use it where it was started (each"
            " asyncio.run has a loop of its own; after fork, make a new producer; in threads, use its thread_entry())"
        )

    # ── appending ────────────────────────────────────────────────────────────────────────────────────────────────────

    def try_append(
        self,
        topic: Any,
        value: Any,
        key: Any,
        partition: Any,
        timestamp_ms: Any,
        headers: Any,
        may_yield: bool = False,
    ) -> Appended:
        """Append the record and return where it is; or return it prepared, as it has to wait.

        Args:
            topic, value, key, partition, timestamp_ms, headers: the record.
            may_yield: return it prepared, too, whenever a few batches were filled, and every few milliseconds: a loop
                of such calls lets other tasks run then.

        Raises:
            TypeError, ValueError, KafkaError: the record is wrong, or the producer does not run.
        """
        append: Append | None = None
        appender = self._plain
        if (
            appender is not None
            and partition is None
            and timestamp_ms is None
            and type(value) is bytes
            and (key is None or type(key) is bytes)
            and topic.__class__ is str
            and self._current_token() is self._token
        ):
            now_ms = time_ns() // 1_000_000
            # What has_to_yield says, in line, as its call for each record would cost as much as all of the checks.
            if not may_yield or (
                appender.closed_batches < self._yield_at and 0 <= now_ms - self._yielded_ms < YIELD_MS
            ):
                if key is None and headers is None:
                    batch = appender.append_plain(topic, value, now_ms)
                else:
                    batch = appender.append_fast(topic, key, value, headers, now_ms)
                if batch is not None:
                    return batch
                if headers is None:
                    return self._append_declined(appender, topic, key, value, now_ms)
                append = appender.append_or_decline
        appender = self._serializing
        if (
            appender is not None
            and partition is None
            and timestamp_ms is None
            and headers is None
            and value is not MISSING
            and topic.__class__ is str
            and appender.is_open(topic)
            and self._current_token() is self._token
        ):
            return self._append_serialized(appender, topic, value, key, may_yield)
        record = self.prepare(topic, value, key, partition, timestamp_ms, headers)
        if may_yield and self.has_to_yield():
            return record
        return self._append(record, append or self.running().accumulator.appender.try_append)

    def _append_declined(
        self, appender: Appender, topic: str, key: bytes | None, value: bytes, now_ms: int
    ) -> Appended:
        """As `try_append`, for bytes that the fast way has declined: there is no batch that has room, mostly."""
        batch = appender.append_or_decline(topic, None, key, value, None, now_ms, self._clock())
        if batch is None:
            return self.prepare(topic, value, key, None, None, None)  # it has to wait, or this says why it may not
        place = batch, batch.count - 1
        if appender.needs_wake and self._runtime is not None:
            self._runtime.wake()
        return place

    def _append_serialized(self, appender: Appender, topic: str, value: Any, key: Any, may_yield: bool) -> Appended:
        """As `try_append`, for a record for an open topic that needs nothing but the producer's serializers."""
        key, value = self._preparer.serialize(topic, value, key)
        if not (may_yield and self.has_to_yield()):
            batch = appender.try_append(topic, None, key, value, None, time_ns() // 1_000_000, self._clock())
            if batch is not None:
                if not appender.needs_wake or self._runtime is None:
                    return batch
                place = batch, batch.count - 1
                self._runtime.wake()
                return place
        return PreparedRecord(topic, None, key, value, None, None)

    def append_some(
        self, records: Iterator[Any], place: int, taken: dict[ProducerBatch, tuple[list[int], list[int]]]
    ) -> Any:
        """Append ProducerRecords as long as each is appended at once and no other task is to have its turn.

        Args:
            records: where they come from; what it raises is raised.
            place: the number of the next one.
            taken: by batch, gets the places of the records appended, and their indices in the batch.

        Returns:
            The first record that takes more than that and was not appended, or MISSING when there are no more.
        """
        appender = self._plain
        if appender is None or appender.closed_batches >= self._yield_at or self._current_token() is not self._token:
            return next(records, MISSING)
        append_plain, append_fast = appender.append_plain, appender.append_fast
        since_ms = self._yielded_ms
        until_ms = since_ms + YIELD_MS
        last: ProducerBatch | None = None
        places: list[int] = []
        indices: list[int] = []
        for record in records:
            if (
                record.__class__ is not ProducerRecord
                or record.partition is not None
                or record.timestamp_ms is not None
            ):
                return record
            topic, value, key, headers = record.topic, record.value, record.key, record.headers
            now_ms = time_ns() // 1_000_000
            if (
                type(value) is not bytes
                or topic.__class__ is not str
                or (key is not None and type(key) is not bytes)
                or not since_ms <= now_ms < until_ms
            ):
                return record
            if key is None and headers is None:
                batch = append_plain(topic, value, now_ms)
            else:
                batch = append_fast(topic, key, value, headers, now_ms)
            if batch is None:
                return record
            index = batch.count - 1  # at once: see Appended
            if batch is not last:
                last = batch
                of_batch = taken.get(batch)
                if of_batch is None:
                    of_batch = taken[batch] = ([], [])
                places, indices = of_batch
            places.append(place)
            indices.append(index)
            place += 1
        return MISSING

    def has_to_yield(self) -> bool:
        """True whenever a few batches were filled, and every few milliseconds."""
        appender = self._appender
        now_ms = time_ns() // 1_000_000
        if appender is None or (appender.closed_batches < self._yield_at and 0 <= now_ms - self._yielded_ms < YIELD_MS):
            return False
        self._yield_at = appender.closed_batches + YIELD_BATCHES
        self._yielded_ms = now_ms
        return True

    def prepare(
        self,
        topic: Any,
        value: Any,
        key: Any,
        partition: Any,
        timestamp_ms: Any,
        headers: Any,
        *,
        preparer: RecordPreparer | None = None,
    ) -> PreparedRecord:
        """Check and serialize a record, in another way than the producer's if given; raises as `try_append`."""
        appender = self.running().accumulator.appender
        if appender.blocked_error is not None:
            raise fresh(appender.blocked_error)
        if isinstance(topic, ProducerRecord):
            if value is not MISSING or (key, partition, timestamp_ms, headers) != (None, None, None, None):
                raise TypeError("give a ProducerRecord alone: everything else about the record is its own")
            record: ProducerRecord[Any, Any] = topic  # pyright: ignore[reportUnknownVariableType]
            topic, value, key = record.topic, record.value, record.key
            partition, timestamp_ms, headers = record.partition, record.timestamp_ms, record.headers
        elif value is MISSING:
            raise TypeError("value is missing; give value=None for a tombstone")
        try:
            return (preparer or self._preparer).prepare(topic, value, key, partition, timestamp_ms, headers)
        except InvalidTopicError as error:
            appender.notes.note_refusal(error)
            raise

    def append_prepared(self, record: PreparedRecord) -> Place | PreparedRecord:
        """Append a record that is prepared, or return it as it has to wait; as `try_append`."""
        return self._append(record, self.running().accumulator.appender.try_append)

    def _append(self, record: PreparedRecord, append: Append) -> Place | PreparedRecord:
        topic, partition, key, value, headers, _ = record
        try:
            batch = append(topic, partition, key, value, headers, _timestamp_ms(record), self._clock())
        except Exception as error:
            self._preparer.refused(record, error)
            raise
        if batch is None:
            return record
        index = batch.count - 1
        self._preparer.appended(batch, index, headers)
        runtime = self._runtime
        if runtime is not None and runtime.accumulator.needs_wake:
            runtime.wake()
        return batch, index

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def enqueue(self, record: PreparedRecord, *, accepted: bool) -> PendingAppend:
        """Queue a record behind those that wait already; `accepted` as in Accumulator.enqueue."""
        runtime = self.running()
        now = self._clock()
        # The core has no wall clock to ask when it appends an accepted one by itself.
        timestamp_ms = _timestamp_ms(record) if accepted else record.timestamp_ms
        topic, partition, key, value, headers, _ = record
        accumulator = runtime.accumulator
        enqueue: Callable[..., PendingAppend] = accumulator.accept_later
        if not (accepted and accumulator.is_busy):
            enqueue = partial(runtime.call, partial(accumulator.enqueue, accepted=accepted))
        try:
            pending = enqueue(topic, partition, key, value, headers, timestamp_ms, now, now + self._max_block)
        except Exception as error:
            self._preparer.refused(record, error)
            raise
        if accepted:
            self._preparer.appended(pending, 0, headers)
        runtime.wake()
        return pending

    async def wait_and_append(self, record: PreparedRecord) -> tuple[ProducerBatch, int]:
        """Wait for the record's turn, then append it. Cancelled, it leaves the queue and was never accepted."""
        pending = self.enqueue(record, accepted=False)
        runtime = self.running()
        try:
            if pending.has_to_park:
                await park(runtime, pending)
            else:
                await yield_with_grant(runtime, pending)
        except BaseException as error:
            runtime.call_or_later(runtime.accumulator.cancel, pending)
            runtime.wake()
            self._preparer.refused(record, error)
            raise
        try:
            complete_append = runtime.accumulator.complete_append
            batch = runtime.call(complete_append, pending, self._clock(), _timestamp_ms(record))
        except Exception as error:
            runtime.figures.calls_without_room += isinstance(error, BufferTimeoutError)
            self._preparer.refused(record, error)
            raise
        finally:
            runtime.wake()
        self._preparer.appended(batch, pending.index, record.headers)
        return batch, pending.index


async def park(runtime: Runtime, waiting: Waiting | TransactionTicket) -> None:
    """Suspend until the core says that this wait is over."""
    waiter = runtime.backend.new_waiter()
    waiting.waiter = waiter
    runtime.wake()
    await waiter


async def yield_with_grant(runtime: Runtime, pending: PendingAppend) -> None:
    """Let others run while a grant is kept. Not by a mere checkpoint: see `Runtime.resume_soon`."""
    waiter = runtime.backend.new_waiter()
    pending.waiter = waiter
    runtime.resume_soon([pending])
    await waiter


def _timestamp_ms(record: PreparedRecord) -> int:
    return time_ns() // 1_000_000 if record.timestamp_ms is None else record.timestamp_ms


def check_timeout(timeout: object) -> None:
    """Check a timeout given by the caller: seconds, at least 0, or None.

    Raises:
        TypeError, ValueError: it is something else.
    """
    if timeout is None:
        return
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise TypeError(f"timeout is {type(timeout).__name__}; it must be a number of seconds, or None")
    if not timeout >= 0:
        raise ValueError(f"timeout is {timeout}; it must be at least 0 seconds, or None")
