"""send_all: many records in bounded memory, and the outcome of each kept in little."""

from __future__ import annotations

import contextvars
from array import array
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, overload

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._producer.delivery import Delivery
from aioproducer._producer.send_path import MISSING
from aioproducer._runtime.outcome import follow_split, outcome_error, record_metadata
from aioproducer._types import ProducerRecord, RecordMetadata
from aioproducer.errors import (
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    SendAllError,
    TransactionAbortableError,
    TransactionAbortedError,
)
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    from aioproducer._producer.delivery import DeliveryCallback
    from aioproducer._producer.prepare import PreparedRecord
    from aioproducer._producer.send_path import Appended, SendPath


GROWTH: Final = 1024
"""Places that are made at once."""


class SentRecords(Sequence[RecordMetadata]):
    """Where each of many records was written, in their order: 24 bytes for each, a RecordMetadata when asked for."""

    __slots__ = ("_count", "_numbers", "_offsets", "_partitions", "_timestamps_ms", "_topic_numbers", "_topics")

    def __init__(self) -> None:
        self._count = 0
        self._topics: list[str] = []
        self._numbers: dict[str, int] = {}  # of the topics
        self._topic_numbers = array("i")
        self._partitions = array("i")
        self._offsets = array("q")
        self._timestamps_ms = array("q")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int, /) -> RecordMetadata: ...

    @overload
    def __getitem__(self, index: slice, /) -> Sequence[RecordMetadata]: ...

    def __getitem__(self, index: int | slice, /) -> RecordMetadata | Sequence[RecordMetadata]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(self._count)[index]
        topic = self._topics[self._topic_numbers[index]]
        return RecordMetadata(topic, self._partitions[index], self._offsets[index], self._timestamps_ms[index])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} records>"

    def reserve(self, count: int = 1) -> int:
        """Make places at the end and return the index of the first."""
        index = self._count
        self._count = index + count
        while self._count > len(self._offsets):  # in steps: appending to four arrays takes 0.3 µs a record
            nothing = bytes(8 * GROWTH)
            self._topic_numbers.frombytes(nothing[: 4 * GROWTH])
            self._partitions.frombytes(nothing[: 4 * GROWTH])
            self._offsets.frombytes(nothing)
            self._timestamps_ms.frombytes(nothing)
        return index

    def put(self, index: int, topic: str, partition: int, offset: int, timestamp_ms: int) -> None:
        """Fill a place."""
        self._topic_numbers[index] = self._number(topic)
        self._partitions[index] = partition
        self._offsets[index] = offset
        self._timestamps_ms[index] = timestamp_ms

    def put_all(self, places: Sequence[int], batch: ProducerBatch, indices: Sequence[int]) -> None:
        """Fill the places of records of a delivered batch; both places and indices ascend."""
        first, count = places[0], len(places)
        if places[-1] - first != count - 1 or indices[-1] - indices[0] != count - 1:
            for place, index in zip(places, indices, strict=True):
                self.put(place, *record_metadata(batch, index))
            return
        # Neighbours are written as slices: 0.1 µs a record, against 0.9.
        end = first + count
        _, partition, offset, _ = record_metadata(batch, indices[0])
        self._topic_numbers[first:end] = array("i", [self._number(batch.topic)]) * count
        self._partitions[first:end] = array("i", [partition]) * count
        self._offsets[first:end] = array("q", range(offset, offset + count) if offset >= 0 else [-1] * count)
        timestamps_ms = batch.timestamps[indices[0] : indices[0] + count]
        appended_ms = batch.log_append_time_ms
        self._timestamps_ms[first:end] = array("q", timestamps_ms if appended_ms < 0 else [appended_ms] * count)

    def _number(self, topic: str) -> int:
        number = self._numbers.get(topic)
        if number is None:
            number = self._numbers[topic] = len(self._topics)
            self._topics.append(topic)
        return number


class PartlySentRecords(Sequence[RecordMetadata | None]):
    """The same, with None in the place of each record that failed."""

    __slots__ = ("_failures", "_sent")

    def __init__(self, sent: SentRecords, failures: Mapping[int, Exception]) -> None:
        self._sent = sent
        self._failures = failures

    def __len__(self) -> int:
        return len(self._sent)

    @overload
    def __getitem__(self, index: int, /) -> RecordMetadata | None: ...

    @overload
    def __getitem__(self, index: slice, /) -> Sequence[RecordMetadata | None]: ...

    def __getitem__(self, index: int | slice, /) -> RecordMetadata | Sequence[RecordMetadata | None] | None:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return None if place in self._failures else self._sent[place]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} records, {len(self._failures)} failed>"


class _BatchShare:
    """The records of one send_all that went into one batch: their indices there, and their places among the results.

    All of them have one callback in common, which the batch calls for each; the first call files them all.
    """

    __slots__ = ("_bulk", "batch", "children", "indices", "places")

    def __init__(self, bulk: SendAll, batch: ProducerBatch) -> None:
        self._bulk = bulk
        self.batch = batch
        self.indices: list[int] = []
        self.places: list[int] = []
        self.children: list[_BatchShare] = []  # once the batch was split

    def entry(self) -> tuple[DeliveryCallback, Delivery, contextvars.Context]:
        """Return the callback as the batch takes it; the Delivery is that of any record of it."""
        return self.file, self._bulk.delivery(self.batch), self._bulk.context

    def file(self, _: object = None) -> None:
        """File the outcomes that are there and were not filed before."""
        places = self.places
        if places:
            if self.batch.split_into is not None:
                self._follow_split()
            elif self.batch.state is BatchState.DONE:
                self.places = []
                self._bulk.file(self.batch, places, self.indices)
        for child in self.children:
            child.file()

    def _follow_split(self) -> None:
        self._bulk.forget(self.batch)
        parts: dict[ProducerBatch, _BatchShare] = {}
        for place, index in zip(self.places, self.indices, strict=True):
            appended, index_there = follow_split(self.batch, index)
            part = parts.get(appended)
            if part is None:
                part = parts[appended] = _BatchShare(self._bulk, appended)
            part.places.append(place)
            part.indices.append(index_there)
        self.places = []
        self.children = list(parts.values())


class SendAll:
    """One call of send_all.

    Each accepted record has a callback that files its outcome with those of its batch, so that nothing of it is kept
    but its place in the columns: what is not acknowledged is bounded by buffer_memory, what is takes 24 bytes.
    """

    def __init__(self, send_path: SendPath, prepare: Callable[..., PreparedRecord] | None = None) -> None:
        """Begin; `prepare` checks and serializes in another way than the producer's.

        Raises:
            KafkaError: nothing can be sent now.
        """
        self._send_path = send_path
        self._is_plain = prepare is None
        self._append = _way_in(send_path, prepare)
        self._runtime = send_path.running()
        blocked_error = self._runtime.accumulator.blocked_error
        if blocked_error is not None:
            raise fresh(blocked_error)
        self._sent = SentRecords()
        self._failures: dict[int, Exception] = {}
        self._parts: dict[ProducerBatch, _BatchShare] = {}  # by their batches, which have no outcome yet
        self._open_count = 0
        self._waiter: Awaitable[None] | None = None
        self._is_abandoned = False
        self.context: Final = contextvars.copy_context()

    async def run(self, records: Iterable[ProducerRecord[Any, Any]] | AsyncIterable[ProducerRecord[Any, Any]]) -> None:
        """Accept the records and wait for the outcome of each. Leaves early only with an exception of the source."""
        try:
            await self._accept_all(records)
            await self._wait_for_outcomes()
        except BaseException:
            self._is_abandoned = True  # failures from now on are nobody's
            raise

    def result(self) -> Sequence[RecordMetadata]:
        """Return where the records are.

        Raises:
            SendAllError: some were not delivered.
        """
        failures = self._failures
        if not failures:
            return self._sent
        first = min(failures)
        told = f"{len(failures)} of {len(self._sent)} records were not delivered; the first is record {first}"
        why = failures[first]
        error = SendAllError(
            f"{told}: {_in_words(why)}", results=PartlySentRecords(self._sent, failures), failures=failures
        )
        raise error from why

    # ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _accept_all(
        self, records: Iterable[ProducerRecord[Any, Any]] | AsyncIterable[ProducerRecord[Any, Any]]
    ) -> None:
        if isinstance(records, AsyncIterable):
            async for each in records:
                if not await self._accept(each):
                    return
            return
        source: Iterator[Any] = iter(records)
        while True:
            record: Any = self._accept_some(source) if self._is_plain else next(source, MISSING)
            if record is MISSING or not await self._accept(record):
                return

    def _accept_some(self, source: Iterator[Any]) -> Any:
        """Append as many as go in at once; return the first that does not, or MISSING when there is none."""
        taken: dict[ProducerBatch, tuple[list[int], list[int]]] = {}
        try:
            return self._send_path.append_some(source, len(self._sent), taken)
        finally:  # of an exception of the source, too
            # No other task has run since they were appended, so that none of the batches is done.
            for batch, (places, indices) in taken.items():
                self._sent.reserve(len(places))
                self._watch(batch, places, indices)

    async def _accept(self, record: ProducerRecord[Any, Any]) -> bool:
        """Append a record, waiting for buffer memory; False when there is no use in going on."""
        send_path = self._send_path
        place = self._sent.reserve()
        try:
            if not isinstance(record, ProducerRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"send_all takes ProducerRecords, not {type(record).__name__}")
            # Not the record itself: from its parts the short way of the send_path is open.
            parts = (record.topic, record.value, record.key, record.partition, record.timestamp_ms, record.headers)
            appended: Any = self._append(*parts)
            if appended.__class__ is ProducerBatch:  # no call: see Appended
                batch, index = appended, appended.count - 1
            else:
                batch, index = appended if appended.__class__ is tuple else await send_path.wait_and_append(appended)
        except Exception as error:
            self._failures[place] = error
            if send_path.has_to_yield():  # nothing was appended, which would have seen to that
                await self._runtime.backend.yield_now()
            return not _would_meet_the_next_too(error)
        batch, index = follow_split(batch, index)
        self._watch(batch, [place], [index])
        return True

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, batch: ProducerBatch, places: list[int], indices: list[int]) -> None:
        """Have the outcomes of records filed when they are there."""
        part = self._parts.get(batch)
        if part is None:
            part = self._parts[batch] = _BatchShare(self, batch)
        part.places += places
        part.indices += indices
        self._open_count += len(places)
        entries = zip(indices, repeat(part.entry()))
        if batch.state is BatchState.DONE:
            self._runtime.backend.call_soon(part.file)  # a grant was completed long before its task could run
        elif batch.callbacks is None:
            batch.callbacks = list(entries)
        else:
            batch.callbacks.extend(entries)

    def file(self, batch: ProducerBatch, places: Sequence[int], indices: Sequence[int]) -> None:
        """Keep the outcomes of records of a batch that is done."""
        self.forget(batch)
        if batch.error is None and batch.record_errors is None:
            self._sent.put_all(places, batch, indices)
        else:
            for place, index in zip(places, indices, strict=True):
                self._file_one(batch, place, index)
        self._open_count -= len(places)
        if not self._open_count and self._waiter is not None:
            # Not from here: those who wait come after all callbacks.
            self._runtime.backend.call_soon(self._runtime.backend.wake, [self._waiter])

    def delivery(self, batch: ProducerBatch) -> Delivery:
        """Return a Delivery of the batch."""
        return Delivery(batch, 0, self._runtime.backend)

    def forget(self, batch: ProducerBatch) -> None:
        """No more records can come into this batch without being told of one by one."""
        self._parts.pop(batch, None)

    def _file_one(self, batch: ProducerBatch, place: int, index: int) -> None:
        error = outcome_error(batch, index)
        if error is None:
            self._sent.put(place, *record_metadata(batch, index))
            return
        self._failures[place] = error
        if self._is_abandoned:
            self._runtime.undelivered.add(
                batch.topic, 1, error, self._runtime.clock(), possibly_written=error.possibly_written
            )

    async def _wait_for_outcomes(self) -> None:
        runtime = self._runtime
        if not self._open_count:
            await runtime.backend.yield_now()
            return
        # Nothing more is coming: lingering would be of no use.
        ticket = runtime.call(runtime.accumulator.begin_flush, runtime.clock())
        runtime.wake()
        try:
            while self._open_count:
                self._waiter = runtime.backend.new_waiter()
                await self._waiter
        finally:
            self._waiter = None
            runtime.call_or_later(runtime.accumulator.end_flush, ticket)


def _way_in(send_path: SendPath, prepare: Callable[..., PreparedRecord] | None) -> Callable[..., Appended]:
    """Return what takes the parts of a record and appends it at once, or returns it prepared, as it has to wait."""
    if prepare is None:
        return partial(send_path.try_append, may_yield=True)

    def append(*parts: Any) -> Appended:
        record = prepare(*parts)
        return record if send_path.has_to_yield() else send_path.append_prepared(record)

    return append


def _in_words(error: Exception) -> str:
    """What an error says; of the application's own, a partitioner's say, the class alone: it may quote the record."""
    if isinstance(error, KafkaError):
        return str(error)
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    is_ours = type(error) in (TypeError, ValueError) and module.startswith("aioproducer.")
    return str(error) if is_ours else type(error).__name__


def _would_meet_the_next_too(error: Exception) -> bool:
    """Whether reading on would only collect the same error, after the same wait."""
    ends = IllegalStateError | KafkaTimeoutError | TransactionAbortableError | TransactionAbortedError
    return isinstance(error, ends) or (isinstance(error, KafkaError) and error.fatal)
