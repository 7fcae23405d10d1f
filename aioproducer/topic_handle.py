"""TopicHandle: one topic of a producer, with types and serializers of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from aioproducer._core.batch import ProducerBatch
from aioproducer.delivery import Delivery, DeliveryCallback, check_callback
from aioproducer.records import HeadersLike, K, RecordMetadata, V, check_topic

if TYPE_CHECKING:
    from aioproducer._runtime.entrance import Entrance
    from aioproducer._runtime.intake import Intake, Prepared


class TopicHandle(Generic[K, V]):
    """Sends to one topic; `Producer.topic` makes it. It lives as long as its producer and needs no closing.

    Its records are those of the producer in every other way: same batches, same order, same settings.

    Attributes:
        topic: its name.

    Example:
        orders = producer.topic("orders", value_serializer=aioproducer.serializers.json_serializer())
        await orders.send({"id": 7})
    """

    __slots__ = ("_entrance", "_intake", "topic")

    def __init__(self, topic: str, entrance: Entrance, intake: Intake) -> None:
        check_topic(topic)
        self.topic = topic
        self._entrance = entrance
        self._intake = intake

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
        """Accept one record, waiting for room only; as `Producer.submit`."""
        if on_delivery is not None:
            check_callback(on_delivery)
        entrance = self._entrance
        record = self._prepare(value, key, partition, timestamp_ms, headers)
        home: ProducerBatch | Prepared = record if entrance.has_to_yield() else entrance.append_prepared(record)
        if isinstance(home, ProducerBatch):
            batch, index = home, home.count - 1
        else:
            batch, index = await entrance.wait_and_append(home)
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
        entrance = self._entrance
        home = entrance.append_prepared(self._prepare(value, key, partition, timestamp_ms, headers))
        if isinstance(home, ProducerBatch):
            return self._delivery(home, home.count - 1, on_delivery)
        return self._delivery(entrance.enqueue(home, accepted=True), 0, on_delivery)

    def _prepare(self, value: Any, key: Any, partition: Any, timestamp_ms: Any, headers: Any) -> Prepared:
        return self._entrance.prepare(self.topic, value, key, partition, timestamp_ms, headers, intake=self._intake)

    def _delivery(self, home: Any, index: int, on_delivery: DeliveryCallback | None) -> Delivery:
        delivery = Delivery(home, index, self._entrance.backend)
        if on_delivery is not None:
            delivery.add_done_callback(on_delivery)
        return delivery
