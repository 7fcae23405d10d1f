"""Producer: the three ways to send, and everything else that a started producer does."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast, overload

import anyio

from aioproducer._config import ProducerConfig, SettingsSignature
from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._producer.delivery import Delivery, DeliveryCallback, check_callback
from aioproducer._producer.lifecycle import Lifecycle, close_at_exit
from aioproducer._producer.prepare import RecordPreparer
from aioproducer._producer.send_all import SendAll
from aioproducer._producer.send_path import MISSING, check_timeout, park
from aioproducer._producer.topic import TopicHandle
from aioproducer._public import public_in
from aioproducer._runtime.outcome import follow_split, new_metadata, outcome_error, record_metadata
from aioproducer._types import HeadersLike, K, ProducerRecord, RecordMetadata, TopicView, V, check_source, check_topic
from aioproducer.errors import BufferTimeoutError, KafkaTimeoutError
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self, Unpack

    from aioproducer._backend import Backend, Connector
    from aioproducer._config import ProducerSettings, SettingsByName
    from aioproducer._producer.status import ProducerStatus
    from aioproducer._producer.threads import ThreadEntry
    from aioproducer._producer.transaction import Transaction, TransactionBlock
    from aioproducer.errors import KafkaError
    from aioproducer.metrics import MetricsSnapshot
    from aioproducer.serializers import Serializer

K2 = TypeVar("K2")
V2 = TypeVar("V2")

_DONE: Final = BatchState.DONE  # looked up in the Enum class it costs 0.1 µs


@public_in("aioproducer")
class Producer(Generic[K, V]):
    """Sends records to a Kafka cluster from an event loop (asyncio, uvloop or trio).

    The constructor checks the settings and needs no event loop. `async with` starts and closes it; start and close may
    also be called from different tasks of the same loop. All other calls are made in that loop's thread.

    Args:
        config: a ProducerConfig; settings by name change it, or are all when there is none.
        connect: opens the byte stream to (host, port), for those who must go through a proxy; default: TCP.
        on_error: called on the loop, with an UndeliveredError, for each batch with failed records that nobody waits for
            and no callback was given for. They are logged and raised by the next flush() all the same.
        key_serializer, value_serializer: turn keys and values into bytes; None: they are bytes. Type checkers take K
            and V from them.
        **settings: see ProducerConfig and docs/settings.md.

    Raises:
        ConfigurationError: settings are wrong; one error tells of all of them.

    Example:
        async with Producer(bootstrap_servers="localhost:9092") as producer:
            metadata = await producer.send("orders", b"value", key=b"k")
    """

    __signature__: ClassVar[SettingsSignature] = SettingsSignature(is_complete=False)

    def __init__(
        self,
        config: ProducerConfig | None = None,
        *,
        connect: Connector | None = None,
        on_error: Callable[[KafkaError], object] | None = None,
        key_serializer: Serializer[K] | None = None,
        value_serializer: Serializer[V] | None = None,
        **settings: Unpack[SettingsByName],
    ) -> None:
        if config is not None and not isinstance(config, ProducerConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(config).__name__
            del config, settings
            raise TypeError(
                f"config is {kind}; it must be a ProducerConfig: give settings by name (bootstrap_servers=...), or a"
                " mapping to Producer.from_config"
            )
        try:
            self._config = _configured(config, _joined(settings, key_serializer, value_serializer))
        finally:
            del settings  # a traceback with locals shows this frame, and it has the passwords
        self._lifecycle = Lifecycle(self._config, connect, on_error)
        self._send_path = self._lifecycle.send_path
        # Kept bound: every record passes it, and two look-ups less are 0.04 µs of the 3.3 that one takes.
        self._try_append = self._send_path.try_append
        self._backend: Backend | None = None  # the event loop's; set by the first start

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from a mapping with dotted or other names; see ProducerConfig.from_config."""
        try:
            return cls(ProducerConfig.from_config(config, **settings))
        finally:
            del config, settings

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from a file (.properties, .conf, .config, .toml, .env); see ProducerConfig.from_file."""
        try:
            return cls(ProducerConfig.from_file(path, **settings))
        finally:
            del settings

    @classmethod
    def from_env(cls, prefix: str, /, **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from environment variables; see ProducerConfig.from_env."""
        try:
            return cls(ProducerConfig.from_env(prefix, **settings))
        finally:
            del settings

    def __repr__(self) -> str:
        lifecycle = getattr(
            self, "_lifecycle", None
        )  # absent in a traceback with locals, of settings that were refused
        return f"<Producer {'refused' if lifecycle is None else repr(lifecycle)}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        lifecycle = getattr(self, "_lifecycle", None)  # absent when the constructor has raised
        if lifecycle is not None and lifecycle.is_abandoned:
            _warn(f"{self!r} was not closed: use `async with`, or await close()", ResourceWarning, source=self)

    if not TYPE_CHECKING:  # type checkers are to go on telling of names that are not there

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # __del__ asks too, perhaps when nothing can be imported any more
                raise AttributeError(name, name=name, obj=self)
            from aioproducer._producer.elsewhere import explain  # for a name that is not there

            text = f"{type(self).__name__!r} object has no attribute {name!r}{explain(name)}"
            raise AttributeError(text, name=name, obj=self)

        def __enter__(self) -> Any:
            raise TypeError("a producer is started and closed by the event loop: use `async with`")

        def __exit__(self, *_: object) -> None:
            raise AssertionError("__enter__ raises")

    @property
    def config(self) -> ProducerConfig:
        """The effective settings."""
        return self._config

    # ── life cycle ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, *, wait: bool = True) -> None:
        """Connect: return when one broker is connected, within max_block_ms.

        Cancelled or failed, nothing is left open. A closed producer may be started again.

        Args:
            wait: False returns at once and connects in the background, for as long as it takes: for a service that has
                to come up without Kafka. Calls wait for a broker then, at most max_block_ms each; `status()` says
                whether there is one, and why not.

        Raises:
            AuthenticationError: a broker refuses who we are, or we do not trust it; `start` does not wait any longer.
            BootstrapError: no bootstrap server could be reached in time; `failures` says why, for each address.
            IllegalStateError: it is started already.

        Example:
            producer = Producer(bootstrap_servers="localhost:9092")
            await producer.start()
            await producer.close()
        """
        runtime = await self._lifecycle.start(wait=wait)
        self._backend = runtime.backend

    async def close(self, timeout: float | None = None) -> None:
        """Deliver what was accepted, then close every connection. Sockets and tasks are gone on return.

        May be called from any task of the loop, any number of times; each call returns when the producer is closed.
        Cancelling it leaves the closing going on in the background; call it again to wait for the end. When the event
        loop has ended without it, a later one may close it: that only lets go of it, and it can be started again.

        Args:
            timeout: seconds after which what is left fails with ProducerClosedError; 0 drops everything at once;
                None is bounded by delivery_timeout_ms.

        Raises:
            TypeError, ValueError: the timeout is no number of seconds, or negative.
            IllegalStateError: called from another loop, thread or process, or while start() runs.

        Example:
            await producer.close(timeout=20)
        """
        await self._lifecycle.close(timeout)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await close_at_exit(self.close, self._config.close_timeout_ms, has_failed=exc is not None)

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def transaction(self) -> TransactionBlock:
        """Return a block that is a transaction: it commits at its end, and aborts on any exception, cancellation too.

        Every record that is sent while it is open, from any task, belongs to it. The abort is shielded and takes at
        most close_timeout_ms; the exception goes through. What commit() raises, the end of the block raises.

        Example:
            async with producer.transaction() as transaction:
                await producer.send("orders", b"value")
                await transaction.send_offsets({TopicPartition("in", 0): OffsetAndMetadata(42)}, "group")
        """
        # Here and not at the top: it loads Kafka's messages, most of what importing the producer would cost.
        from aioproducer._producer.transaction import TransactionBlock

        return TransactionBlock(self._send_path, self._config.close_timeout_ms)

    async def begin_transaction(self) -> Transaction:
        """Begin a transaction to be ended with its own commit() or abort().

        Waits, at most max_block_ms, while the one before is being aborted in the background. A cancelled one has begun
        nothing.

        Raises:
            IllegalStateError: one is open, the producer has no transactional_id, or it does not run.
            KafkaTimeoutError: it could not begin within max_block_ms.
            ProducerFencedError: another producer with this transactional_id has taken over.
        """
        from aioproducer._producer.transaction import begin  # as above

        return await begin(self._send_path)

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
        value: Any = MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata:
        """Send one record and wait until it is acknowledged.

        Cancelling it, or a timeout around it, changes nothing for a record that was accepted already: its outcome is
        then unknown to the caller, not "unsent".

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
            MetadataTimeoutError, BufferTimeoutError: topic not known, or no buffer memory free, within max_block_ms; it
                was not accepted.
            DeliveryTimeoutError and other KafkaErrors: it was not delivered; `possibly_written` tells whether it may
                be in the log.
            IllegalStateError: not started, closed, or called from another loop, thread or process.

        Example:
            metadata = await producer.send("orders", b"placed", key=b"customer-7", headers=[("trace", b"1")])
            print(metadata.partition, metadata.offset)
        """
        if on_delivery is not None:
            check_callback(on_delivery)
        appended: Any = self._try_append(topic, value, key, partition, timestamp_ms, headers)
        if appended.__class__ is ProducerBatch:  # no call, in which other code might run and append: see Appended
            batch, index = appended, appended.count - 1
        else:
            batch, index = appended if appended.__class__ is tuple else await self._send_path.wait_and_append(appended)
        backend = self._backend
        assert backend is not None, "an appended record has a started producer"
        if on_delivery is not None:
            Delivery(batch, index, backend).add_done_callback(on_delivery)
        while batch.state is not _DONE or batch.split_into is not None:
            if batch.split_into is not None:
                batch, index = follow_split(batch, index)
                continue
            waiter = backend.new_waiter()
            if batch.waiters is None:
                batch.waiters = [(index, waiter)]
            else:
                batch.waiters.append((index, waiter))
            await waiter
        if batch.plain_base_offset >= 0:
            # As record_metadata does, which costs a call: nearly all come here.
            return new_metadata(
                RecordMetadata, (batch.topic, batch.partition, batch.plain_base_offset + index, batch.timestamps[index])
            )
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
        value: Any = MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record: wait only for its topic and for buffer memory, at most max_block_ms.

        Suspends every few milliseconds, and after every few batches that fill up, so that a tight loop does not starve
        other tasks. A cancelled submit has not accepted its record.

        Args: as `send`.

        Returns:
            The Delivery: await it, ask it, or give it callbacks. It may be dropped, too.

        Raises: as `send`, but for what happens after the record was accepted: that is the Delivery's.

        Example:
            deliveries = [await producer.submit("orders", b"%d" % number) for number in range(100)]
            offsets = [(await delivery).offset for delivery in deliveries]
        """
        if on_delivery is not None:
            check_callback(on_delivery)
        appended: Any = self._try_append(topic, value, key, partition, timestamp_ms, headers, True)
        if appended.__class__ is ProducerBatch:  # no call, in which other code might run and append: see Appended
            batch, index = appended, appended.count - 1
        else:
            batch, index = appended if appended.__class__ is tuple else await self._send_path.wait_and_append(appended)
        backend = self._backend
        assert backend is not None, "an appended record has a started producer"
        delivery = Delivery(batch, index, backend)
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
        value: Any = MISSING,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record now, or raise: fire and forget.

        A record for a topic that is not known yet is accepted too; it fails through its Delivery when the topic stays
        unknown for max_block_ms. Failures of records that nobody waits for are counted, logged, and raised by the next
        flush().

        Args: as `send`.

        Raises:
            BufferFullError: no buffer memory is free, or others wait for it.
            TypeError, ValueError, KafkaError: what `send` raises for a record that is wrong.

        Example:
            producer.submit_nowait("clicks", b"click", on_delivery=lambda delivery: print(delivery.exception()))
        """
        if on_delivery is not None:
            check_callback(on_delivery)
        appended: Any = self._try_append(topic, value, key, partition, timestamp_ms, headers)
        holder: Any
        if appended.__class__ is ProducerBatch:
            holder, index = appended, appended.count - 1
        elif appended.__class__ is tuple:
            holder, index = appended
        else:
            holder, index = self._send_path.enqueue(appended, accepted=True), 0
        backend = self._backend
        assert backend is not None, "an appended record has a started producer"
        delivery = Delivery(holder, index, backend)
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        return delivery

    async def send_all(
        self, records: Iterable[ProducerRecord[K, V]] | AsyncIterable[ProducerRecord[K, V]]
    ) -> Sequence[RecordMetadata]:
        """Send many records, in their order, and wait until each has its outcome.

        Reads the source only as fast as buffer memory is free, so it may be endless as far as memory goes: what is not
        acknowledged is bounded by buffer_memory, what is takes 24 bytes a record. Does not wait out linger_ms at the
        end. Cancelled, or left by an exception of the source, which is raised as it is, the records accepted by then
        go on; those that fail count as unwatched.

        Args:
            records: ProducerRecords; any iterable, synchronous or not.

        Returns:
            The RecordMetadata of each, in the order of the records; made when asked for.

        Raises:
            SendAllError: some failed, refused ones included; `failures` has the error for the index of each, `results`
                None in its place. After a timeout of max_block_ms, a close or a fatal error the source is not read
                any further, and `results` ends there.
            TypeError: `records` is not an iterable of records.
            IllegalStateError: not started, closed, or called from another loop, thread or process.

        Example:
            results = await producer.send_all(ProducerRecord("orders", b"%d" % number) for number in range(1000))
            print(results[-1].offset)
        """
        check_source(records)
        bulk = SendAll(self._send_path)
        await bulk.run(records)
        return bulk.result()

    async def flush(self, timeout: float | None = None) -> None:
        """Send what is queued at once, ignoring linger_ms, and wait until everything accepted before this call is done.

        Cancelling it changes nothing for the records.

        Args:
            timeout: seconds to wait at most; None: bounded by delivery_timeout_ms.

        Raises:
            UndeliveredError: records that nobody waited for have failed since the last flush.
            KafkaTimeoutError: the timeout has passed; the records go on.
            IllegalStateError: not started, closed, or called from another loop or thread.

        Example:
            producer.submit_nowait("orders", b"placed")
            await producer.flush(timeout=10)
        """
        check_timeout(timeout)
        runtime = self._send_path.running()
        accumulator = runtime.accumulator
        ticket = runtime.call(accumulator.begin_flush, runtime.clock())
        try:
            with anyio.fail_after(timeout):
                if not ticket.done:
                    await park(runtime, ticket)
        except TimeoutError:
            raise KafkaTimeoutError(
                f"flush was not done within {timeout} s; the records are still being sent", elapsed=timeout
            ) from None
        finally:
            if not ticket.done:
                runtime.call_or_later(accumulator.end_flush, ticket)
        await runtime.wait_told()
        error = runtime.undelivered.take()
        if error is not None:
            raise error

    async def partitions_for(self, topic: str) -> TopicView:
        """Return the partitions of a topic, asking the cluster for at most max_block_ms if it is not known yet.

        Raises:
            InvalidTopicError: the name is not legal.
            MetadataTimeoutError: the topic did not become known in time.
            IllegalStateError: not started, closed, or called from another loop or thread.

        Example:
            print((await producer.partitions_for("orders")).partition_count)
        """
        runtime = self._send_path.running()
        check_topic(topic)
        now = runtime.clock()
        deadline = now + self._config.max_block_ms / 1000
        waiting = runtime.call(runtime.accumulator.wait_for_topic, topic, now, deadline)
        if not waiting.done:
            try:
                await park(runtime, waiting)
            except BaseException:
                runtime.call_or_later(runtime.accumulator.abandon_topic, waiting)
                raise
        if waiting.error is not None:
            raise fresh(waiting.error)
        assert waiting.view is not None, "a lookup without an error has found the topic"
        return waiting.view

    @overload
    def topic(self, name: str) -> TopicHandle[K, V]: ...

    @overload
    def topic(self, name: str, *, value_serializer: Serializer[V2]) -> TopicHandle[K, V2]: ...

    @overload
    def topic(self, name: str, *, key_serializer: Serializer[K2]) -> TopicHandle[K2, V]: ...

    @overload
    def topic(
        self, name: str, *, key_serializer: Serializer[K2], value_serializer: Serializer[V2]
    ) -> TopicHandle[K2, V2]: ...

    def topic(self, name: str, *, key_serializer: Any = None, value_serializer: Any = None) -> TopicHandle[Any, Any]:
        """Return a handle that sends to one topic, with serializers of its own where they are given.

        Needs no event loop; may be made before start() and kept.

        Raises:
            InvalidTopicError: the name is not legal.

        Example:
            orders = producer.topic("orders", value_serializer=aioproducer.serializers.json_serializer())
            await orders.send({"id": 7})
        """
        config = self._config
        preparer = RecordPreparer(
            key_serializer or config.key_serializer,
            value_serializer or config.value_serializer,
            self._lifecycle.interceptors,
        )
        return TopicHandle(name, self._send_path, preparer)

    # ── how it is ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def wait_for_buffer(self, size_bytes: int = 1, timeout: float | None = None) -> None:
        """Wait until so much of buffer_memory is free and nobody waits for it: to refuse work before it is begun.

        Reserves nothing. A record takes its encoded size and about 100 bytes. Cancelling it changes nothing.

        Args:
            size_bytes: what the records to come may take; at most buffer_memory.
            timeout: seconds to wait at most.

        Raises:
            BufferTimeoutError: the timeout has passed.
            ValueError: it is more than buffer_memory, or less than 1.
            IllegalStateError: not started, closed (meanwhile, too), or called from another loop or thread.

        Example:
            await producer.wait_for_buffer(10_000, timeout=0.5)
        """
        check_timeout(timeout)
        if not 1 <= size_bytes <= self._config.buffer_memory:
            raise ValueError(
                f"size_bytes is {size_bytes}; it must be from 1 to buffer_memory={self._config.buffer_memory}"
            )
        runtime = self._send_path.running()
        try:
            with anyio.fail_after(timeout):
                await runtime.room.wait(size_bytes)
        except TimeoutError:
            raise BufferTimeoutError(
                f"there were not {size_bytes} bytes of buffer_memory free within {timeout} s; brokers are slow or away"
                " (see status()), or there is more to send than they take",
                elapsed=timeout,
            ) from None
        self._send_path.running()

    def statistics(self) -> MetricsSnapshot:
        """Return the producer's metrics as they are now, under the Java producer's names; see docs/statistics.md.

        Before the first start it is empty; after close() it is what it was at the end. May be called from any thread.

        Raises:
            IllegalStateError: called in a forked child.

        Example:
            print(producer.statistics()["record-send-total"])
        """
        return self._lifecycle.statistics()

    def status(self) -> ProducerStatus:
        """Return how the producer is now, for a readiness check. Not started, or closed, it is not ready. May be called
        from any thread.

        Raises:
            IllegalStateError: called in a forked child.

        Example:
            print("ready" if producer.status().is_ready else producer.status().last_error)
        """
        return self._lifecycle.status()

    def thread_entry(self) -> ThreadEntry[K, V]:
        """Return what other threads can send with, blocking them; called in the producer's event loop.

        Raises:
            IllegalStateError: not started, closed, or called from another loop or thread.

        Example:
            entry = producer.thread_entry()
            await anyio.to_thread.run_sync(lambda: entry.send("orders", b"placed"))
        """
        from aioproducer._producer.threads import ThreadEntry

        return ThreadEntry(self, self._send_path.backend, self._lifecycle.loop_token)


def _joined(settings: SettingsByName, key_serializer: object, value_serializer: object) -> ProducerSettings:
    """All settings that were given by name, the serializers among them."""
    serializers = {"key_serializer": key_serializer, "value_serializer": value_serializer}
    given = {name: serializer for name, serializer in serializers.items() if serializer is not None}
    return cast("ProducerSettings", {**settings, **given})


def _configured(config: ProducerConfig | None, settings: ProducerSettings) -> ProducerConfig:
    try:
        if config is None:
            return ProducerConfig(**settings)
        return config.replace(**settings) if settings else config
    finally:
        del settings  # as in the constructor
