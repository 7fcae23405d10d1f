"""Interceptors: what sees, and may change, every record before it is sent, and learns its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from aioproducer._types import Headers, ProducerRecord, RecordMetadata

__all__ = ["ProducerInterceptor"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class ProducerInterceptor(Protocol[_K, _V]):
    """What an interceptor has. A subclass overrides what it needs (each method here does nothing); others have all.

    Interceptors are called in the order in which the setting `interceptors` lists them, on the producer's event loop,
    one record at a time. They are synchronous and must be fast. Whatever they raise is logged and goes no further.

    Example:
        >>> from dataclasses import replace
        >>> class AddTrace(ProducerInterceptor):
        ...     def on_send(self, record):
        ...         return replace(record, headers=[("trace", b"1")])
    """

    def on_send(self, record: ProducerRecord[_K, _V]) -> ProducerRecord[_K, _V]:
        """Return the record to send: the given one, or another.

        Called before anything else is done with the record: key and value are not serialized yet. Each interceptor
        gets what the one before it returned; after one that raises, the next gets what that one got.
        """
        return record

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        """Learn the outcome of a record; called once for each that on_send saw, before callbacks and waiters (KIP-512).

        Args:
            metadata: where the record is. After a failure its offset and timestamp are -1, and its partition too if
                none was chosen.
            error: None, or why it failed. It may be the error of the very call that sent the record.
            headers: the record's headers as they were sent; empty when its call failed before they were known.
        """
        return None  # written out: type checkers take an empty method of a protocol for an abstract one

    def close(self) -> None:
        """Release what the interceptor holds; called once, when the producer is closed."""
        return None
