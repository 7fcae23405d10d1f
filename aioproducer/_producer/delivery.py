"""Delivery: the awaitable of one record.

A Delivery is a view, (batch, index): it costs one small object for each record, and everything else is paid for by
the batch. While the record waits for its topic (submit_nowait) it points at that waiting entry instead; after a split
it follows its record into the new batch.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._core.accumulator.waiting import PendingAppend
from aioproducer._mypyc import mypyc_attr
from aioproducer._public import public_in
from aioproducer._runtime.outcome import follow_split, new_metadata, outcome_error, record_metadata, run_callback
from aioproducer._types import RecordMetadata, is_coroutine_function
from aioproducer.errors import IllegalStateError, KafkaError
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    from aioproducer._backend import Backend

DeliveryCallback = Callable[["Delivery"], object]
"""What is called with a Delivery once it is done: a plain function, on the event loop; what it returns is dropped."""


@mypyc_attr(allow_interpreted_subclasses=True)  # send_all has one of its own
class Delivery:
    """The outcome of one accepted record, now or later.

    Await it any number of times, from any tasks of the producer's loop; cancelling one of them changes nothing for
    the record or for the others. Done, it keeps no key, value or header.

    Example:
        delivery = await producer.submit("orders", b"value")   # accepted
        metadata = await delivery                              # acknowledged, or its error raised
    """

    __slots__ = ("__weakref__", "_backend", "_holder", "_index")

    # Any: programs make none, and what stands behind it (a ProducerBatch or a PendingAppend, a Backend) is not public.
    def __init__(self, holder: Any, index: int, backend: Any) -> None:
        self._holder: ProducerBatch | PendingAppend = holder
        self._index = index
        self._backend: Backend = backend

    def done(self) -> bool:
        """True when the outcome is final."""
        holder = self._resolve()
        if isinstance(holder, PendingAppend):
            return holder.error is not None
        return holder.state is BatchState.DONE

    def result(self) -> RecordMetadata:
        """Return where the record was written.

        Raises:
            IllegalStateError: it is not done yet.
            KafkaError: why it was not delivered; `possibly_written` tells whether it may be in the log all the same.
        """
        error = self.exception()
        if error is not None:
            raise fresh(error)
        return record_metadata(self._holder, self._index)

    def exception(self) -> KafkaError | None:
        """Return why the record was not delivered, or None when it was.

        Raises:
            IllegalStateError: it is not done yet.
        """
        if not self.done():
            raise IllegalStateError("the delivery is not done yet; await it, or add a callback")
        return outcome_error(self._holder, self._index)

    def add_done_callback(self, callback: DeliveryCallback) -> None:
        """Call `callback(delivery)` on the loop once the record is done, in this call's context variables.

        Never from inside this call. Callbacks run in the order of the records; one that raises is logged and hurts
        nobody else.

        Raises:
            TypeError: it is not callable, or a coroutine function (start a task in a plain function instead).
        """
        check_callback(callback)
        context = contextvars.copy_context()
        holder = self._resolve()
        if self.done():
            self._backend.call_soon(run_callback, callback, self, context)
            return
        entry = (self._index, (callback, self, context))  # what run_callback takes
        if holder.callbacks is None:
            holder.callbacks = [entry]
        else:
            holder.callbacks.append(entry)

    def __await__(self) -> Generator[Any, Any, RecordMetadata]:
        # Awaited in their order, nearly all find their batch delivered.
        holder = self._holder
        if isinstance(holder, ProducerBatch) and holder.plain_base_offset >= 0:
            index = self._index
            return new_metadata(
                RecordMetadata,
                (holder.topic, holder.partition, holder.plain_base_offset + index, holder.timestamps[index]),
            )
        while not self.done():
            if not self._backend.is_current():
                raise IllegalStateError("a delivery can only be awaited in the event loop of its producer")
            yield from park(self._resolve(), self._index, self._backend)
        return self.result()

    def __repr__(self) -> str:
        holder = self._resolve()
        state = "pending" if not self.done() else "failed" if outcome_error(holder, self._index) else "delivered"
        return f"<Delivery {state} topic={holder.topic!r} partition={holder.partition}>"

    def _resolve(self) -> ProducerBatch | PendingAppend:
        """Move on to where the record is by now."""
        holder = self._holder
        if isinstance(holder, PendingAppend):
            if holder.batch is None:
                return holder
            self._index = holder.index
            self._holder = holder = holder.batch
        if holder.split_into is not None:
            holder, self._index = follow_split(holder, self._index)
            self._holder = holder
        return holder


public_in("aioproducer")(Delivery)  # no decorator: of a class that has others mypyc makes no native one


def park(holder: ProducerBatch | PendingAppend, index: int, backend: Backend) -> Generator[Any, Any, None]:
    """Wait until the batch (or the waiting entry) is done; cancelled, only this wait ends."""
    waiter = backend.new_waiter()
    if holder.waiters is None:
        holder.waiters = [(index, waiter)]
    else:
        holder.waiters.append((index, waiter))
    yield from waiter.__await__()


def check_callback(callback: object) -> None:
    """Refuse what could not work as a callback."""
    if not callable(callback):
        raise TypeError(f"a delivery callback must be callable, not {type(callback).__name__}")
    if is_coroutine_function(callback):
        raise TypeError(
            "a delivery callback must be a plain function, not a coroutine function: nothing would await it; "
            "start a task in it, or await the delivery"
        )
