"""ProducerProtocol: what code that sends needs of a producer, so that tests can give it another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aioproducer._public import public_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from aioproducer._producer.delivery import Delivery, DeliveryCallback
    from aioproducer._types import HeadersLike, ProducerRecord, RecordMetadata


@public_in("aioproducer")
class ProducerProtocol(Protocol):
    """The sending half of Producer: what an application's own functions should ask for.

    Example:
        async def order_placed(producer: ProducerProtocol, order_id: bytes) -> None:
            await producer.send("orders", b"placed", key=order_id)
    """

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> RecordMetadata:
        """Send one record and wait until it is acknowledged; see Producer.send."""
        ...

    async def submit(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record, waiting for buffer memory only; see Producer.submit."""
        ...

    def submit_nowait(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Accept one record now, or raise; see Producer.submit_nowait."""
        ...

    async def send_all(
        self, records: Iterable[ProducerRecord[bytes, bytes]] | AsyncIterable[ProducerRecord[bytes, bytes]]
    ) -> Sequence[RecordMetadata]:
        """Send many records and wait until each has its outcome; see Producer.send_all."""
        ...

    async def flush(self, timeout: float | None = None) -> None:
        """Send what is queued at once and wait for everything accepted before; see Producer.flush."""
        ...
