"""TopicHandle: one topic of a producer, with types and serializers of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Generic

from aioproducer._producer.delivery import Delivery, DeliveryCallback, check_callback
from aioproducer._producer.prepare import PreparedRecord
from aioproducer._producer.send_all import SendAll
from aioproducer._public import public_in
from aioproducer._types import HeadersLike, K, ProducerRecord, RecordMetadata, V, check_source, check_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aioproducer._producer.prepare import RecordPreparer
    from aioproducer._producer.send_path import SendPath


@public_in("aioproducer")
class TopicHandle(Generic[K, V]):
    """Sends to one topic; `Producer.topic` makes it. It lives as long as its producer and needs no closing.

    Its records are those of the producer in every other way: same batches, same order, same settings.

    Attributes:
        topic: its name.

    Example:
        orders = producer.topic("orders", value_serializer=aioproducer.serializers.json_serializer())
        await orders.send({"id": 7})
    """

    __slots__ = ("_preparer", "_send_path", "topic")

    # Any: `Producer.topic` makes them, and what stands behind them is not public.
    def __init__(self, topic: str, send_path: Any, preparer: Any) -> None:
        check_topic(topic)
        self.topic: str = topic
        self._send_path: SendPath = send_path
        self._preparer: RecordPreparer = preparer

    def __repr__(self) -> str:
        return f"<TopicHandle {self.topic!r}>"

    async def send(
        self,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata:
        """Send one record and wait until it is acknowledged; as `Producer.send`."""
        return await (
            await self.submit(
                value,
                key=key,
                partition=partition,
                timestamp_ms=timestamp_ms,
                headers=headers,
                on_delivery=on_delivery,
            )
        )

    async def submit(
        self,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record, waiting for buffer memory only; as `Producer.submit`."""
        if on_delivery is not None:
            check_callback(on_delivery)
        send_path = self._send_path
        record = self._prepare(value, key, partition, timestamp_ms, headers)
        appended = record if send_path.has_to_yield() else send_path.append_prepared(record)
        if isinstance(appended, PreparedRecord):
            batch, index = await send_path.wait_and_append(appended)
        else:
            batch, index = appended
        return self._delivery(batch, index, on_delivery)

    def submit_nowait(
        self,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record now, or raise; as `Producer.submit_nowait`."""
        if on_delivery is not None:
            check_callback(on_delivery)
        send_path = self._send_path
        appended = send_path.append_prepared(self._prepare(value, key, partition, timestamp_ms, headers))
        if isinstance(appended, PreparedRecord):
            return self._delivery(send_path.enqueue(appended, accepted=True), 0, on_delivery)
        return self._delivery(*appended, on_delivery)

    async def send_all(
        self, values: Iterable[V | ProducerRecord[K, V] | None] | AsyncIterable[V | ProducerRecord[K, V] | None]
    ) -> Sequence[RecordMetadata]:
        """Send many records, in their order, and wait until each has its outcome; as `Producer.send_all`.

        Args:
            values: any iterable, synchronous or not, of values (None is a tombstone); or of ProducerRecords of this
                topic, where a record needs a key, headers, a partition or a timestamp.

        Raises:
            SendAllError, TypeError, IllegalStateError: as `Producer.send_all`. A ProducerRecord of another topic is
                among the failures.

        Example:
            orders = producer.topic("orders", value_serializer=aioproducer.serializers.json_serializer())
            await orders.send_all({"id": number} for number in range(1000))
        """
        check_source(values)
        bulk = SendAll(self._send_path, self._prepare_one)
        if isinstance(values, AsyncIterable):
            await bulk.run(_AsRecords(self.topic, values))
        else:
            await bulk.run(_as_record(self.topic, value) for value in values)
        return bulk.result()

    def _prepare_one(
        self, topic: Any, value: Any, key: Any, partition: Any, timestamp_ms: Any, headers: Any
    ) -> PreparedRecord:
        if topic != self.topic:
            raise ValueError(
                f"a record of topic {topic!r} was given to the handle of topic {self.topic!r}; use its own"
            )
        return self._prepare(value, key, partition, timestamp_ms, headers)

    def _prepare(self, value: Any, key: Any, partition: Any, timestamp_ms: Any, headers: Any) -> PreparedRecord:
        return self._send_path.prepare(
            self.topic, value, key, partition, timestamp_ms, headers, preparer=self._preparer
        )

    def _delivery(self, appended: Any, index: int, on_delivery: DeliveryCallback | None) -> Delivery:
        delivery = Delivery(appended, index, self._send_path.backend)
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        return delivery


class _AsRecords:
    """The records of an asynchronous source of values; no generator, which would have to be closed when left early."""

    def __init__(self, topic: str, values: AsyncIterable[Any]) -> None:
        self._topic = topic
        self._values = aiter(values)

    def __aiter__(self) -> _AsRecords:
        return self

    async def __anext__(self) -> ProducerRecord[Any, Any]:
        return _as_record(self._topic, await anext(self._values))


def _as_record(topic: str, value: Any) -> ProducerRecord[Any, Any]:
    if isinstance(value, ProducerRecord):
        return value  # pyright: ignore[reportUnknownVariableType]
    return ProducerRecord(topic, value)
