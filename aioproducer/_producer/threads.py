"""ThreadEntry: a producer's calls for code that runs in other threads than its event loop."""

from __future__ import annotations

import os
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import anyio.from_thread

from aioproducer._backend.ending import is_cancellation
from aioproducer._public import public_in
from aioproducer._types import HeadersLike, K, ProducerRecord, RecordMetadata, V
from aioproducer.errors import IllegalStateError, ProducerClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyio.lowlevel import EventLoopToken

    from aioproducer._backend import Backend
    from aioproducer._producer.delivery import Delivery
    from aioproducer._producer.producer import Producer

T = TypeVar("T")


@public_in("aioproducer")
class ThreadEntry(Generic[K, V]):
    """Sends from any thread but the producer's; `Producer.thread_entry` makes it, in the event loop.

    Each call goes to the event loop and back, about 0.2 ms: a thread with many records hands them over with `send_all`.
    The loop has to be running, so never wait for such a thread without awaiting (`anyio.to_thread.run_sync` awaits).

    Example:
        entry = producer.thread_entry()
        await anyio.to_thread.run_sync(lambda: entry.send("orders", b"value"))
    """

    def __init__(self, producer: Producer[K, V], backend: Backend, token: EventLoopToken | None) -> None:
        self._producer = producer
        self._backend = backend
        self._token = token
        self._process_id = os.getpid()

    def send(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
    ) -> RecordMetadata:
        """Send one record and block this thread until it is acknowledged; raises as `Producer.send`."""
        given: dict[str, Any] = {"key": key, "partition": partition, "timestamp_ms": timestamp_ms, "headers": headers}
        return self._run(partial(self._producer.send, topic, value, **given))

    def submit(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
    ) -> Future[RecordMetadata]:
        """Block this thread until the record is accepted; its outcome is that of the future, which cannot be cancelled.

        Raises: as `Producer.submit`.
        """
        future: Future[RecordMetadata] = Future()
        future.set_running_or_notify_cancel()
        given: dict[str, Any] = {"key": key, "partition": partition, "timestamp_ms": timestamp_ms, "headers": headers}
        self._run(partial(self._producer.submit, topic, value, on_delivery=partial(_resolve, future), **given))
        return future

    def send_all(self, records: list[ProducerRecord[K, V]]) -> list[RecordMetadata]:
        """Send records and block this thread until all are acknowledged; raises as `Producer.send_all`."""
        return list(self._run(partial(self._producer.send_all, records)))

    def flush(self, timeout: float | None = None) -> None:
        """Block this thread until everything accepted before has its outcome; raises as `Producer.flush`."""
        self._run(partial(self._producer.flush, timeout))

    def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._backend.is_current():
            raise IllegalStateError("this thread runs the producer's event loop: await the producer's own calls here")
        if os.getpid() != self._process_id:  # the loop is not run here, and the call would wait for it for ever
            raise IllegalStateError("this process was forked from the producer's: make a new producer here")
        has_arrived = False

        async def arrived() -> T:
            nonlocal has_arrived
            has_arrived = True
            return await call()

        try:
            return anyio.from_thread.run(arrived, token=self._token)
        except anyio.RunFinishedError as error:
            raise ProducerClosedError("the event loop of the producer has ended") from error
        except RuntimeError as error:
            if has_arrived:
                raise
            # trio lets no thread wait for it that runs a loop of trio's itself.
            raise IllegalStateError("this thread runs another event loop, which the call would hold up") from error
        except BaseException as error:
            if not is_cancellation(error):
                raise
            # It was cancelled there, not here: this thread can neither cancel nor be cancelled.
            told = "the event loop of the producer ended, or cancelled the call, before it was done"
            raise ProducerClosedError(told, possibly_written=True) from error


def _resolve(future: Future[RecordMetadata], delivery: Delivery) -> None:
    error = delivery.exception()
    if error is None:
        future.set_result(delivery.result())
    else:
        future.set_exception(error)
