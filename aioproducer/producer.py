"""Producer: the life cycle, and the three ways to send."""

from __future__ import annotations

import enum
import itertools
import logging
import random
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, overload

import anyio

from aioproducer._core.batch import BatchState, ProducerBatch
from aioproducer._runtime.intake import Intake, Prepared
from aioproducer.config import ProducerConfig
from aioproducer.delivery import Delivery, DeliveryCallback, follow_split, fresh, outcome_error, record_metadata
from aioproducer.errors import (
    BootstrapError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    ProducerClosedError,
)
from aioproducer.records import HeadersLike, ProducerRecord, RecordMetadata, TopicView, check_topic

if TYPE_CHECKING:
    from typing import Self, Unpack

    from aioproducer._backend import Backend
    from aioproducer._core.accumulator import Accumulator, PendingAppend, Waiting
    from aioproducer._net.connection import Connector
    from aioproducer._runtime.loop import Runtime
    from aioproducer.config import ProducerSettings

K = TypeVar("K")
V = TypeVar("V")

_log = logging.getLogger("aioproducer.producer")


class _Missing(enum.Enum):
    """The value was not given: None is a value (a tombstone)."""

    MISSING = 0


_MISSING: Final = _Missing.MISSING


class _State(enum.Enum):
    NEW = "it was not started: use `async with`, or await start()"
    STARTING = "it is being started"
    RUNNING = "it is running"
    CLOSING = "it is being closed"
    CLOSED = "it is closed; start() makes it usable again"


class Producer(Generic[K, V]):
    """Sends records to a Kafka cluster from an event loop (asyncio, uvloop or trio).

    The constructor checks the settings and needs no event loop. `async with` starts and closes it; start and close may
    also be called from
    different tasks of the same loop. All other calls are made in that loop's thread.

    Args:
        config: a ProducerConfig; or none, and settings by name.
        connect: opens the byte stream to (host, port), for those who must go through a proxy; default: TCP.
        **settings: see ProducerConfig and docs/settings.md.

    Raises:
        ConfigurationError: settings are wrong; one error tells of all of them.

    Example:
        async with Producer(bootstrap_servers="localhost:9092") as producer:
            metadata = await producer.send("orders", b"value", key=b"k")
    """

    _numbers: ClassVar[Iterator[int]] = itertools.count(1)  # for client ids, as the Java producer counts them

    def __init__(
        self,
        config: ProducerConfig | None = None,
        *,
        connect: Connector | None = None,
        **settings: Unpack[ProducerSettings],
    ) -> None:
        if config is not None and settings:
            raise TypeError("give a ProducerConfig or settings by name, not both")
        self._config = ProducerConfig(**settings) if config is None else config
        self._client_id = self._config.client_id or f"producer-{next(self._numbers)}"
        self._connect = connect
        self._interceptors = tuple(self._config.interceptors)
        self._intake = Intake(self._config, self._interceptors)
        self._is_plain = self._intake.is_plain
        self._max_block = self._config.max_block_ms / 1000
        self._state = _State.NEW
        self._runtime: Runtime | None = None
        # Set while records are accepted, None otherwise: the one check of the hot path.
        self._accumulator: Accumulator | None = None
        self._backend: Backend | None = None
        self._yielded_at = 0

    @property
    def config(self) -> ProducerConfig:
        """The effective settings."""
        return self._config

    # ── life cycle ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Connect: return when one broker is connected, within max_block_ms.

        Cancelled or failed, nothing is left open.

        Raises:
            BootstrapError: no bootstrap server could be reached in time; `failures` says why, for each address.
            IllegalStateError: it is started already.
        """
        if self._state not in {_State.NEW, _State.CLOSED}:
            raise IllegalStateError(f"cannot start {self._client_id}: {self._state.value}")
        self._state = _State.STARTING
        try:
            runtime = self._open_runtime()
        except BaseException:
            self._state = _State.CLOSED
            raise
        try:
            await self._wait_connected(runtime)
        except BaseException:
            with anyio.CancelScope(shield=True):
                runtime.abort(ProducerClosedError("the producer could not be started"))
                await runtime.finished.wait()
            self._state = _State.CLOSED
            raise
        self._accumulator = runtime.accumulator
        self._state = _State.RUNNING

    def _open_runtime(self) -> Runtime:
        # Here and not at the top: crc32c and zstandard take 100 ms to import, and nobody should pay for them before
        # start().
        from aioproducer import _backend
        from aioproducer._net.connection import tcp_connector
        from aioproducer._runtime.loop import Runtime

        config = self._config
        backend = self._backend = _backend.current()
        connect = self._connect or tcp_connector(config.send_buffer_bytes, config.receive_buffer_bytes)
        runtime = Runtime(config, self._client_id, backend, connect, self._interceptors, random.Random())
        self._runtime = runtime
        self._clock = backend.clock
        self._is_current = backend.is_current
        self._yielded_at = 0
        backend.spawn_host(runtime.run)
        return runtime

    async def _wait_connected(self, runtime: Runtime) -> None:
        started = self._clock()
        async with anyio.create_task_group() as tasks:

            async def until(event: anyio.Event) -> None:
                await event.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until, runtime.connected)
            tasks.start_soon(until, runtime.finished)
            tasks.cancel_scope.deadline = anyio.current_time() + self._max_block
        if runtime.sender.fatal_error is not None:
            raise fresh(runtime.sender.fatal_error)
        if not runtime.connected.is_set():
            raise self._bootstrap_error(runtime, self._clock() - started)

    def _bootstrap_error(self, runtime: Runtime, elapsed: float) -> BootstrapError:
        failures = dict(runtime.failures)
        told = "; ".join(f"{host}:{port}: {reason}" for (host, port), reason in failures.items())
        return BootstrapError(
            f"no bootstrap server could be reached within {elapsed:.1f} s (max_block_ms={self._config.max_block_ms}):"
            f" {told or 'no attempt to connect has ended yet'}; check bootstrap_servers, and that brokers listen there",
            failures=failures,
        )

    async def close(self, timeout: float | None = None) -> None:
        """Deliver what was accepted, then close every connection. Sockets and tasks are gone on return.

        May be called from any task of the loop, any number of times; each call returns when the producer is closed.
        Cancelling it leaves the
        closing going on in the background; call it again to wait for the end.

        Args:
            timeout: seconds after which what is left fails with ProducerClosedError; 0 drops everything at once;
                None is bounded by delivery_timeout_ms.

        Raises:
            ValueError: the timeout is negative.
            IllegalStateError: called from another loop or thread.
        """
        if timeout is not None and timeout < 0:
            raise ValueError(f"timeout is {timeout}; it must be at least 0 seconds, or None")
        runtime = self._runtime
        if runtime is None:
            self._state = _State.CLOSED
            return
        if not self._is_current():
            raise self._refusal()
        if self._state is _State.RUNNING:
            self._state = _State.CLOSING
            self._accumulator = None
            runtime.begin_close()
        with anyio.move_on_after(timeout):
            await runtime.finished.wait()
        if not runtime.finished.is_set():
            runtime.abort(ProducerClosedError("the producer was closed before the record was delivered"))
            await runtime.finished.wait()
        if self._runtime is runtime:
            self._runtime = None
            self._state = _State.CLOSED
        await self._drain_loop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            try:
                await self.close()
            except anyio.get_cancelled_exc_class():
                await self._close_bounded()
                raise
        else:
            await self._close_bounded()

    async def _close_bounded(self) -> None:
        """Give accepted records close_timeout_ms, cancelled or not, so that nothing outlives the `async with`."""
        with anyio.CancelScope(shield=True):
            await self.close(timeout=self._config.close_timeout_ms / 1000)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    async def send(
        self, topic: ProducerRecord[K, V], /, *, on_delivery: DeliveryCallback | None = None
    ) -> RecordMetadata: ...

    @overload
    async def send(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata: ...

    async def send(
        self,
        topic: Any,
        value: Any = _MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata:
        """Send one record and wait until it is acknowledged.

        Cancelling it, or a timeout around it, changes nothing for a record that was accepted already: its outcome is
        then unknown to the caller,
        not "unsent".

        Args:
            topic: the topic's name, or a ProducerRecord (then no other argument but on_delivery).
            value: bytes, or what the value serializer takes; None is a tombstone.
            key: bytes, or what the key serializer takes; None for no key.
            partition: where to send it; None lets the partitioner decide.
            timestamp_ms: milliseconds since 1970; None for now.
            headers: a sequence of (name, bytes or None), or a mapping.
            on_delivery: called with the Delivery when it is done, before this call returns.

        Returns:
            Topic, partition, offset and timestamp. With acks=0 the offset is not known (-1).

        Raises:
            TypeError, ValueError, SerializationError, RecordTooLargeError, InvalidTopicError: this record is wrong; it
            was not accepted.
            MetadataTimeoutError, BufferTimeoutError: topic not known, or no room, within max_block_ms; it was not
            accepted.
            DeliveryTimeoutError and other KafkaErrors: it was not delivered; `possibly_written` tells whether it may
            be in the log.
            IllegalStateError: not started, closed, or called from another loop, thread or process.
        """
        home = self._try_append(topic, value, key, partition, timestamp_ms, headers)
        if isinstance(home, ProducerBatch):
            batch, index = home, home.count - 1
        else:
            batch, index = await self._wait_and_append(home)
        backend = self._backend
        assert backend is not None, "an appended record has a started producer"
        if on_delivery is not None:
            Delivery(batch, index, backend).add_done_callback(on_delivery)
        while batch.state is not BatchState.DONE or batch.split_into is not None:
            if batch.split_into is not None:
                batch, index = follow_split(batch, index)
                continue
            waiter = backend.new_waiter(index)
            if batch.waiters is None:
                batch.waiters = [(index, waiter)]
            else:
                batch.waiters.append((index, waiter))
            await waiter
        error = outcome_error(batch, index)
        if error is not None:
            raise fresh(error)
        return record_metadata(batch, index)

    @overload
    async def submit(
        self, topic: ProducerRecord[K, V], /, *, on_delivery: DeliveryCallback | None = None
    ) -> Delivery: ...

    @overload
    async def submit(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery: ...

    async def submit(
        self,
        topic: Any,
        value: Any = _MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record: wait only until its topic is known and there is room, at most max_block_ms.

        Suspends at most once for each batch that fills up, so that a tight loop does not starve other tasks. A
        cancelled submit has not
        accepted its record.

        Args: as `send`.

        Returns:
            The Delivery: await it, ask it, or give it callbacks. It may be dropped, too.

        Raises: as `send`, but for what happens after the record was accepted: that is the Delivery's.
        """
        accumulator = self._accumulator
        if accumulator is None or accumulator.closed_batches == self._yielded_at:
            home = self._try_append(topic, value, key, partition, timestamp_ms, headers)
        else:
            self._yielded_at = accumulator.closed_batches
            home = self._prepare(topic, value, key, partition, timestamp_ms, headers)
        if isinstance(home, ProducerBatch):
            batch, index = home, home.count - 1
        else:
            batch, index = await self._wait_and_append(home)
        assert self._backend is not None, "an appended record has a started producer"
        delivery = Delivery(batch, index, self._backend)
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        return delivery

    @overload
    def submit_nowait(
        self, topic: ProducerRecord[K, V], /, *, on_delivery: DeliveryCallback | None = None
    ) -> Delivery: ...

    @overload
    def submit_nowait(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery: ...

    def submit_nowait(
        self,
        topic: Any,
        value: Any = _MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record now, or raise: fire and forget.

        A record for a topic that is not known yet is accepted too; it fails through its Delivery when the topic stays
        unknown for max_block_ms.
        Failures of records that nobody waits for are counted, logged, and raised by the next flush().

        Args: as `send`.

        Raises:
            BufferFullError: there is no room, or others wait for it.
            And what `send` raises for a record that is wrong.
        """
        home = self._try_append(topic, value, key, partition, timestamp_ms, headers)
        backend = self._backend
        assert backend is not None, "an appended record has a started producer"
        if isinstance(home, ProducerBatch):
            delivery = Delivery(home, home.count - 1, backend)
        else:
            delivery = Delivery(self._enqueue(home, accepted=True), 0, backend)
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        return delivery

    async def flush(self, timeout: float | None = None) -> None:
        """Send what is queued at once, ignoring linger_ms, and wait until everything accepted before this call is done.

        Cancelling it changes nothing for the records.

        Args:
            timeout: seconds to wait at most; None: bounded by delivery_timeout_ms.

        Raises:
            UndeliveredError: records that nobody waited for have failed since the last flush.
            KafkaTimeoutError: the timeout has passed; the records go on.
            IllegalStateError: not started, closed, or called from another loop or thread.
        """
        runtime, accumulator = self._running()
        ticket = accumulator.begin_flush(self._clock())
        try:
            with anyio.fail_after(timeout):
                if not ticket.done:
                    await self._park(runtime, ticket)
        except TimeoutError:
            raise KafkaTimeoutError(
                f"flush was not done within {timeout} s; the records are still being sent", elapsed=timeout
            ) from None
        finally:
            accumulator.end_flush(ticket)
        await self._drain_loop()
        error = runtime.undelivered.take()
        if error is not None:
            raise error

    async def partitions_for(self, topic: str) -> TopicView:
        """Return the partitions of a topic, asking the cluster for at most max_block_ms if it is not known yet.

        Raises:
            InvalidTopicError: the name is not legal.
            MetadataTimeoutError: the topic did not become known in time.
            IllegalStateError: not started, closed, or called from another loop or thread.
        """
        runtime, accumulator = self._running()
        check_topic(topic)
        now = self._clock()
        waiting = accumulator.wait_for_topic(topic, now, now + self._max_block)
        if waiting.view is None and waiting.error is None:
            await self._park(runtime, waiting)
        if waiting.error is not None:
            raise fresh(waiting.error)
        assert waiting.view is not None, "a lookup without an error has found the topic"
        return waiting.view

    # ── from a call to the accumulator ───────────────────────────────────────────────────────────────────────────────

    def _try_append(
        self, topic: Any, value: Any, key: Any, partition: int | None, timestamp_ms: int | None, headers: Any
    ) -> ProducerBatch | Prepared:
        """Append the record (it is then the last of the batch returned), or return it prepared when it has to wait."""
        accumulator = self._accumulator
        if (
            accumulator is None
            or not self._is_plain
            or topic.__class__ is not str
            or value.__class__ is not bytes
            or headers is not None
            or partition is not None
            or timestamp_ms is not None
            or (key is not None and key.__class__ is not bytes)
            or not self._is_current()
        ):
            return self._append_prepared(self._prepare(topic, value, key, partition, timestamp_ms, headers))
        batch = accumulator.try_append(topic, None, key, value, None, time.time_ns() // 1_000_000, self._clock())
        if batch is None:
            return self._prepare(topic, value, key, None, None, None)
        if accumulator.needs_wake:
            self._runtime.wake()  # type: ignore[union-attr]  # it is set whenever the accumulator is
        return batch

    def _append_prepared(self, record: Prepared) -> ProducerBatch | Prepared:
        runtime, accumulator = self._running()
        timestamp_ms = time.time_ns() // 1_000_000 if record.timestamp_ms is None else record.timestamp_ms
        try:
            batch = accumulator.try_append(
                record.topic, record.partition, record.key, record.value, record.headers, timestamp_ms, self._clock()
            )
        except Exception as error:
            self._intake.refused(record.topic, record.partition, record.headers, error)
            raise
        if batch is None:
            return record
        self._intake.appended(batch, batch.count - 1, record.headers)
        if accumulator.needs_wake:
            runtime.wake()
        return batch

    def _prepare(
        self, topic: Any, value: Any, key: Any, partition: int | None, timestamp_ms: int | None, headers: Any
    ) -> Prepared:
        self._running()
        if isinstance(topic, ProducerRecord):
            if value is not _MISSING or (key, partition, timestamp_ms, headers) != (None, None, None, None):
                raise TypeError(
                    "give a ProducerRecord alone: its value, key, partition, timestamp_ms and headers are its own"
                )
            record: ProducerRecord[Any, Any] = topic
            topic, value, key = record.topic, record.value, record.key
            partition, timestamp_ms, headers = record.partition, record.timestamp_ms, record.headers
        elif value is _MISSING:
            raise TypeError("value is missing; give value=None for a tombstone")
        return self._intake.prepare(topic, value, key, partition, timestamp_ms, headers)

    def _enqueue(self, record: Prepared, *, accepted: bool) -> PendingAppend:
        """Queue a record behind those that wait already."""
        runtime, accumulator = self._running()
        now = self._clock()
        timestamp_ms = record.timestamp_ms
        if accepted and timestamp_ms is None:
            timestamp_ms = time.time_ns() // 1_000_000  # the core has no wall clock to ask when it appends it
        try:
            pending = accumulator.enqueue(
                record.topic,
                record.partition,
                record.key,
                record.value,
                record.headers,
                timestamp_ms,
                now,
                now + self._max_block,
                accepted=accepted,
            )
        except Exception as error:
            self._intake.refused(record.topic, record.partition, record.headers, error)
            raise
        if accepted:
            self._intake.appended(pending, 0, record.headers)
        runtime.wake()
        return pending

    async def _wait_and_append(self, record: Prepared) -> tuple[ProducerBatch, int]:
        """Wait for the record's turn, then append it. Cancelled, it leaves the queue and was never accepted."""
        pending = self._enqueue(record, accepted=False)
        runtime = self._runtime
        backend = self._backend
        assert runtime is not None
        assert backend is not None
        accumulator = runtime.accumulator
        try:
            if pending.is_granted:
                await backend.yield_now()
            else:
                await self._park(runtime, pending)
        except BaseException as error:
            accumulator.cancel(pending)
            runtime.wake()
            self._intake.refused(record.topic, record.partition, record.headers, error)
            raise
        timestamp_ms = time.time_ns() // 1_000_000 if record.timestamp_ms is None else record.timestamp_ms
        try:
            batch = accumulator.redeem(pending, self._clock(), timestamp_ms)
        except Exception as error:
            self._intake.refused(record.topic, record.partition, record.headers, error)
            raise
        finally:
            runtime.wake()
        self._intake.appended(batch, pending.index, record.headers)
        return batch, pending.index

    async def _park(self, runtime: Runtime, waiting: Waiting) -> None:
        waiter = runtime.backend.new_waiter()
        waiting.waiter = waiter
        runtime.wake()
        await waiter

    async def _drain_loop(self) -> None:
        """Wait until all that was handed to the loop before has run: callbacks and counts of outcomes that are
        final.
        """
        backend = self._backend
        assert backend is not None
        waiter = backend.new_waiter()
        backend.call_soon(backend.wake, [waiter])
        await waiter

    def _running(self) -> tuple[Runtime, Accumulator]:
        runtime, accumulator = self._runtime, self._accumulator
        if runtime is None or accumulator is None or not self._is_current():
            raise self._refusal()
        return runtime, accumulator

    def _refusal(self) -> KafkaError:
        """Why this call is not possible now."""
        if self._state is _State.CLOSED or self._state is _State.CLOSING:
            return ProducerClosedError(f"{self._client_id} cannot be used: {self._state.value}")
        if self._state is not _State.RUNNING:
            return IllegalStateError(f"{self._client_id} cannot be used: {self._state.value}")
        return IllegalStateError(
            f"{self._client_id} belongs to another event loop, thread or process: use it where it was started"
            " (after fork, make a new producer; from a thread, go through the loop)"
        )
