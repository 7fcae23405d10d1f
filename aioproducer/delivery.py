"""Delivery: the awaitable of one record.

A Delivery is a view, (batch, index): it costs one small object for each record, and everything else is paid for by
the batch. While the record waits for its topic (submit_nowait) it points at that waiting entry instead; after a split
it follows its record into the new batch.
"""

from __future__ import annotations

import contextvars
import copy
import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from aioproducer._core.batch import BatchState, ProducerBatch
from aioproducer._core.waiting import PendingAppend
from aioproducer._mypyc import mypyc_attr
from aioproducer.errors import IllegalStateError, KafkaError
from aioproducer.errors.wordless import wordless
from aioproducer.records import RecordMetadata

if TYPE_CHECKING:
    from aioproducer._backend import Backend

DeliveryCallback = Callable[["Delivery"], object]

# 0.15 µs; RecordMetadata(…) takes 0.31.
new_metadata: Final[Callable[[type[RecordMetadata], tuple[str, int, int, int]], RecordMetadata]] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@mypyc_attr(allow_interpreted_subclasses=True)  # send_all has one of its own
class Delivery:
    """The outcome of one accepted record, now or later.

    Await it any number of times, from any tasks of the producer's loop; cancelling one of them changes nothing for
    the record or for the others. Done, it keeps no key, value or header.

    Example:
        delivery = await producer.submit("orders", b"value")   # accepted
        metadata = await delivery                              # acknowledged, or its error raised
    """

    __slots__ = ("__weakref__", "_backend", "_home", "_index")

    def __init__(self, home: ProducerBatch | PendingAppend, index: int, backend: Backend) -> None:
        self._home = home
        self._index = index
        self._backend = backend

    def done(self) -> bool:
        """True when the outcome is final."""
        home = self._resolve()
        if isinstance(home, PendingAppend):
            return home.error is not None
        return home.state is BatchState.DONE

    def result(self) -> RecordMetadata:
        """Return where the record was written.

        Raises:
            IllegalStateError: it is not done yet.
            KafkaError: why it was not delivered; `possibly_written` tells whether it may be in the log all the same.
        """
        error = self.exception()
        if error is not None:
            raise fresh(error)
        return record_metadata(self._home, self._index)

    def exception(self) -> KafkaError | None:
        """Return why the record was not delivered, or None when it was.

        Raises:
            IllegalStateError: it is not done yet.
        """
        if not self.done():
            raise IllegalStateError("the delivery is not done yet; await it, or add a callback")
        return outcome_error(self._home, self._index)

    def add_done_callback(self, callback: DeliveryCallback) -> None:
        """Call `callback(delivery)` on the loop once the record is done, in this call's context variables.

        Never from inside this call. Callbacks run in the order of the records; one that raises is logged and hurts
        nobody else.

        Raises:
            TypeError: it is not callable, or a coroutine function (start a task in a plain function instead).
        """
        check_callback(callback)
        context = contextvars.copy_context()
        home = self._resolve()
        if self.done():
            self._backend.call_soon(run_callback, callback, self, context)
            return
        entry = (self._index, (callback, self, context))  # what run_callback takes
        if home.callbacks is None:
            home.callbacks = [entry]
        else:
            home.callbacks.append(entry)

    def __await__(self) -> Generator[Any, Any, RecordMetadata]:
        # Awaited in their order, nearly all find their batch delivered.
        home = self._home
        if isinstance(home, ProducerBatch) and home.usual_offset >= 0:
            index = self._index
            return new_metadata(
                RecordMetadata, (home.topic, home.partition, home.usual_offset + index, home.timestamps[index])
            )
        while not self.done():
            if not self._backend.is_current():
                raise IllegalStateError("a delivery can only be awaited in the event loop of its producer")
            yield from park(self._resolve(), self._index, self._backend)
        return self.result()

    def __repr__(self) -> str:
        home = self._resolve()
        state = "pending" if not self.done() else "failed" if outcome_error(home, self._index) else "delivered"
        return f"<Delivery {state} topic={home.topic!r} partition={home.partition}>"

    def _resolve(self) -> ProducerBatch | PendingAppend:
        """Move on to where the record is by now."""
        home = self._home
        if isinstance(home, PendingAppend):
            if home.batch is None:
                return home
            self._index = home.index
            self._home = home = home.batch
        if home.split_into is not None:
            home, self._index = follow_split(home, self._index)
            self._home = home
        return home


def park(home: ProducerBatch | PendingAppend, index: int, backend: Backend) -> Generator[Any, Any, None]:
    """Wait until the batch (or the waiting entry) is done; cancelled, only this wait ends."""
    waiter = backend.new_waiter()
    if home.waiters is None:
        home.waiters = [(index, waiter)]
    else:
        home.waiters.append((index, waiter))
    yield from waiter.__await__()


def follow_split(batch: ProducerBatch, index: int) -> tuple[ProducerBatch, int]:
    """Return the batch that holds the record now, and its index there."""
    while batch.split_into is not None:
        for first, child in reversed(batch.split_into):
            if index >= first:
                batch, index = child, index - first
                break
    return batch, index


def outcome_error(home: ProducerBatch | PendingAppend, index: int) -> KafkaError | None:
    """Return the error of one record of a done batch, or None."""
    if isinstance(home, PendingAppend):
        waiting_error: KafkaError | None = home.error
        return waiting_error
    if home.record_errors is not None:
        error = home.record_errors.get(index)
        if error is not None:
            return error
    return home.error


def fresh(error: KafkaError) -> KafkaError:
    """Return a copy to raise: one error is shared by all records of a batch, and each raise adds to its traceback."""
    duplicate = copy.copy(error)
    duplicate.__cause__ = error.__cause__
    duplicate.__suppress_context__ = True
    return duplicate


def record_metadata(home: ProducerBatch | PendingAppend, index: int) -> RecordMetadata:
    """Return the RecordMetadata of one record of a delivered batch."""
    assert isinstance(home, ProducerBatch), "a record without a batch is not delivered"
    base_offset = home.base_offset
    timestamp_ms = home.log_append_time_ms
    return new_metadata(
        RecordMetadata,
        (
            home.topic,
            home.partition,
            base_offset + index if base_offset >= 0 else -1,
            timestamp_ms if timestamp_ms >= 0 else home.timestamps[index],
        ),
    )


def check_callback(callback: object) -> None:
    """Refuse what could not work as a callback."""
    if not callable(callback):
        raise TypeError(f"a delivery callback must be callable, not {type(callback).__name__}")
    if inspect.iscoroutinefunction(callback):
        raise TypeError(
            "a delivery callback must be a plain function, not a coroutine function: nothing would await it; "
            "start a task in it, or await the delivery"
        )


def run_callback(callback: DeliveryCallback, delivery: Delivery, context: contextvars.Context) -> None:
    """Run one user callback; what it raises is logged and goes no further."""
    try:
        context.run(callback, delivery)
    except Exception as error:
        import logging  # here, as in all that `import` loads: 5 ms with what it imports; event loops have it anyway

        log = logging.getLogger("aioproducer.delivery")
        log.error(
            "a delivery callback raised (%r); its record is not affected",
            delivery,
            exc_info=wordless(error),
            extra={"event": "callback_failed"},
        )
